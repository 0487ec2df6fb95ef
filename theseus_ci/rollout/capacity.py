"""Pods before traffic: raising the candidate for a weight, restoring the previous version."""

from __future__ import annotations

from theseus_ci.errors import WorldChanged
from theseus_ci.model import Object, clone
from theseus_ci.quantities import counted
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.editor import ref_of
from theseus_ci.rollout.readiness import (
    Readiness,
    await_replicas,
    needed_replicas,
    ready_replicas,
    selector_text,
)
from theseus_ci.rollout.state import Before, Version
from theseus_ci.rollout.users import (
    HIGH,
    LOW,
    follow_candidate_bounds,
    follow_previous_bounds,
    follow_previous_replicas,
    wrote,
)


def replicas_for(rollout: Rollout, weight: int) -> int:
    """How many pods the candidate needs to carry `weight` percent of production traffic."""
    state = rollout.state
    floor = rollout.config.first_replicas
    if weight == 100 and state.candidate.hpa is None:
        floor = max(floor, state.wanted_replicas)
    if state.previous is None or state.before is None:
        return floor if weight < 100 else max(floor, state.wanted_replicas)
    previous = rollout.editor.read(rollout.deployment(state.previous.deployment))
    running = int(previous["spec"].get("replicas", 1)) if previous else 0
    return needed_replicas(weight, max(running, state.before.replicas), floor)


def raise_candidate(rollout: Rollout, replicas: int) -> None:
    """Ask for at least that many candidate pods, of its autoscaler too where it has one."""
    state, candidate = rollout.state, rollout.state.candidate

    def autoscaler_minimum(hpa: Object) -> Object:
        wanted = clone(hpa)
        ref, spec = ref_of(hpa), wanted["spec"]
        follow_candidate_bounds(rollout, ref, hpa)
        for field in (LOW, HIGH):
            if int(spec.get(field, 1)) < replicas:
                wrote(state, ref, field, replicas)
                spec[field] = replicas
        return wanted

    def at_least(deployment: Object) -> Object:
        wanted = clone(deployment)
        wanted["spec"]["replicas"] = max(int(deployment["spec"].get("replicas", 1)), replicas)
        return wanted

    if candidate.hpa is not None:
        rollout.editor.edit(
            rollout.autoscaler(candidate.hpa),
            autoscaler_minimum,
            f"raise the minimum of autoscaler {candidate.hpa} to {replicas}",
        )
    rollout.editor.edit(
        rollout.deployment(candidate.deployment),
        at_least,
        f"raise {candidate.deployment} to {counted(replicas, 'replica')}",
    )


def await_version(rollout: Rollout, version: Version, wanted: int) -> Readiness:
    """Wait until `wanted` pods of a version are ready; see readiness.await_replicas."""
    return await_replicas(
        rollout.cluster,
        rollout.clock,
        namespace=rollout.state.namespace,
        deployment=version.deployment,
        pod_selector=selector_text(version.pod_labels),
        wanted=wanted,
        seconds=float(rollout.config.waits.ready),
        alive=rollout.alive,
        said=rollout.world.progress,
    )


def restore_previous(rollout: Rollout) -> int:
    """Give the previous version its replicas and autoscaler bounds back; return how many pods it
    is to have. What a user changed meanwhile is kept, see rollout.users. Does not wait.

    Raises WorldChanged when its Deployment is gone.
    """
    previous, before = _previous(rollout)
    if previous.hpa is not None and before.hpa_min is not None and before.hpa_max is not None:
        ref = rollout.autoscaler(previous.hpa)
        if rollout.editor.read(ref) is not None:
            rollout.editor.edit(
                ref,
                lambda found: _with_bounds(found, follow_previous_bounds(rollout, ref, found)),
                f"restore the bounds of autoscaler {previous.hpa}",
            )
    deployment = rollout.deployment(previous.deployment)

    def replicas(found: Object) -> Object:
        users = follow_previous_replicas(rollout, deployment, found).replicas
        wanted = clone(found)
        scaled_up = max(int(found["spec"].get("replicas", 1)), users)
        wanted["spec"]["replicas"] = scaled_up if previous.hpa is not None else users
        return wanted

    rollout.editor.edit(deployment, replicas, f"restore the replicas of {previous.deployment}")
    before = _previous(rollout)[1]
    return min(before.replicas, before.hpa_max or before.replicas)


def previous_strength(rollout: Rollout) -> tuple[int, int]:
    """Ready pods of the previous version, and how many it had when the rollout began."""
    previous, before = _previous(rollout)
    deployment = rollout.editor.read(rollout.deployment(previous.deployment))
    status = (deployment or {}).get("status") or {}
    return max(ready_replicas(deployment), int(status.get("readyReplicas", 0))), before.replicas


def _previous(rollout: Rollout) -> tuple[Version, Before]:
    state = rollout.state
    if state.previous is None or state.before is None:
        raise WorldChanged("this rollout has no previous version")
    return state.previous, state.before


def _with_bounds(hpa: Object, before: Before) -> Object:
    wanted = clone(hpa)
    wanted["spec"]["minReplicas"] = before.hpa_min
    wanted["spec"]["maxReplicas"] = before.hpa_max
    return wanted
