"""scale-down-previous: let the previous version shrink to one pod."""

from __future__ import annotations

import argparse
import copy

from theseus_ci.errors import UsageError
from theseus_ci.model import Object, Outcome
from theseus_ci.rollout.context import Rollout
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
    rollout.view.await_settled(state.edited_at, f"before {previous.deployment} is scaled down")
    if previous.hpa is not None:
        rollout.editor.edit(
            rollout.autoscaler(previous.hpa),
            lambda hpa: _lowered(hpa, pinned=state.overlapping),
            f"lower the minimum of autoscaler {previous.hpa} to {REMAINING}",
        )
        return passed("scaled", f"autoscaler {previous.hpa} may scale down to {REMAINING}")
    rollout.editor.edit(
        rollout.deployment(previous.deployment),
        _scaled,
        f"scale {previous.deployment} to {REMAINING} replica",
    )
    return passed("scaled", f"{previous.deployment} is scaled to {REMAINING} replica")


def _lowered(hpa: Object, *, pinned: bool) -> Object:
    lowered = copy.deepcopy(hpa)
    lowered["spec"]["minReplicas"] = REMAINING
    if pinned:
        lowered["spec"]["maxReplicas"] = REMAINING
    return lowered


def _scaled(deployment: Object) -> Object:
    scaled = copy.deepcopy(deployment)
    scaled["spec"]["replicas"] = min(REMAINING, int(deployment["spec"].get("replicas", 1)))
    return scaled
