"""The brake: a candidate found bad while it carries traffic loses that traffic at once.

One conditional write per VirtualService, before the command that found it even exits. Where the
previous version was scaled down already, it only gets what its ready pods can carry; the rest
follows with the rollback, which waits for the capacity first.
"""

from __future__ import annotations

from theseus_ci.errors import TheseusError
from theseus_ci.rollout.capacity import previous_strength, restore_previous
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.routes import edit_routes, secret
from theseus_ci.rollout.state import ENDED, PHASE_PROMOTING


def pull(rollout: Rollout, reason: str) -> None:
    """Take the candidate's production traffic away as far as the previous version can carry it.

    Does nothing where the candidate carries none, there is no previous version to carry it, or the
    previous version is being deleted. Never raises a TheseusError: the failure that led here is
    the one to report; what could not be done is logged and left to rollback.
    """
    state = rollout.state
    carries = state.weight > 0 or not state.previous_routed
    if not carries or state.phase in ENDED | {PHASE_PROMOTING} or state.before is None:
        return
    try:
        weight = _bearable_weight(rollout)
        rollout.log(f"brake: the candidate's weight goes to {weight} % ({reason})")
        state.weight = weight
        state.previous_routed = True
        edit_routes(
            rollout,
            f"brake: candidate's weight to {weight} %",
            secret_value=secret(rollout),
        )
    except TheseusError as error:
        rollout.log(f"brake: not complete: {error}; rollback does the rest")


def _bearable_weight(rollout: Rollout) -> int:
    """The candidate's weight that leaves the previous version what its ready pods can carry."""
    ready, before = previous_strength(rollout)
    if ready >= before:
        return 0
    restore_previous(rollout)
    bearable = 100 * ready // max(before, 1)
    return min(rollout.state.weight if rollout.state.previous_routed else 100, 100 - bearable)
