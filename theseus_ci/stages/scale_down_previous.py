"""scale-down-previous: let the previous version shrink to one pod."""

from __future__ import annotations

import argparse

from theseus_ci.errors import UsageError
from theseus_ci.model import Object, Outcome, clone
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.state import Ref
from theseus_ci.rollout.users import (
    HIGH,
    LOW,
    REPLICAS,
    follow_previous_bounds,
    follow_previous_replicas,
    wrote,
)
from theseus_ci.stages.result import passed, skipped

CASES = ("scaled",)
REMAINING = 1


def run(rollout: Rollout, args: argparse.Namespace) -> Outcome:
    state = rollout.state
    previous = state.previous
    if previous is None:
        return skipped("scaled", "there is no previous version")
    if state.previous_routed:
        raise UsageError(
            f"{previous.deployment} is still in the routes: scaling it down would lose requests",
            remedy="theseus-ci drain-previous first",
        )
    rollout.view.await_settled(
        state.unsettled_since, f"before {previous.deployment} is scaled down"
    )
    if previous.hpa is not None:
        ref = rollout.autoscaler(previous.hpa)
        rollout.editor.edit(
            ref,
            lambda hpa: _lowered(rollout, ref, hpa),
            f"lower the minimum of autoscaler {previous.hpa} to {REMAINING}",
        )
        return passed("scaled", f"autoscaler {previous.hpa} may scale down to {REMAINING}")
    deployment = rollout.deployment(previous.deployment)
    rollout.editor.edit(
        deployment,
        lambda found: _scaled(rollout, deployment, found),
        f"scale {previous.deployment} to {REMAINING} replica",
    )
    return passed("scaled", f"{previous.deployment} is scaled to {REMAINING} replica")


def _lowered(rollout: Rollout, ref: Ref, hpa: Object) -> Object:
    """Lower its minimum; where it is pinned (overlapping selectors), its maximum too."""
    follow_previous_bounds(rollout, ref, hpa)
    lowered = clone(hpa)
    for field in (LOW, HIGH) if rollout.state.overlapping else (LOW,):
        wrote(rollout.state, ref, field, REMAINING)
        lowered["spec"][field] = REMAINING
    return lowered


def _scaled(rollout: Rollout, ref: Ref, deployment: Object) -> Object:
    follow_previous_replicas(rollout, ref, deployment)
    scaled = clone(deployment)
    replicas = min(REMAINING, int(deployment["spec"].get("replicas", 1)))
    wrote(rollout.state, ref, REPLICAS, replicas)
    scaled["spec"]["replicas"] = replicas
    return scaled
