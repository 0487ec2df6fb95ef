"""Questions to the person at the terminal: the flow's gates, and what a measurement left open."""

from __future__ import annotations

import select
import sys

from theseus_ci.commands.session import Session, user
from theseus_ci.errors import EXIT_BAD_RELEASE, EXIT_CANNOT_KNOW, EXIT_DONE
from theseus_ci.plan import Gate, Step
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.measured import accept, refuse

_DECIDE_WITHIN = 24 * 3600.0  # seconds; as long as a gate waits that has no timeout of its own


def agreed(session: Session, rollout: Rollout, step: Step, gate: Gate) -> bool:
    """Consent before a step; --yes has given it already. No answer in time is a no."""
    if session.args.yes:
        accept(rollout.state, step, by=f"{user()}, with --yes", at=session.clock.now())
        return True
    return _answered(session, rollout, step, gate)


def decided(session: Session, rollout: Rollout, step: Step) -> int:
    """Whether a person takes the candidate although `step` could not decide, as an exit code.

    --yes does not: it answers questions that were known when it was given.
    """
    if not sys.stdin.isatty():
        session.console.log(
            f"{step.id}: a person must decide, and nobody is here to answer (run it in a terminal, "
            "or set performance.onInconclusive to weak or fail)"
        )
        return EXIT_CANNOT_KNOW
    message = f"{step.id} could not decide. Accept the candidate as it is?"
    gate = Gate(message=message, timeout=_DECIDE_WITHIN)
    return EXIT_DONE if _answered(session, rollout, step, gate) else EXIT_BAD_RELEASE


def _answered(session: Session, rollout: Rollout, step: Step, gate: Gate) -> bool:
    session.console.close()
    try:
        answer = _ask(session, rollout, gate)
    finally:
        session.console.follow()
    now = session.clock.now()
    if answer == "yes":
        accept(rollout.state, step, by=user(), at=now)
    else:
        comment = "" if answer else "no answer in time"
        refuse(rollout.state, step, by=user() if answer else "", at=now, comment=comment)
    rollout.store.save(rollout.state)
    return answer == "yes"


def _ask(session: Session, rollout: Rollout, gate: Gate) -> str:
    """yes, no, or nothing when there was no answer in time."""
    session.console.ask(f"{gate.message} [yes/no, within {gate.timeout:g} s] ")
    deadline = session.clock.monotonic() + gate.timeout
    while session.clock.monotonic() < deadline:
        rollout.alive()
        with session.clock.interruptible():
            ready, _, _ = select.select([sys.stdin], [], [], 5.0)
        if ready:
            return "yes" if sys.stdin.readline().strip().lower() in ("y", "yes") else "no"
    return ""
