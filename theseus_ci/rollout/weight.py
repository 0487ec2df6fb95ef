"""The candidate's share of production traffic: where it is, and whether it can be another."""

from __future__ import annotations

from theseus_ci.errors import UsageError
from theseus_ci.mesh.virtual_service import sends_as
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.routes import routing
from theseus_ci.rollout.state import PHASE_PROMOTING, State


def is_at(rollout: Rollout, weight: int) -> bool:
    """Whether that is the last that was asked for, and what the VirtualServices still say."""
    state = rollout.state
    if state.weight != weight:
        return False
    if state.phase == PHASE_PROMOTING:
        return True  # the candidate has all of it, and the routes are becoming the users' again
    wanted = routing(rollout, "")
    found = [rollout.editor.read(ref) for ref in state.routes.virtual_services]
    return all(obj is not None and sends_as(obj, wanted) for obj in found)


def check_possible(state: State, weight: int) -> None:
    """Both versions need routes to share traffic. Raises UsageError."""
    if not state.candidate_routed:
        raise UsageError(
            "the candidate has no route yet: its answers have never been tested",
            remedy="theseus-ci dark-route, then await-mesh and smoke",
        )
    if not state.previous_routed and weight < 100:
        raise UsageError(
            "the previous version is drained already: it can get no traffic back by shift",
            remedy="theseus-ci rollback restores its capacity and its traffic",
        )
