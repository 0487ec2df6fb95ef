"""await-scale-down: watch until the previous version has shrunk."""

from __future__ import annotations

import argparse

from theseus_ci.errors import CannotKnow
from theseus_ci.model import Outcome
from theseus_ci.rollout.autoscaler import idle_because
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.readiness import await_scaled_down
from theseus_ci.rollout.state import Version
from theseus_ci.stages.result import passed, skipped
from theseus_ci.stages.scale_down_previous import REMAINING

CASES = ("scaled-down",)


def run(rollout: Rollout, args: argparse.Namespace) -> Outcome:
    previous = rollout.state.previous
    if previous is None:
        return skipped("scaled-down", "there is no previous version")
    problem = await_scaled_down(
        rollout.cluster,
        rollout.clock,
        namespace=rollout.state.namespace,
        deployment=previous.deployment,
        at_most=REMAINING,
        seconds=float(rollout.config.waits.scale_down),
        alive=rollout.alive,
        said=rollout.world.progress,
    )
    if problem:
        raise CannotKnow(
            problem + _autoscaler_says(rollout, previous),
            remedy="see why: kubectl describe hpa; waits.scaleDown sets the deadline",
        )
    return passed("scaled-down", f"{previous.deployment} has {REMAINING} pod left")


def _autoscaler_says(rollout: Rollout, previous: Version) -> str:
    """Why the previous version's autoscaler does nothing, where it says so itself."""
    if previous.hpa is None:
        return ""
    why = idle_because(rollout.editor.read(rollout.autoscaler(previous.hpa)) or {})
    return f"; autoscaler {previous.hpa}: {why}" if why else ""
