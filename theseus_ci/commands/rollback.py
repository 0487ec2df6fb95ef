"""rollback as a command: from any workspace, at any point, as often as needed."""

from __future__ import annotations

import argparse

from theseus_ci.commands.remains import clear_stray_lease, mend
from theseus_ci.commands.session import Session
from theseus_ci.commands.stage import load_stage
from theseus_ci.errors import EXIT_DONE, NoRollout
from theseus_ci.model import Verdict
from theseus_ci.plan import Step
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.ending import close
from theseus_ci.rollout.state import ENDED, PHASE_ROLLED_BACK
from theseus_ci.runner import exit_code, run_step

STEP = Step(id="rollback", command=("rollback",), title="Put everything back")


def run(args: argparse.Namespace) -> int:
    session = Session(args)
    return session.guarded(lambda: _act(session))


def _act(session: Session) -> int:
    if session.args.own and session.is_foreign():
        return EXIT_DONE
    try:
        state, store = session.find(take_over=session.args.take_over)
    except NoRollout as error:
        if not clear_stray_lease(session, own=session.args.own):
            session.console.log(f"nothing to roll back: {error}")
        return EXIT_DONE
    if state.phase not in ENDED:
        mend(session, state, store)
    rollout = session.enter(state, store)
    if state.phase in ENDED:
        clear_stray_lease(session, own=session.args.own)
        session.console.log(
            f"rollout {rollout.state.rollout} is {rollout.state.phase} already: nothing to do"
        )
        return EXIT_DONE if rollout.state.phase == PHASE_ROLLED_BACK else 2
    try:
        return roll_back(session, rollout, session.args)
    finally:
        session.leave(rollout)


def roll_back(session: Session, rollout: Rollout, args: argparse.Namespace) -> int:
    """Run the rollback and, when it is complete, end the rollout."""
    session.console.log(f"rollback: {STEP.title}")
    outcome = run_step(rollout, STEP, load_stage("rollback"), args)
    session.console.log(f"rollback: {outcome.verdict.value}: {outcome.summary}")
    if outcome.verdict is Verdict.PASS:
        close(rollout, PHASE_ROLLED_BACK)
    return exit_code(outcome)
