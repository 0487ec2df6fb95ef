"""Precautions that keep the previous version as it is while the rollout runs, and their end."""

from __future__ import annotations

from theseus_ci.model import Object, clone
from theseus_ci.quantities import counted
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.users import HIGH, LOW, wrote

TEMPLATE_HASH = "pod-template-hash"


def previous_stands(rollout: Rollout) -> bool:
    """Whether the previous version's Deployment is there, and not being deleted."""
    previous = rollout.state.previous
    if previous is None:
        return False
    found = rollout.editor.read(rollout.deployment(previous.deployment))
    return found is not None and not found["metadata"].get("deletionTimestamp")


def pause_previous(rollout: Rollout) -> None:
    """Pause its Deployment where its subset selects by pod-template-hash: a new template would
    leave that subset without pods."""
    state = rollout.state
    subset = state.routes.previous
    if state.previous is None or subset is None or TEMPLATE_HASH not in subset.labels:
        return

    def paused(deployment: Object) -> Object:
        wanted = clone(deployment)
        wanted["spec"]["paused"] = True
        return wanted

    rollout.editor.edit(
        rollout.deployment(state.previous.deployment),
        paused,
        f"pause {state.previous.deployment}: its subset is bound to its present template",
    )


def pin_autoscaler(rollout: Rollout) -> None:
    """Hold its autoscaler at the present replicas where the selectors overlap: it would count
    the candidate's pods as its own."""
    state = rollout.state
    if not state.overlapping or state.previous is None or state.previous.hpa is None:
        return
    before = state.before
    assert before is not None
    ref = rollout.autoscaler(state.previous.hpa)

    def pinned(hpa: Object) -> Object:
        wanted = clone(hpa)
        wanted["spec"]["minReplicas"] = before.replicas
        wanted["spec"]["maxReplicas"] = before.replicas
        wrote(state, ref, LOW, before.replicas)
        wrote(state, ref, HIGH, before.replicas)
        return wanted

    rollout.editor.edit(
        ref,
        pinned,
        f"hold autoscaler {state.previous.hpa} at {counted(before.replicas, 'replica')}: the "
        "selectors of the two Deployments overlap",
    )


def released(rollout: Rollout, deployment: Object) -> Object:
    """The previous Deployment without our pause."""
    before = rollout.state.before
    wanted = clone(deployment)
    if before is not None and not before.paused:
        wanted["spec"].pop("paused", None)
    return wanted
