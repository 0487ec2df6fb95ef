"""From the state of a rollout to what its report shows."""

from __future__ import annotations

from theseus_ci.commands import report_latency, report_objects, report_outcome
from theseus_ci.model import CheckResult, Verdict
from theseus_ci.report.evidence import Evidence
from theseus_ci.report.figures import duration, moment
from theseus_ci.report.page_model import (
    Check,
    GateRow,
    JournalRow,
    Page,
    StepChecks,
    StepRow,
)
from theseus_ci.rollout.measured import answered, is_weak
from theseus_ci.rollout.state import ENDED, PHASE_RUNNING, GateAnswer, State, StepRecord


def page_of(state: State, evidence: Evidence) -> Page:
    """The page of a rollout, as far as it has come."""
    outcome = report_outcome.outcome(state)
    started, ended = _first_moment(state), last_moment(state)
    return Page(
        service=f"{state.namespace}/{state.service}",
        title=outcome.title,
        tone=outcome.tone,
        outcome=outcome.sentence,
        next=outcome.next,
        next_command=outcome.command,
        previous=state.previous.deployment if state.previous else "",
        candidate=state.candidate.deployment,
        facts=_facts(state, started, ended),
        started=started,
        seconds=ended - started,
        steps=tuple(_steps(state)),
        runs=report_latency.runs(state),
        checks=tuple(_checks(state, evidence)),
        gates=tuple(_gates(state)),
        objects=report_objects.objects(state),
        journal=tuple(
            JournalRow(at=entry.at, step=entry.step, act=entry.act, outcome=entry.outcome)
            for entry in state.journal
        ),
        notes=(
            *state.notes,
            *(f"Left out of the plan: {one.title}: {one.reason}" for one in state.plan.left_out),
        ),
        over=state.phase in ENDED,
    )


def _first_moment(state: State) -> float:
    """When begin began: the state is made only after it has looked at everything."""
    return min([state.started] + [record.started for record in state.steps])


def last_moment(state: State) -> float:
    """When the state last heard of the rollout, seconds since the epoch."""
    return max(
        [state.started]
        + [record.started + record.seconds for record in state.steps]
        + [entry.at for entry in state.journal]
        + [answer.at for answer in state.gates]
    )


def _facts(state: State, started: float, ended: float) -> tuple[tuple[str, str], ...]:
    previous = state.previous
    return (
        ("Candidate", _version(state.candidate.deployment, state.candidate.label)),
        ("Previous version", _version(previous.deployment, previous.label) if previous else "none"),
        ("Rollout", state.rollout),
        ("Flow", f"{state.plan.flow}: {state.plan.title}"),
        ("Started", moment(started)),
        ("Took" if state.phase in ENDED else "Took so far", duration(ended - started)),
        ("Run by", state.holder),
        ("theseus-ci", state.theseus),
    )


def _version(deployment: str, label: str) -> str:
    return deployment if label in ("", deployment) else f"{deployment} ({label})"


def _steps(state: State) -> list[StepRow]:
    """The plan's steps in order, with the answers of people where they were given, then what was
    done beside the plan, such as the rollback."""
    records = {record.id: record for record in state.steps}
    absent = "not reached" if state.phase in ENDED else "to come"
    rows: list[StepRow] = []
    for step in state.plan.steps:
        record = records.get(step.id)
        answers = [one for one in state.gates if one.step == step.id]
        before = [one for one in answers if record is None or one.at <= record.started]
        rows += [_consent(state, one) for one in before]
        if record is not None:
            rows.append(_step(state, record, step.title))
        else:
            summary = f"{absent}: {step.title}"
            rows.append(StepRow(id=step.id, title=step.title, verdict=None, summary=summary))
        rows += [_consent(state, one) for one in answers if one not in before]
    planned = {step.id for step in state.plan.steps}
    return rows + [
        _step(state, one, _unplanned(one.id)) for one in state.steps if one.id not in planned
    ]


def _unplanned(step: str) -> str:
    return "Put everything back" if step == "rollback" else f"{step}, which was not planned"


def _consent(state: State, answer: GateAnswer) -> StepRow:
    """A person's answer; it took as long as nothing else was done before it."""
    ended = [one for one in state.steps if one.started + one.seconds <= answer.at]
    last = max(ended, key=lambda one: one.started + one.seconds, default=None)
    since = last.started + last.seconds if last is not None else answer.at
    word = "given" if answer.approved else "refused" if answer.by else "not given"
    return StepRow(
        id=f"consent to {answer.step}",
        title="",
        verdict=Verdict.PASS if answer.approved else Verdict.FAIL,
        summary=_details(answer).removeprefix(": ").strip(),
        started=since,
        seconds=answer.at - since,
        weight=last.weight if last is not None else 0,
        word=word,
    )


def _step(state: State, record: StepRecord, title: str) -> StepRow:
    return StepRow(
        id=record.id,
        title=title,
        verdict=record.verdict,
        summary=record.summary or title,
        started=record.started,
        seconds=record.seconds,
        weight=record.weight,
        weak=is_weak(state, record.id),
        word="to be done again" if record.reopened and state.phase == PHASE_RUNNING else "",
    )


def _checks(state: State, evidence: Evidence) -> list[StepChecks]:
    """Steps that tell more than their summary, in the order in which they ended."""
    titles = {step.id: step.title for step in state.plan.steps}
    groups = []
    for record in state.steps:
        checks = tuple(
            _check(result, evidence.get((record.id, result.name), "")) for result in record.results
        )
        if checks and not _is_summary(record, checks):
            title = titles.get(record.id, _unplanned(record.id))
            groups.append(StepChecks(step=record.id, title=title, checks=checks))
    return groups


def _is_summary(record: StepRecord, checks: tuple[Check, ...]) -> bool:
    """Whether the only check is the step itself, and went well."""
    if len(checks) > 1 or record.verdict not in (Verdict.PASS, Verdict.SKIPPED):
        return False
    only = checks[0]
    return only.message == record.summary and not (only.expected or only.actual or only.evidence)


def _check(result: CheckResult, evidence: str) -> Check:
    return Check(
        name=result.name,
        verdict=result.verdict,
        message=result.message,
        seconds=result.seconds,
        expected=result.expected,
        actual=result.actual,
        evidence=evidence or result.evidence,
        repeat=result.repeat,
        remedy=result.remedy,
    )


def _gates(state: State) -> list[GateRow]:
    """The plan's gates with their last answers, then answers that the plan did not ask for."""
    answers = {answer.step: answer for answer in state.gates}
    rows = []
    for step in state.plan.steps:
        answer = answers.pop(step.id, None)
        if step.gate is not None:
            rows.append(_gate(step.id, step.gate.message, step.gate.submitter, answer))
        elif answer is not None:
            rows.append(_gate(step.id, "", "", answer))
    return rows + [_gate(answer.step, "", "", answer) for answer in answers.values()]


def _gate(step: str, message: str, submitter: str, answer: GateAnswer | None) -> GateRow:
    if answer is None:
        return GateRow(step=step, message=message, submitter=submitter)
    return GateRow(
        step=step,
        message=message,
        submitter=submitter,
        approved=answer.approved,
        details=_details(answer),
        at=answer.at,
    )


def _details(answer: GateAnswer) -> str:
    """Who, and why."""
    return answered(answer).removeprefix("not ").removeprefix("approved")
