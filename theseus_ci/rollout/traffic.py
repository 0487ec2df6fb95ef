"""Where production traffic goes now, in words; the last line of every failure."""

from __future__ import annotations

from theseus_ci.errors import TheseusError
from theseus_ci.ports import Cluster
from theseus_ci.rollout.shares import candidate_share
from theseus_ci.rollout.state import ENDED, PHASE_PROMOTED, State


def describe(cluster: Cluster | None, state: State | None) -> str:
    """One sentence on production traffic, read from the VirtualServices where that is possible."""
    if state is None:
        return "production traffic: as before, this command has touched nothing"
    previous = state.previous.deployment if state.previous else ""
    candidate = state.candidate.deployment
    if state.phase in ENDED:
        carrier = candidate if state.phase == PHASE_PROMOTED else previous or "nobody"
        return f"production traffic: 100 % on {carrier}"
    share: int | None = None
    doubt = ""
    if cluster is not None:
        try:
            share = candidate_share(cluster, state)
        except TheseusError as error:
            doubt = f" (as last set; the cluster could not be read: {error})"
    else:
        doubt = " (as last set; the cluster was not read)"
    if share is None:
        share = state.weight
    if not previous:
        served = f"{share} % on {candidate}" if share else f"not yet on {candidate}"
        return f"production traffic: {served}, there is no previous version{doubt}"
    return f"production traffic: {100 - share} % on {previous}, {share} % on {candidate}{doubt}"
