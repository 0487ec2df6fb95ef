"""Is the candidate still about as fast as in its first run?

The wider of the two comparisons: it holds no moment against another, so what the previous version
beside it cannot show, such as a database that both have slowed down, shows here, and drift of the
environment as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from theseus_ci.judge.wording import ratio_sentence, seconds
from theseus_ci.measure import Finding, LatencyEffect, Measurement


def compare_with_anchor(
    now: Measurement, anchor: Measurement, tolerance: float, *, beside: Measurement | None = None
) -> Iterator[LatencyEffect]:
    """Each quantile against the first run's; `beside` is the previous version as it is now."""
    for name, value in now.quantiles.items():
        reference = anchor.quantiles.get(name)
        if reference is None:
            continue
        ratio = value / reference
        low, high = _interval(now, anchor, name, ratio)
        finding = Finding.PASS
        if ratio > 1 + tolerance:
            finding = Finding.FAIL if low > 1 + tolerance else Finding.INCONCLUSIVE
        sentence = ratio_sentence(
            f"{name} against {anchor.origin or 'the first run'}",
            ratio,
            (low, high),
            tolerance=tolerance,
            finding=finding,
        )
        if finding is not Finding.PASS and beside is not None and name in beside.quantiles:
            sentence += f" (previous version now: {seconds(beside.quantiles[name])})"
        yield LatencyEffect(
            quantile=name,
            finding=finding,
            ratio=ratio,
            low=low,
            high=high,
            tolerance=tolerance,
            candidate=value,
            reference=reference,
            requests=now.judged + anchor.judged,
            sentence=sentence,
        )


def _interval(
    now: Measurement, anchor: Measurement, name: str, ratio: float
) -> tuple[float, float]:
    """Both sides' uncertainties added as squares, on a logarithmic scale."""
    (now_low, now_high), (then_low, then_high) = now.intervals[name], anchor.intervals[name]
    value, reference = now.quantiles[name], anchor.quantiles[name]
    down = math.hypot(math.log(value / now_low), math.log(then_high / reference))
    up = math.hypot(math.log(now_high / value), math.log(reference / then_low))
    return ratio * math.exp(-down), ratio * math.exp(up)
