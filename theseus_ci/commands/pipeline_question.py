"""What people should know before they consent to a step: versions, weights, checks, latencies.

Whole sentences, one a line: Jenkins shows the lines of a question as one paragraph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from theseus_ci.commands import report_latency
from theseus_ci.model import Verdict
from theseus_ci.ports import Cluster
from theseus_ci.report.figures import duration
from theseus_ci.report.page_model import LatencyRun
from theseus_ci.rollout import traffic
from theseus_ci.rollout.measured import undecided, word
from theseus_ci.rollout.state import State, StepRecord

JUDGING = frozenset({"smoke", "performance", "bake"})  # commands that find out about the candidate


def question(
    state: State, cluster: Cluster, *, step: str, message: str, now: float, build: Mapping[str, str]
) -> Iterator[str]:
    """The lines. `message` replaces the flow's own words, `now` is seconds since the epoch, `build`
    holds Jenkins' BUILD_URL and the path of the archived report below it (THESEUS_PAGE)."""
    gate = next((one.gate for one in state.plan.steps if one.id == step), None)
    before = state.previous.deployment if state.previous else "nothing"
    usual = gate.message if gate else f"Go on with {step}?"
    if undecided(state, step) is not None:
        usual = f"{step} could not decide. Accept the candidate as it is?"
    yield message or usual
    yield f"{state.namespace}/{state.service}: {before} → {state.candidate.deployment}."
    said = traffic.describe(cluster, state)
    since = f", for {duration(now - state.edited_at)}" if state.weight and state.edited_at else ""
    yield f"{said[:1].upper()}{said[1:]}{since}."
    yield _progress(state)
    yield from _findings(state)
    for note in state.notes:
        yield f"Note: {note}."
    url = build.get("BUILD_URL")
    if url:
        if build.get("THESEUS_PAGE"):
            yield f"Report: {url}{build['THESEUS_PAGE']}"
        yield f"Test results: {url}testReport/"


def _progress(state: State) -> str:
    """How many steps and checks have passed; by name, what has not."""
    results = [(record.id, result) for record in state.steps for result in record.results]
    bad = [
        f"{step}: {result.name} ({result.message})"
        for step, result in results
        if result.verdict in (Verdict.FAIL, Verdict.ERROR)
    ]
    passed = sum(1 for _, result in results if result.verdict is Verdict.PASS)
    done = f"{len(state.done())} of {len(state.plan.steps)} steps done; checks passed: {passed}"
    return f"{done}; not passed: {'; '.join(bad)}." if bad else f"{done}, none failed."


def _findings(state: State) -> Iterator[str]:
    """A sentence for each step that has judged the candidate."""
    commands = {step.id: step.command[0] for step in state.plan.steps}
    runs = {run.step: run for run in report_latency.runs(state)}
    for record in state.steps:
        if record.id in runs:
            verdict = word(state, record.id, record.verdict)
            yield f"{record.id} ({record.weight} %): {_latency(runs[record.id], verdict)}."
        elif commands.get(record.id) in JUDGING:
            yield f"{record.id} ({record.weight} %): {_checks(record)}."


def _checks(record: StepRecord) -> str:
    passed = sum(1 for result in record.results if result.verdict is Verdict.PASS)
    return f"{passed} of {len(record.results)} passed, {record.summary}"


def _latency(run: LatencyRun, verdict: str) -> str:
    """The quantiles beside the previous version's, or the first run's where that is gone."""
    told = ", ".join(
        f"{row.quantile} {row.reference} → {row.candidate} ({row.change})"
        for row in run.quantiles
        if row.against == run.quantiles[0].against
    )
    return "; ".join(part for part in (verdict, told, run.errors or run.sentence) if part)
