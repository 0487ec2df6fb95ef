"""The tails in plain Python against scipy's."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import stats

from theseus_ci.judge.tails import binomial_greater, fisher_greater, log_choose

AGREE = 1e-9  # relative


@settings(max_examples=300, deadline=None)
@given(
    total=st.integers(1, 60_000),
    chance=st.floats(1e-5, 0.6),
    deviation=st.floats(-6, 12),
)
@example(total=3_000, chance=0.05, deviation=0.0)
@example(total=60_000, chance=0.001, deviation=12.0)
def test_binomial_tail(total: int, chance: float, deviation: float) -> None:
    spread = math.sqrt(total * chance * (1 - chance))
    bad = min(total, max(0, round(total * chance + deviation * spread)))
    expected = stats.binom.sf(bad - 1, total, chance)
    assume(expected > 1e-200)
    assert binomial_greater(bad, total, chance) == pytest.approx(expected, rel=AGREE, abs=0.0)


@pytest.mark.parametrize("chance", [0.0, 1.0])
@pytest.mark.parametrize("bad", [0, 1, 9, 10])
def test_binomial_tail_of_a_certainty(bad: int, chance: float) -> None:
    assert binomial_greater(bad, 10, chance) == stats.binom.sf(bad - 1, 10, chance)


@settings(max_examples=300, deadline=None)
@given(
    total=st.integers(1, 30_000),
    other_total=st.integers(1, 30_000),
    share=st.floats(0, 0.3),
    factor=st.floats(0, 2),
)
@example(total=1_000, other_total=1_000, share=0.01, factor=0.0)
@example(total=30_000, other_total=30_000, share=0.05, factor=0.8)
def test_fishers_exact_test(total: int, other_total: int, share: float, factor: float) -> None:
    bad, other_bad = round(total * share), min(other_total, round(other_total * share * factor))
    table = [[bad, total - bad], [other_bad, other_total - other_bad]]
    expected = stats.fisher_exact(table, alternative="greater").pvalue
    assume(expected > 1e-200)
    assert fisher_greater(bad, total, other_bad, other_total) == pytest.approx(
        expected, rel=AGREE, abs=0.0
    )


@settings(max_examples=100, deadline=None)
@given(n=st.integers(0, 5_000), k=st.integers(0, 5_000))
def test_binomial_coefficient(n: int, k: int) -> None:
    assume(k <= n)
    assert log_choose(n, k) == pytest.approx(math.log(math.comb(n, k)), rel=1e-12, abs=1e-9)
