"""Judgements of a rollout as the report shows them."""

from __future__ import annotations

from theseus_ci.measure import Finding, Judgement, LatencyEffect, Measurement
from theseus_ci.model import Verdict
from theseus_ci.quantities import change
from theseus_ci.report.figures import latency
from theseus_ci.report.page_model import LatencyRun, QuantileRow, Series
from theseus_ci.rollout.state import State

_VERDICTS = {
    Finding.PASS: Verdict.PASS,
    Finding.FAIL: Verdict.FAIL,
    Finding.INCONCLUSIVE: Verdict.ERROR,
    Finding.INVALID: Verdict.ERROR,
}


def runs(state: State) -> tuple[LatencyRun, ...]:
    """Every measurement that was judged, in the order of the steps."""
    titles = {step.id: step.title for step in state.plan.steps}
    return tuple(
        _run(state, record.id, titles.get(record.id, record.id), state.judgements[record.id])
        for record in state.steps
        if record.id in state.judgements
    )


def _run(state: State, step: str, title: str, judgement: Judgement) -> LatencyRun:
    previous = state.previous.deployment if state.previous else ""
    candidate = state.candidate.deployment
    series = [_series(candidate, judgement.candidate)]
    anchor = state.first_run
    first_run = (anchor.origin if anchor else "") or "its first run"
    if judgement.previous is not None:
        series.insert(0, _series(previous, judgement.previous))
    elif anchor is not None and judgement.anchors:
        series.insert(0, _series(anchor.origin or f"{candidate}, first run", anchor))
    beside = [_row(effect, f"{previous} beside it", judgement) for effect in judgement.latency]
    before = [_row(effect, first_run, judgement) for effect in judgement.anchors]
    return LatencyRun(
        step=step,
        title=title,
        verdict=judgement.verdict,
        weak=judgement.weak,
        sentence=judgement.sentence,
        load=judgement.load.sentence,
        errors=judgement.errors.sentence,
        series=tuple(series),
        quantiles=(*beside, *before),
    )


def _series(label: str, measured: Measurement) -> Series:
    ordered = sorted(measured.quantiles.items(), key=lambda item: item[1])
    return Series(
        label=label,
        requests=measured.requests,
        histogram=measured.histogram,
        quantiles=tuple(ordered),
        intervals=tuple(
            measured.intervals[name] for name, _ in ordered if name in measured.intervals
        ),
        course=measured.course,
    )


def _row(effect: LatencyEffect, against: str, judgement: Judgement) -> QuantileRow:
    return QuantileRow(
        against=against,
        quantile=effect.quantile,
        reference=latency(effect.reference),
        candidate=latency(effect.candidate),
        change=change(effect.ratio),
        interval=_interval(effect.low, effect.high),
        tolerance=f"{effect.tolerance * 100:+g} %",
        finding=_finding(effect, judgement),
        verdict=_VERDICTS[effect.finding],
    )


def _finding(effect: LatencyEffect, judgement: Judgement) -> str:
    if effect.finding is Finding.PASS:
        return "✓ within"
    if effect.finding is Finding.FAIL:
        return "✗ slower"
    if effect.finding is Finding.INVALID:
        return "! invalid"
    within = effect.ratio <= 1 + effect.tolerance
    if judgement.accepted_by or (judgement.rule == "weak" and within):
        return "≈ weak pass"
    return "? inconclusive"


def _interval(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"{change(low)} to {change(high)}"
    if high is not None:
        return f"below {change(high)}"
    return "unbounded" if low is None else f"above {change(low)}"
