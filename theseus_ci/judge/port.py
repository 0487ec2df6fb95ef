"""The judge behind its port."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from theseus_ci.config.performance import ErrorRate, Performance
from theseus_ci.judge import cases, verdict
from theseus_ci.judge.errors import ErrorWatch
from theseus_ci.measure import Judgement, Measurement, SlicePair
from theseus_ci.model import CheckResult


class SequentialJudge:
    """Adapter of `ports.Judge`: the sequential sign-flip rule for latency, SPRT for errors."""

    def baseline(self, pairs: Iterator[SlicePair], performance: Performance) -> Judgement:
        """See `verdict.baseline`."""
        return verdict.baseline(pairs, performance)

    def compare(
        self, pairs: Iterator[SlicePair], performance: Performance, anchor: Measurement | None
    ) -> Judgement:
        """See `verdict.compare`."""
        return verdict.compare(pairs, performance, anchor)

    def results(self, judgement: Judgement) -> list[CheckResult]:
        """See `cases.results`."""
        return cases.results(judgement)

    def watch(self, rates: ErrorRate) -> Callable[[SlicePair], str | None]:
        """See `errors.ErrorWatch`."""
        return ErrorWatch(rates).add
