"""What smoke checks may know of the release."""

from __future__ import annotations

from theseus_ci.mesh import headers
from theseus_ci.model import CheckTarget, PodAddress
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.readiness import selector_text
from theseus_ci.rollout.routes import test_headers


def check_target(rollout: Rollout) -> CheckTarget:
    """The candidate as checks see it now. Raises WorldChanged when its routes are gone."""
    state = rollout.state
    entrypoints = rollout.config.all_entrypoints()
    return CheckTarget(
        service=state.service,
        namespace=state.namespace,
        rollout=state.rollout,
        candidate=state.candidate.deployment,
        previous=state.previous.deployment if state.previous else "",
        candidate_version=state.candidate.label,
        previous_version=state.previous.label if state.previous else "",
        entrypoint=entrypoints[0] if entrypoints else "",
        host=rollout.config.host or "",
        secret_headers=test_headers(rollout, headers.TO_CANDIDATE),
        pods=_pods(rollout),
        pod_network=rollout.world.pod_network,
        weight=state.weight,
        reports=str(rollout.world.reports),
    )


def _pods(rollout: Rollout) -> tuple[PodAddress, ...]:
    state = rollout.state
    pods = rollout.cluster.list(
        "Pod", state.namespace, labels=selector_text(state.candidate.pod_labels)
    )
    return tuple(
        PodAddress(name=pod["metadata"]["name"], ip=pod["status"]["podIP"])
        for pod in pods
        if (pod.get("status") or {}).get("podIP") and not pod["metadata"].get("deletionTimestamp")
    )
