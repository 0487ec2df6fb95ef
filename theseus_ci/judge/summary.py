"""A run's samples as figures: how fast, how many errors, whether the load was right."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator

from theseus_ci.config.performance import Performance
from theseus_ci.measure import QUANTILES, BadAnswer, LoadRun, Measurement, Slice, Version

_Z = 2.576  # of a 99 % interval
_BINS_PER_DECADE = 20
_MOST_SAMPLES = 5
_MOST_POINTS = 150


def quantile(ordered: list[float] | list[int], q: float) -> float:
    """The smallest value with at least a share `q` of `ordered` (ascending) at or below it."""
    return ordered[min(len(ordered) - 1, max(0, math.ceil(q * len(ordered)) - 1))]


def summarise_load(slices: Iterable[Slice], performance: Performance) -> LoadRun:
    """Achieved rate and scheduling error of a run, and whether they are good enough."""
    lateness: list[int] = []
    seconds = 0.0
    waited = 0
    for one in slices:
        lateness.extend(one.lateness)
        seconds += one.seconds
        waited += one.waited
    lateness.sort()
    error = quantile(lateness, 0.99) / 1e6 if lateness else 0.0
    achieved = len(lateness) / seconds if seconds else 0.0
    faults = []
    if error > performance.max_scheduling_error:
        allowed = performance.max_scheduling_error * 1e3
        faults.append(f"1 % of the requests left over {error * 1e3:.2f} ms late ({allowed:g} ms)")
    if achieved < performance.min_achieved * performance.rate:
        faults.append(
            f"{achieved:.1f} of {performance.rate:g} requests a second ({performance.min_achieved})"
        )
    sentence = (
        f"the generator could not keep up: {' and '.join(faults)}"
        if faults
        else f"{achieved:.1f} requests a second, {_timeliness(error, performance)}"
    )
    return LoadRun(
        requests=len(lateness),
        seconds=seconds,
        target_rate=performance.rate,
        achieved_rate=achieved,
        scheduling_error=error,
        waited=waited,
        valid=bool(lateness) and not faults,
        sentence=sentence if lateness else "no request was sent",
    )


def _timeliness(error: float, performance: Performance) -> str:
    if performance.driver is not None:
        return f"as {performance.driver.tool} sent them, which does not tell how late"
    return f"99 % of them at most {error * 1e3:.2f} ms late"


def summarise(version: Version, slices: Iterable[Slice]) -> Measurement:
    """One version's slices as figures. Quantiles are absent when no request was answered."""
    latencies: list[int] = []
    by_slice: list[list[int]] = []
    errors: dict[str, int] = {}
    samples: list[BadAnswer] = []
    requests = 0
    for one in slices:
        requests += len(one.latencies)
        by_slice.append(one.judged())
        latencies.extend(by_slice[-1])
        for kind, count in one.errors().items():
            errors[kind] = errors.get(kind, 0) + count
        samples.extend(one.samples)
    latencies.sort()
    return Measurement(
        version=version,
        requests=requests,
        judged=len(latencies),
        errors=errors,
        quantiles={k: quantile(latencies, q) / 1e6 for k, q in QUANTILES.items() if latencies},
        intervals={k: _interval(latencies, q) for k, q in QUANTILES.items() if latencies},
        histogram=_histogram(latencies),
        samples=tuple(samples[:_MOST_SAMPLES]),
        course=tuple(_course(by_slice)),
    )


def _course(by_slice: list[list[int]]) -> Iterator[float]:
    """The p95 of each slice, seconds; of several together where there are more than a picture
    can show. A slice without an answer has none."""
    together = math.ceil(len(by_slice) / _MOST_POINTS)
    for first in range(0, len(by_slice), max(1, together)):
        values = sorted(itertools.chain.from_iterable(by_slice[first : first + together]))
        if values:
            yield quantile(values, QUANTILES["p95"]) / 1e6


def _interval(ordered: list[int], q: float) -> tuple[float, float]:
    """Order statistics around quantile `q`, seconds."""
    spread = _Z * math.sqrt(q * (1 - q) / len(ordered))
    return (
        quantile(ordered, max(0.0, q - spread)) / 1e6,
        quantile(ordered, min(1.0, q + spread)) / 1e6,
    )


def _histogram(ordered: list[int]) -> tuple[tuple[float, int], ...]:
    counts: dict[int, int] = {}
    for value in ordered:
        bin_number = math.ceil(_BINS_PER_DECADE * math.log10(max(value, 1)))
        counts[bin_number] = counts.get(bin_number, 0) + 1
    return tuple(
        (10 ** (number / _BINS_PER_DECADE) / 1e6, count) for number, count in sorted(counts.items())
    )
