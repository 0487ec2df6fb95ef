"""run: the whole flow in one process, and everything put back when it fails."""

from __future__ import annotations

import argparse
import signal
import sys
import time

from theseus_ci.commands.asking import agreed, decided
from theseus_ci.commands.begin import begin
from theseus_ci.commands.rollback import roll_back
from theseus_ci.commands.session import Session
from theseus_ci.commands.stage import load_stage, step_arguments
from theseus_ci.errors import (
    EXIT_BAD_RELEASE,
    EXIT_CANNOT_KNOW,
    EXIT_DONE,
    Interrupted,
    LeaseLost,
    StateError,
    TheseusError,
    UsageError,
)
from theseus_ci.model import Verdict
from theseus_ci.plan import Step
from theseus_ci.quantities import counted
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.ending import close
from theseus_ci.rollout.measured import undecided, word
from theseus_ci.rollout.previous import previous_stands
from theseus_ci.rollout.state import (
    PHASE_FAILED,
    PHASE_PROMOTED,
    PHASE_PROMOTING,
    PHASE_ROLLED_BACK,
)
from theseus_ci.runner import exit_code, run_step
from theseus_ci.unforeseen import tell_unforeseen


def run(args: argparse.Namespace) -> int:
    session = Session(args)
    return session.guarded(lambda: _act(session))


def _act(session: Session) -> int:
    if session.args.resume:
        rollout = session.open()
    else:
        begun = begin(session)
        if begun is None:
            raise StateError(
                "this rollout has begun already",
                remedy="theseus-ci run --resume goes on with it, theseus-ci rollback ends it",
            )
        rollout = begun
    try:
        return _follow_plan(session, rollout)
    finally:
        session.leave(rollout)


def _follow_plan(session: Session, rollout: Rollout) -> int:
    _refuse_unanswerable(session, rollout)
    plan = rollout.state.plan
    steps = [step for step in plan.steps if step.command[0] != "begin"]
    load_stage("rollback")  # now: an upgrade in place must not change the program half way
    for step in steps:
        load_stage(step.command[0])
        step_arguments(step)
    session.console.follow()
    for number, step in enumerate(plan.steps, start=1):
        if step not in steps or step.id in rollout.state.upheld():
            continue
        code = _one(session, rollout, step, f"[{number}/{len(plan.steps)}]")
        if code != EXIT_DONE:
            return code
    close(rollout, PHASE_PROMOTED)
    _summarise(session, rollout)
    return EXIT_DONE


def _one(session: Session, rollout: Rollout, step: Step, position: str) -> int:
    session.console.log(f"{position} {step.id}: {step.title}")
    session.console.status.begin(
        f"{position} {step.id}", _weights(rollout), _checks_passed(rollout)
    )
    try:
        if step.gate is not None and not agreed(session, rollout, step, step.gate):
            session.console.log(f"{step.id}: the gate was answered with no, or not in time")
            code = EXIT_BAD_RELEASE
        else:
            code = _perform(session, rollout, step, position)
    except Interrupted as error:
        if error.signal_number == signal.SIGINT and sys.stdin.isatty():
            session.clock.forget()
            session.console.log("Ctrl-C: rolling back (once more: stop here, as it is)")
            _way_back(session, rollout)
        raise
    except LeaseLost:
        raise  # somebody else acts for this rollout: a rollback is theirs to decide
    except TheseusError as error:
        session.tell(error)
        code = error.exit_code
    except Exception:  # noqa: BLE001 (a bug must not leave users on the candidate)
        tell_unforeseen(session.args.command)
        code = EXIT_CANNOT_KNOW
    if code != EXIT_DONE:
        _way_back(session, rollout)
    return code


def _perform(session: Session, rollout: Rollout, step: Step, position: str) -> int:
    started = time.monotonic()
    outcome = run_step(rollout, step, load_stage(step.command[0]), step_arguments(step))
    took = time.monotonic() - started
    said = word(rollout.state, step.id, outcome.verdict)
    session.console.log(f"{position} {step.id}: {said} in {took:.1f} s: {outcome.summary}")
    if undecided(rollout.state, step.id) is None:
        return exit_code(outcome)
    return decided(session, rollout, step)


def _refuse_unanswerable(session: Session, rollout: Rollout) -> None:
    """Gates need somebody to answer. Raises UsageError."""
    gates = [step.id for step in rollout.state.plan.steps if step.gate is not None]
    if gates and not session.args.yes and not sys.stdin.isatty():
        if not rollout.state.adopted and not rollout.state.created:
            close(rollout, PHASE_ROLLED_BACK)  # nothing has been touched yet
        raise UsageError(
            f"the flow asks for consent before {', '.join(gates)}, and nobody is here to answer",
            remedy="run it in a terminal, through the Jenkins library, or with --yes",
        )
    performance = rollout.config.performance
    if performance and performance.on_inconclusive == "gate" and not sys.stdin.isatty():
        session.console.log(
            "performance.onInconclusive is gate and nobody is here to answer: a measurement that "
            "decides nothing will be rolled back"
        )


def _way_back(session: Session, rollout: Rollout) -> None:
    """Roll back, unless the user wants to look first, or there is nothing to go back to."""
    if rollout.state.phase == PHASE_PROMOTING and not previous_stands(rollout):
        session.console.log("the previous version is gone: theseus-ci promote finishes the release")
        return
    rollout.state.phase = PHASE_FAILED
    if session.args.no_rollback:
        return
    session.console.status.begin("rollback", _weights(rollout), _checks_passed(rollout))
    roll_back(session, rollout, argparse.Namespace(unobserved=False))


def _weights(rollout: Rollout) -> str:
    weight = rollout.state.weight
    return f"{100 - weight} % previous, {weight} % candidate"


def _checks_passed(rollout: Rollout) -> int:
    results = (result for step in rollout.state.steps for result in step.results)
    return sum(1 for result in results if result.verdict is Verdict.PASS)


def _summarise(session: Session, rollout: Rollout) -> None:
    session.console.log(f"released: {rollout.state.candidate.deployment}")
    width = max(len(step.id) for step in rollout.state.steps)
    for step in rollout.state.steps:
        checks = sum(1 for result in step.results if result.verdict is Verdict.PASS)
        session.console.log(
            f"  {step.id:<{width}}  {word(rollout.state, step.id, step.verdict):<9}  "
            f"{step.seconds:6.1f} s  "
            f"{step.weight:3d} %  {counted(checks, 'check')} passed"
        )
    session.console.log(f"reports: {rollout.world.reports}/*.xml; as one page: theseus-ci report")
