"""pipeline: what a pipeline has to ask or to tell, besides running the steps of the plan."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from theseus_ci.commands.pipeline_question import question
from theseus_ci.commands.session import Session
from theseus_ci.errors import (
    EXIT_DONE,
    CannotKnow,
    ConfigError,
    NoRollout,
    TheseusError,
    UsageError,
)
from theseus_ci.model import CheckResult, Verdict
from theseus_ci.report.evidence import absent
from theseus_ci.report.junit import write_report
from theseus_ci.rollout import traffic
from theseus_ci.rollout.measured import accept, answered, is_weak, refuse, undecided
from theseus_ci.rollout.situation import died, not_passed, unseen, untouched
from theseus_ci.rollout.state import PHASE_RUNNING, GateAnswer

LOOK_SECONDS = 5.0
OF_NO_STEP = ("lock", "absent", "undecided")


def run(args: argparse.Namespace) -> int:
    session = Session(args)
    if args.act not in OF_NO_STEP and not args.step:
        raise UsageError(f"pipeline {args.act} needs the id of a step")
    return session.guarded(lambda: ACTS[args.act](session))


def _lock(session: Session) -> int:
    config = session.load_config(check_files=False)
    namespace = config.namespace or session.connection.namespace
    print(f"theseus/{namespace}/{config.service}")
    return EXIT_DONE


def _question(session: Session) -> int:
    try:
        state, _ = session.load_state(write=False)
    except NoRollout:
        print(session.args.message or f"Begin {session.args.step}?")
        return EXIT_DONE
    lines = question(
        state,
        session.cluster,
        step=session.args.step,
        message=session.args.message,
        now=session.clock.now(),
        build=os.environ,
    )
    print("\n".join(lines))
    return EXIT_DONE


def _undecided(session: Session) -> int:
    """What a person must decide about a step, or which step waits for that; else nothing."""
    state, _ = session.load_state(write=False)
    step = session.args.step
    if step:
        state.plan.step(step)
        judgement = undecided(state, step)
        if judgement is not None:
            print(judgement.sentence)
    elif state.phase == PHASE_RUNNING:  # nobody needs to decide what is being taken back
        for record in state.steps:
            if undecided(state, record.id) is not None:
                print(record.id)
    return EXIT_DONE


def _approve(session: Session) -> int:
    if not session.args.by:
        raise UsageError("approve needs to know who consented: --by or $THESEUS_ANSWERED_BY")
    return _answer(session, approved=True)


def _refuse(session: Session) -> int:
    """A gate before `begin` has no rollout to record its answer in, and it may be another's that
    is under way: then the report alone tells."""
    if session.is_foreign():
        _report_answer(session, _given(session, approved=False), _service(session), untouched())
        return EXIT_DONE
    try:
        return _answer(session, approved=False)
    except NoRollout as error:
        session.console.log(f"the answer is not recorded: {error}")
        _report_answer(session, _given(session, approved=False), _service(session), untouched())
        return EXIT_DONE


def _answer(session: Session, *, approved: bool) -> int:
    rollout = session.open()
    try:
        answer = _given(session, approved=approved)
        step = rollout.state.plan.step(answer.step)
        note = accept if approved else refuse
        note(rollout.state, step, by=answer.by, at=answer.at, comment=answer.comment)
        rollout.store.save(rollout.state)
    finally:
        session.leave(rollout)
    if approved and is_weak(rollout.state, step.id):
        session.console.log(f"{step.id} is a weak pass: it was accepted without a clear finding")
    _report_answer(session, answer, rollout.state.service, not_passed(rollout.state))
    return EXIT_DONE


def _given(session: Session, *, approved: bool) -> GateAnswer:
    """The answer as the command line has it."""
    args, now = session.args, session.clock.now()
    return GateAnswer(step=args.step, approved=approved, by=args.by, at=now, comment=args.comment)


def _report_answer(
    session: Session, answer: GateAnswer, service: str, situation: Mapping[str, str]
) -> None:
    said = answered(answer)
    session.console.log(f"{answer.step}: {said}")
    result = CheckResult(
        name="approved",
        verdict=Verdict.PASS if answer.approved else Verdict.FAIL,
        message=said,
        seconds=0.0,
        expected=f"consent to {answer.step}",
        actual=_actual(answer),
    )
    try:
        _write(session, f"{answer.step}-gate", service, result, situation)
    except CannotKnow as error:  # what counts has been recorded
        session.console.log(f"warning: {error}")


def _actual(answer: GateAnswer) -> str:
    if answer.by:
        return f"{'yes' if answer.approved else 'no'}, by {answer.by}"
    return answer.comment or "no"


def _crashed(session: Session) -> int:
    """A page without a report hides the failure that should be on it."""
    args = session.args
    if list(Path(args.reports).glob("*.xml")):
        return EXIT_DONE
    service = _service(session)
    if args.code == EXIT_DONE:  # such as a rollback that found nothing to put back
        done = _completed(Verdict.PASS, f"{args.step} had nothing to do")
        _write(session, args.step, service, done)
        return EXIT_DONE
    message = f"{args.step} ended with {_end(args.code)} before it could report"
    result = msgspec.structs.replace(
        _completed(Verdict.ERROR, message),
        expected=f"{args.step} says how it ends",
        actual=f"{_end(args.code)}, and no report",
        remedy="the log of the build says why",
    )
    _write(session, args.step, service, result)  # a build that is aborted may not wait for more
    _write(session, args.step, service, result, _situation(session))
    return EXIT_DONE


def _completed(verdict: Verdict, message: str) -> CheckResult:
    return CheckResult(name="completed", verdict=verdict, message=message, seconds=0.0)


def _end(code: int) -> str:
    """137 as `exit code 137 (SIGKILL)`."""
    try:
        return f"exit code {code} ({signal.Signals(code - 128).name})"
    except ValueError:
        return f"exit code {code}"


def _situation(session: Session) -> dict[str, str]:
    """What can be seen of the rollout in a moment."""
    try:
        session.cluster.hurry(LOOK_SECONDS)
        if session.is_foreign():
            return untouched()
        state, _ = session.load_state(write=False)
    except NoRollout:
        return untouched()
    except (TheseusError, OSError) as error:
        return unseen(str(error))
    now = traffic.describe(session.cluster, state)
    return died(state, now.removeprefix("production traffic: "))


def _absent(session: Session) -> int:
    """Of a rollout that did not begin only begin has a report; the state is then another's."""
    try:
        state = None if session.is_foreign() else session.load_state(write=False)[0]
    except NoRollout:
        state = None
    ran = ("begin",) if state is None else tuple(record.id for record in state.steps)
    for step in absent(Path(session.args.reports), ran):
        print(step)
    return EXIT_DONE


def _service(session: Session) -> str:
    """As good a name as can be had: what is wrong may be the configuration itself."""
    try:
        return session.load_config(check_files=False).service
    except (ConfigError, CannotKnow, OSError):
        return "unknown"


def _write(
    session: Session,
    stage: str,
    service: str,
    result: CheckResult,
    situation: Mapping[str, str] = MappingProxyType({}),
) -> None:
    path = Path(session.args.reports) / f"{stage}.xml"
    try:
        write_report(
            path,
            service=service,
            stage=stage,
            results=[result],
            started=session.clock.now(),
            properties={},
            situation=situation,
        )
    except OSError as error:
        raise CannotKnow(
            f"cannot write the report {path}: {error.strerror}",
            remedy="free disk space, or give another place with --reports",
        ) from error


ACTS: dict[str, Callable[[Session], int]] = {
    "lock": _lock,
    "question": _question,
    "undecided": _undecided,
    "approve": _approve,
    "refuse": _refuse,
    "crashed": _crashed,
    "absent": _absent,
}
