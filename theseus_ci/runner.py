"""One step of a rollout: fence, act, judge, brake, save, report.

A stage returns what it found; everything around it is the same for all of them and stands here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Protocol

import msgspec

from theseus_ci.errors import EXIT_BAD_RELEASE, EXIT_CANNOT_KNOW, EXIT_DONE, TheseusError
from theseus_ci.model import CheckResult, Outcome, Verdict
from theseus_ci.plan import Step
from theseus_ci.report.junit import write_report
from theseus_ci.rollout import brake
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.ground import require_service, require_subsets
from theseus_ci.rollout.last_words import with_last_words
from theseus_ci.rollout.situation import aftermath
from theseus_ci.rollout.state import PHASE_RUNNING, StepRecord

EXIT_CODES = {
    Verdict.PASS: EXIT_DONE,
    Verdict.SKIPPED: EXIT_DONE,
    Verdict.FAIL: EXIT_BAD_RELEASE,
    Verdict.ERROR: EXIT_CANNOT_KNOW,
}


class Stage(Protocol):
    """A module of theseus_ci.stages."""

    CASES: Sequence[str]

    @staticmethod
    def run(rollout: Rollout, args: argparse.Namespace) -> Outcome: ...


def run_step(rollout: Rollout, step: Step, stage: Stage, args: argparse.Namespace) -> Outcome:
    """Run one step, whatever happens record it and write its report; errors pass through.

    A candidate judged bad while it carries traffic loses it before this returns.
    """
    rollout.editor.step = step.id
    started = rollout.clock.now()
    outcome: Outcome | None = None
    failure: BaseException | None = None
    try:
        with rollout.clock.limit(step.timeout):
            if step.skip_reason:
                outcome = _skipped(step)
            else:
                _require_ground(rollout, step)
                outcome = _named(step, stage.run(rollout, args))
    except TheseusError as raised:
        failure = _interruption(rollout, raised)
        raise failure from (raised if failure is not raised else raised.__cause__)
    finally:
        if outcome is None:  # also when nobody foresaw what went wrong
            ended = _error(failure or sys.exc_info()[1])
            _record(rollout, step, ended, started)
            _report(rollout, step, stage, ended, started, carried=rollout.state.weight)
    carried = rollout.state.weight
    if outcome.verdict is Verdict.FAIL:
        brake.pull(rollout, f"{step.id}: {outcome.summary}")
    _record(rollout, step, outcome, started)
    try:
        if outcome.verdict is Verdict.FAIL:
            outcome = with_last_words(rollout, outcome)
    finally:  # with what is known, should a signal cut the reading of logs short
        _report(rollout, step, stage, outcome, started, carried=carried)
    rollout.store.save(rollout.state)
    return outcome


def _require_ground(rollout: Rollout, step: Step) -> None:
    """Forward steps need what the rollout stands on. Raises WorldChanged."""
    state = rollout.state
    if state.phase != PHASE_RUNNING or step.command[0] == "rollback":
        return
    require_service(rollout)
    done = state.done()
    laid = any(one.id in done and one.command[0] == "base-route" for one in state.plan.steps)
    if laid and step.command[0] != "promote":  # which takes the subsets away itself
        require_subsets(rollout)


def exit_code(outcome: Outcome) -> int:
    """0 done or passed, 1 the release is bad, 3 could not know."""
    return EXIT_CODES[outcome.verdict]


def _interruption(rollout: Rollout, error: TheseusError) -> TheseusError:
    """The signal or time limit behind an error: what was cut short fails in its own words."""
    try:
        rollout.clock.check()
    except TheseusError as cause:
        return cause
    return error


def _skipped(step: Step) -> Outcome:
    result = CheckResult(
        name=step.command[0], verdict=Verdict.SKIPPED, message=step.skip_reason, seconds=0.0
    )
    return Outcome(verdict=Verdict.SKIPPED, summary=step.skip_reason, results=(result,))


def _named(step: Step, outcome: Outcome) -> Outcome:
    """An outcome with at least one case, so that the report is never empty."""
    if outcome.results:
        return outcome
    result = CheckResult(
        name=step.command[0], verdict=outcome.verdict, message=outcome.summary, seconds=0.0
    )
    return msgspec.structs.replace(outcome, results=(result,))


def _error(error: BaseException | None) -> Outcome:
    message = str(error) or type(error).__name__
    remedy = getattr(error, "remedy", "")
    result = CheckResult(
        name="completed", verdict=Verdict.ERROR, message=message, seconds=0.0, remedy=remedy
    )
    return Outcome(verdict=Verdict.ERROR, summary=message, results=(result,))


def _record(rollout: Rollout, step: Step, outcome: Outcome, started: float) -> None:
    """Replace an earlier record of the same step: the state says how it stands, not how it went."""
    state = rollout.state
    record = StepRecord(
        id=step.id,
        verdict=outcome.verdict,
        summary=outcome.summary,
        started=started,
        seconds=rollout.clock.now() - started,
        weight=state.weight,
        results=tuple(msgspec.structs.replace(result, evidence="") for result in outcome.results),
    )
    state.steps = [one for one in state.steps if one.id != step.id] + [record]


def _report(
    rollout: Rollout, step: Step, stage: Stage, outcome: Outcome, started: float, *, carried: int
) -> None:
    state = rollout.state
    expected = ["completed", *expected_cases(rollout, stage)]
    results = list(outcome.results)
    if outcome.verdict is not Verdict.ERROR or results[0].name != "completed":
        done = CheckResult(
            name="completed",
            verdict=Verdict.PASS,
            message=outcome.summary,
            seconds=rollout.clock.now() - started,
        )
        results.insert(0, done)
    path = rollout.world.reports / f"{step.id}.xml"
    try:
        write_report(
            path,
            service=state.service,
            stage=step.id,
            results=results,
            expected_names=expected,
            skipped_reason=f"not reached: {outcome.summary}",
            started=started,
            properties={
                "rollout": state.rollout,
                "previous": state.previous.deployment if state.previous else "",
                "candidate": state.candidate.deployment,
                "weight": str(state.weight),
            },
            situation=aftermath(state, outcome.verdict, carried),
        )
    except OSError as error:  # a report that cannot be written must not stop a rollout half way
        rollout.log(f"warning: cannot write the report of {step.id}: {error}")
        return
    if outcome.verdict in (Verdict.FAIL, Verdict.ERROR):
        rollout.log(f"what was expected, what came, and how to repeat it: {path}")


def expected_cases(rollout: Rollout, stage: Stage) -> tuple[str, ...]:
    """The names that the stage's report always holds."""
    cases = tuple(stage.CASES)
    if cases == ("smoke",) and rollout.config.smoke:
        return tuple(check.name for check in rollout.config.smoke)
    return cases
