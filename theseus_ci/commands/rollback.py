"""rollback as a command: from any workspace, at any point, as often as needed."""

from __future__ import annotations

import argparse

from theseus_ci.commands import options
from theseus_ci.commands.session import Session
from theseus_ci.commands.stage import load_stage
from theseus_ci.errors import EXIT_DONE, StateError
from theseus_ci.model import Verdict
from theseus_ci.plan import Step
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.ending import close
from theseus_ci.rollout.state import ENDED, PHASE_ROLLED_BACK
from theseus_ci.runner import exit_code, run_step

STEP = Step(id="rollback", command=("rollback",), title="Put everything back")


def configure(parser: argparse.ArgumentParser) -> None:
    stage = load_stage("rollback")
    parser.description = stage.DESCRIPTION
    parser.epilog = "example:\n  theseus-ci rollback"
    stage.configure(parser)
    parser.add_argument(
        "--take-over",
        action="store_true",
        help="take back a rollout that another build began: its commands can change nothing more",
    )
    parser.add_argument(
        "--service", metavar="NAME", help="the service, where neither state nor theseus.yaml tells"
    )
    options.add_config(parser, overrides=False)
    options.add_cluster(parser)
    options.add_state(parser)


def run(args: argparse.Namespace) -> int:
    session = Session(args)
    return session.guarded(lambda: _act(session))


def _act(session: Session) -> int:
    try:
        rollout = session.open(take_over=session.args.take_over)
    except StateError as error:
        if session.artefact.exists() or "no rollout of this service" not in str(error):
            raise
        session.console.log(f"nothing to roll back: {error}")
        return EXIT_DONE
    if rollout.state.phase in ENDED:
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
