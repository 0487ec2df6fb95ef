"""Tails of the distributions the judge needs, exact, without scipy."""

from __future__ import annotations

import math

_NEGLIGIBLE = 1e-20  # of the largest term


def log_choose(n: int, k: int) -> float:
    """The logarithm of the binomial coefficient."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def binomial_greater(bad: int, total: int, chance: float) -> float:
    """How likely `bad` or more of `total` trials go wrong when each does with `chance`."""
    if not 0 < chance < 1:
        return 1.0 if bad <= total * chance else 0.0
    wrong, right = math.log(chance), math.log1p(-chance)
    terms: list[float] = []
    largest = 0.0
    for count in range(bad, total + 1):
        terms.append(math.exp(log_choose(total, count) + count * wrong + (total - count) * right))
        largest = max(largest, terms[-1])
        if count > total * chance and terms[-1] < _NEGLIGIBLE * largest:
            break  # the rest only falls
    return min(1.0, math.fsum(terms))


def fisher_greater(bad: int, total: int, other_bad: int, other_total: int) -> float:
    """Fisher's exact test, one-sided: how likely `bad` of `total` or more is, given the margins,
    if both sides fail equally often. 1.0 when either side is empty."""
    if not total or not other_total:
        return 1.0
    all_bad = bad + other_bad
    everything = log_choose(total + other_total, all_bad)
    most = min(total, all_bad)
    return min(
        1.0,
        math.fsum(
            math.exp(
                log_choose(total, count) + log_choose(other_total, all_bad - count) - everything
            )
            for count in range(bad, most + 1)
        ),
    )
