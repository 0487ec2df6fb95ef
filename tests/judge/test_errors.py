"""Failed requests: tails against known values, sequential tests, the watch over a bake."""

from __future__ import annotations

import math
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.judge.simulation import World, lognormal, pairs
from theseus_ci.config.performance import ErrorRate
from theseus_ci.judge import ErrorWatch, watch_errors
from theseus_ci.judge.errors import ErrorJudge, Wald
from theseus_ci.judge.tails import binomial_greater, fisher_greater
from theseus_ci.measure import ErrorEffect, Finding

RATES = ErrorRate()
WORLD = World(latency=lognormal(2), size=20)


def effect(world: World, count: int, seed: int = 1) -> ErrorEffect:
    judging = ErrorJudge(RATES)
    for pair in pairs(world, seed, count):
        judging.add(pair)
        if judging.clearly_bad:
            break
    return judging.effect(last=True)


@pytest.mark.parametrize(
    ("table", "tail"),
    [
        ((3, 4, 1, 4), 17 / 70),  # the lady tasting tea
        ((4, 4, 0, 4), 1 / 70),
        ((0, 10, 5, 10), 1.0),
        ((10, 10, 0, 10), 1 / 184756),
    ],
)
def test_fisher_gives_known_tails(table: tuple[int, int, int, int], tail: float) -> None:
    assert fisher_greater(*table) == pytest.approx(tail, rel=1e-12)


@settings(deadline=None)
@given(
    total=st.integers(1, 300),
    other=st.integers(1, 300),
    share=st.floats(0, 1),
    other_share=st.floats(0, 1),
)
def test_fisher_agrees_with_exact_fractions(
    total: int, other: int, share: float, other_share: float
) -> None:
    bad, other_bad = int(share * total), int(other_share * other)
    whole = math.comb(total + other, bad + other_bad)
    ways = sum(
        math.comb(total, k) * math.comb(other, bad + other_bad - k)
        for k in range(bad, min(total, bad + other_bad) + 1)
    )
    exact = float(Fraction(ways, whole))
    assert fisher_greater(bad, total, other_bad, other) == pytest.approx(exact, rel=1e-9)


@given(total=st.integers(1, 60), share=st.floats(0, 1), percent=st.integers(1, 99))
def test_the_binomial_tail_agrees_with_exact_fractions(
    total: int, share: float, percent: int
) -> None:
    bad, chance = int(share * total), Fraction(percent, 100)
    exact = sum(
        math.comb(total, k) * chance**k * (1 - chance) ** (total - k) for k in range(bad, total + 1)
    )
    assert binomial_greater(bad, total, percent / 100) == pytest.approx(float(exact), rel=1e-9)


def test_the_sequential_test_accepts_after_330_requests_without_an_error() -> None:
    test = Wald(0.001, 0.01)
    test.add(0, 329)
    assert test.decision() is Finding.INCONCLUSIVE
    test.add(0, 1)
    assert test.decision() is Finding.PASS


def test_no_errors_pass() -> None:
    assert effect(WORLD, 20).finding is Finding.PASS


def test_too_few_requests_are_no_pass() -> None:
    found = effect(WORLD, 10)
    assert found.candidate_requests == 200
    assert found.finding is Finding.INCONCLUSIVE


@pytest.mark.parametrize("failing", [0.02, 0.2, 1.0])
def test_a_failing_candidate_fails_early(failing: float) -> None:
    for seed in range(10):
        found = effect(msgspec.structs.replace(WORLD, failing=failing), 400, seed)
        assert found.finding is Finding.FAIL
        assert found.candidate_requests < 3000


@pytest.mark.parametrize("failing", [0.0005, 0.01, 0.03])
def test_failing_as_often_as_the_previous_version_is_no_fail(failing: float) -> None:
    world = msgspec.structs.replace(WORLD, failing=failing, previous_failing=failing)
    found = [effect(world, 150, seed).finding for seed in range(20)]
    assert found.count(Finding.FAIL) <= 1
    assert Finding.PASS in found


def test_above_the_limit_nothing_excuses() -> None:
    world = msgspec.structs.replace(WORLD, failing=0.2, previous_failing=0.2)
    found = effect(world, 100)
    assert found.finding is Finding.FAIL
    assert "limit 5%" in found.sentence


def test_without_a_previous_version_the_rates_alone_decide() -> None:
    alone = msgspec.structs.replace(WORLD, alone=True)
    assert effect(alone, 30).finding is Finding.PASS
    assert effect(msgspec.structs.replace(alone, failing=0.03), 100).finding is Finding.FAIL


def test_the_watch_says_nothing_while_all_is_well() -> None:
    assert watch_errors(pairs(WORLD, 1, 500), RATES) is None
    equal = msgspec.structs.replace(WORLD, failing=0.005, previous_failing=0.005)
    assert watch_errors(pairs(equal, 1, 500), RATES) is None


def test_the_watch_sees_a_candidate_that_turns_bad_after_a_long_good_time() -> None:
    watch = ErrorWatch(RATES)
    assert all(watch.add(pair) is None for pair in pairs(WORLD, 1, 1000))
    bad = msgspec.structs.replace(WORLD, failing=0.3)
    alarms = [alarm for pair in pairs(bad, 2, 10) if (alarm := watch.add(pair))]
    assert alarms
    assert "connection" in alarms[0]


def test_the_watch_sees_an_outage_at_once() -> None:
    gone = msgspec.structs.replace(WORLD, failing=1.0)
    alarm = ErrorWatch(RATES).add(next(pairs(gone, 1)))
    assert alarm is not None
    assert "in a row" in alarm


def test_an_outage_of_both_is_not_the_candidates() -> None:
    """The gateway is away: nothing that a rollback would mend."""
    gone = msgspec.structs.replace(WORLD, failing=1.0, previous_failing=1.0)
    assert watch_errors(pairs(gone, 1, 50), RATES) is None
