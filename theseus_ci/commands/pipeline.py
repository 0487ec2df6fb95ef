"""pipeline: what a pipeline has to ask or to tell, besides running the steps of the plan."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from theseus_ci.commands.session import Session
from theseus_ci.errors import EXIT_DONE, CannotKnow, ConfigError, StateError, UsageError
from theseus_ci.model import CheckResult, Verdict
from theseus_ci.report.junit import write_report
from theseus_ci.rollout import traffic
from theseus_ci.rollout.measured import accept, is_weak, undecided, word
from theseus_ci.rollout.state import State, StepRecord


def run(args: argparse.Namespace) -> int:
    session = Session(args)
    if args.act != "lock" and not args.step:
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
    except StateError as error:
        if "no rollout of this service" not in str(error):
            raise
        print(session.args.message or f"Begin {session.args.step}?")
        return EXIT_DONE
    print("\n".join(_words(session, state)))
    return EXIT_DONE


def _words(session: Session, state: State) -> Iterator[str]:
    """Whole sentences, one a line: a page that joins the lines stays readable."""
    gate = next((step.gate for step in state.plan.steps if step.id == session.args.step), None)
    before = state.previous.deployment if state.previous else "nothing"
    usual = gate.message if gate else f"Go on with {session.args.step}?"
    if undecided(state, session.args.step) is not None:
        usual = f"{session.args.step} could not decide. Accept the candidate as it is?"
    yield session.args.message or usual
    yield f"{state.namespace}/{state.service}: {before} → {state.candidate.deployment}."
    said = traffic.describe(session.cluster, state)
    yield f"{said[:1].upper()}{said[1:]}."
    for record in state.steps:
        if record.results:
            yield f"{record.id} ({record.weight} %): {_found(state, record)}."
    for note in state.notes:
        yield f"Note: {note}."
    if os.environ.get("BUILD_URL"):
        yield f"Test report: {os.environ['BUILD_URL']}testReport/"


def _found(state: State, record: StepRecord) -> str:
    passed = sum(1 for result in record.results if result.verdict is Verdict.PASS)
    said = word(state, record.id, record.verdict)
    return f"{said}, {passed} of {len(record.results)} checks, {record.summary}"


def _undecided(session: Session) -> int:
    """What a person must decide; nothing when `step` is not waiting for one."""
    state, _ = session.load_state(write=False)
    state.plan.step(session.args.step)
    judgement = undecided(state, session.args.step)
    if judgement is not None:
        print(judgement.sentence)
    return EXIT_DONE


def _approve(session: Session) -> int:
    args = session.args
    if not args.by:
        raise UsageError("approve needs to know who consented: --by or $THESEUS_APPROVED_BY")
    rollout = session.open()
    try:
        step = rollout.state.plan.step(args.step)
        now = session.clock.now()
        accept(rollout.state, step, by=args.by, at=now)
        rollout.store.save(rollout.state)
    finally:
        session.leave(rollout)
    weakly = ", which makes it a weak pass" if is_weak(rollout.state, step.id) else ""
    session.console.log(f"{step.id}: approved by {args.by}{weakly}")
    result = CheckResult(
        name="approved", verdict=Verdict.PASS, message=f"approved by {args.by}", seconds=0.0
    )
    _write(session, f"{step.id}-gate", rollout.state.service, result)
    return EXIT_DONE


def _crashed(session: Session) -> int:
    """A page without a report hides the failure that should be on it."""
    if list(Path(session.args.reports).glob("*.xml")):
        return EXIT_DONE
    result = CheckResult(
        name="completed",
        verdict=Verdict.ERROR,
        message=f"{session.args.step} ended with exit code {session.args.code} before it could "
        "report; the log of the build says why",
        seconds=0.0,
    )
    _write(session, session.args.step, _service(session), result)
    return EXIT_DONE


def _service(session: Session) -> str:
    """As good a name as can be had: what is wrong may be the configuration itself."""
    try:
        return session.load_config(check_files=False).service
    except (ConfigError, CannotKnow, OSError):
        return "unknown"


def _write(session: Session, stage: str, service: str, result: CheckResult) -> None:
    write_report(
        Path(session.args.reports) / f"{stage}.xml",
        service=service,
        stage=stage,
        results=[result],
        started=session.clock.now(),
        properties={},
    )


ACTS: dict[str, Callable[[Session], int]] = {
    "lock": _lock,
    "question": _question,
    "undecided": _undecided,
    "approve": _approve,
    "crashed": _crashed,
}
