"""The latency rule on simulated services: a reduced, seeded run of what it was designed by."""

from __future__ import annotations

import random
from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.judge.simulation import World, bimodal, lognormal, pairs, pareto_tail
from theseus_ci import judge
from theseus_ci.config.performance import Performance, Request
from theseus_ci.errors import NoData
from theseus_ci.judge.latency import LatencyJudge
from theseus_ci.measure import Finding, Judgement, SlicePair
from theseus_ci.quantities import Duration

RUNS = 10
SERVICE = Performance(requests=(Request(path="/"),), rate=200)
LN3 = World(latency=lognormal(3))


def verdicts(world: World) -> Counter[Finding]:
    return Counter(judge.compare(pairs(world, seed), SERVICE).finding for seed in range(RUNS))


def compare(world: World, seed: int = 1, count: int = 400) -> Judgement:
    return judge.compare(pairs(world, seed, count), SERVICE)


@pytest.mark.parametrize(
    "world",
    [
        LN3,
        World(latency=lognormal(10)),
        World(latency=bimodal()),
        World(latency=bimodal(0.5)),
        World(latency=lognormal(3, median=6), granularity=1000),
        World(latency=lognormal(3), slower=0.5),
    ],
    ids=["ln3", "ln10", "bimodal", "gap at the median", "coarse timer", "twice as fast"],
)
def test_a_version_no_slower_passes(world: World) -> None:
    assert verdicts(world) == {Finding.PASS: RUNS}


@pytest.mark.parametrize("latency", [lognormal(3), lognormal(10), pareto_tail(), bimodal()])
@pytest.mark.parametrize("slower", [1.25, 10.0])
def test_a_slower_version_fails(latency: object, slower: float) -> None:
    world = msgspec.structs.replace(LN3, latency=latency, slower=slower)
    assert verdicts(world) == {Finding.FAIL: RUNS}


def test_only_the_slowest_hundredth_being_slower_fails() -> None:
    world = msgspec.structs.replace(LN3, tail_slower=1.375, tail_from=28.0)
    assert verdicts(world) == {Finding.FAIL: RUNS}
    failed = [one for one in compare(world).latency if one.finding is Finding.FAIL]
    assert [one.quantile for one in failed] == ["p99"]


@pytest.mark.parametrize("latency", [lognormal(3), pareto_tail()])
def test_drift_noise_and_stalls_never_fail_an_equal_version(latency: object) -> None:
    rough = msgspec.structs.replace(LN3, latency=latency, drift=0.05, stalls=0.02)
    assert verdicts(rough)[Finding.FAIL] == 0


def test_it_stops_asking_once_it_knows() -> None:
    supply = pairs(LN3, 1)
    outcome = judge.compare(supply, SERVICE)
    assert outcome.load.requests == 6000
    assert next(supply, None) is None
    slow = compare(msgspec.structs.replace(LN3, slower=2.0))
    assert slow.load.requests == 3000


def test_a_minimum_duration_delays_a_pass_but_not_a_fail() -> None:
    patient = msgspec.structs.replace(SERVICE, min_duration=Duration(45))
    passed = judge.compare(pairs(LN3, 1), patient)
    assert passed.finding is Finding.PASS
    assert passed.load.seconds >= 45
    failed = judge.compare(pairs(msgspec.structs.replace(LN3, slower=2.0), 1), patient)
    assert failed.finding is Finding.FAIL
    assert failed.load.seconds < 45


def test_the_interval_holds_the_true_ratio() -> None:
    world = msgspec.structs.replace(LN3, slower=1.3)
    effects = [one for seed in range(RUNS) for one in compare(world, seed).latency]
    inside = [one for one in effects if one.low and one.high and one.low <= 1.3 <= one.high]
    assert len(inside) >= 0.9 * len(effects)


def test_a_timer_too_coarse_for_the_latencies_is_refused() -> None:
    world = World(latency=lognormal(2, median=2), granularity=1000)
    with pytest.raises(NoData, match="resolution"):
        compare(world)


def scaled(pair: SlicePair, ratio: float) -> SlicePair:
    """The candidate `ratio` times as slow."""
    slices = tuple(
        msgspec.structs.replace(
            one, latencies=type(one.latencies)("I", [int(x * ratio) for x in one.latencies])
        )
        if one.version == "candidate"
        else one
        for one in pair.slices
    )
    return msgspec.structs.replace(pair, slices=slices)


def judged(sample: list[SlicePair]) -> LatencyJudge:
    judging = LatencyJudge(SERVICE.tolerances())
    for pair in sample:
        judging.add(pair)
    return judging


def finding(sample: list[SlicePair]) -> Finding:
    return judged(sample).look(last=True).finding


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    slower=st.floats(0.7, 1.6),
    more=st.floats(1.0, 2.0),
    spread=st.sampled_from([2.0, 5.0]),
)
def test_slowing_a_candidate_down_never_turns_a_fail_into_a_pass(
    seed: int, slower: float, more: float, spread: float
) -> None:
    sample = list(pairs(World(latency=lognormal(spread), slower=slower), seed, 40))
    worse = [scaled(pair, more) for pair in sample]
    assert (finding(sample), finding(worse)) != (Finding.FAIL, Finding.PASS)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), slower=st.floats(0.7, 1.6), order=st.randoms())
def test_the_order_of_pairs_and_of_slices_does_not_matter(
    seed: int, slower: float, order: random.Random
) -> None:
    sample = list(pairs(World(latency=lognormal(3), slower=slower), seed, 40))
    turned = [msgspec.structs.replace(pair, slices=pair.slices[::-1]) for pair in sample]
    order.shuffle(turned)
    for q in (0.5, 0.95, 0.99):  # dither may move a sample across the threshold
        assert judged(turned).score(q, 1.1).clipped == pytest.approx(
            judged(sample).score(q, 1.1).clipped, abs=0.3
        )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), q=st.floats(0.05, 0.99), ratio=st.floats(0.5, 2.0))
def test_the_pooled_quantile_is_the_one_of_the_sorted_pool(
    seed: int, q: float, ratio: float
) -> None:
    """Found by bisection of two sorted lists; checked against sorting everything."""
    sample = list(pairs(World(latency=lognormal(5), size=20), seed, 5))
    judging = judged(sample)
    pool = sorted(
        value * (ratio if one.version == "previous" else 1.0)
        for pair in sample
        for one in pair.slices
        for value in one.latencies
    )
    above = sum(value > judging.pool_quantile(q, ratio) for value in pool)
    assert abs(above - int((1 - q) * len(pool))) <= 1 + 2  # dither moves ties


def test_swapping_the_versions_turns_the_evidence_round() -> None:
    sample = list(pairs(LN3, 3, 30))
    swapped = [
        msgspec.structs.replace(
            pair,
            slices=tuple(
                msgspec.structs.replace(
                    one, version="candidate" if one.version == "previous" else "previous"
                )
                for one in pair.slices
            ),
        )
        for pair in sample
    ]
    score = judged(sample).score(0.5, 1.0).clipped
    assert score == pytest.approx(-judged(swapped).score(0.5, 1.0).clipped, abs=0.3)
