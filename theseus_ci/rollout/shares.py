"""Where production's requests go, read from the VirtualServices."""

from __future__ import annotations

from theseus_ci.mesh.testing_routes import candidate_weight
from theseus_ci.ports import Cluster
from theseus_ci.rollout.routes import service_host
from theseus_ci.rollout.state import State


def candidate_share(cluster: Cluster, state: State) -> int | None:
    """Percent of the service's production traffic that goes to the candidate: the largest share
    of any route, since that is what users may meet. None when no route tells."""
    shares = []
    for ref in state.routes.virtual_services:
        obj = cluster.get(ref.kind, ref.namespace, ref.name)
        if obj is not None:
            share = candidate_weight(obj, service_host(state), state.routes.candidate.name)
            if share is not None:
                shares.append(share)
    return max(shares, default=None)
