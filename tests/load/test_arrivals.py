"""When requests leave, and over which connections: evenly, at random, rising, one by one."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.load.conftest import Serve
from tests.load.servers import Server, always_ok
from theseus_ci.config.performance import Performance, Request
from theseus_ci.judge.summary import summarise_load
from theseus_ci.load.arrivals import gaps, ramp
from theseus_ci.load.generator import HttpLoadGenerator, plan
from theseus_ci.measure import OK, Arm, LoadTarget, SlicePair, Version
from theseus_ci.quantities import Duration

FAST = Performance(requests=(Request(path="/"),), rate=4000, max_rate=20000, connections=8)
VERSIONS: tuple[Version, ...] = ("previous", "candidate")


def changed(**changes: object) -> Performance:
    return msgspec.structs.replace(FAST, **changes)


def measure(server: Server, performance: Performance, pairs: int, size: int) -> list[SlicePair]:
    """So many pairs and, where requests are evenly spaced, no request more."""
    arms = tuple(Arm(version=one, headers={"x-version": one}) for one in VERSIONS)
    exactly = Duration(pairs * len(arms) * size / performance.rate)
    stream = HttpLoadGenerator().pairs(
        LoadTarget(url=server.url(), arms=arms),
        msgspec.structs.replace(performance, max_duration=exactly),
        seed=1,
        stopped=lambda: False,
        slice_size=size,
    )
    return list(stream)


def test_constant_arrivals_are_evenly_spaced() -> None:
    assert set(gaps(changed(rate=200), random.Random(1), 100)) == {5_000_000}


def test_poisson_gaps_have_the_mean_and_the_spread_of_an_exponential_distribution() -> None:
    times = gaps(changed(rate=200, arrivals="poisson"), random.Random(1), 20_000)
    assert statistics.mean(times) == pytest.approx(5e6, rel=0.03)
    assert statistics.stdev(times) == pytest.approx(5e6, rel=0.05)
    beyond = sum(gap > 10e6 for gap in times) / len(times)
    assert beyond == pytest.approx(math.exp(-2), rel=0.1)


def test_both_slices_of_a_pair_arrive_alike_and_no_two_pairs_do() -> None:
    plans = plan(VERSIONS, changed(arrivals="poisson"), seed=1, size=50)
    first, second = itertools.islice(plans, 2)
    assert first.gaps[0] == first.gaps[1]
    assert first.gaps[0] != second.gaps[0]


@settings(max_examples=50, deadline=None)
@given(
    seconds=st.floats(0.5, 60), rate=st.floats(10, 1000), size=st.integers(10, 100), arms=st.just(2)
)
def test_a_ramp_rises_evenly_to_the_rate(seconds: float, rate: float, size: int, arms: int) -> None:
    slices = list(ramp(changed(rate=rate, ramp=Duration(seconds)), size, arms * size))
    times = [gap for one in slices for gap in one]
    assert len(times) % (arms * size) == 0
    assert abs(len(times) - seconds * rate / 2) <= arms * size
    assert sum(times) == pytest.approx(2e9 * len(times) / rate)
    assert all(gap >= later - 1 for gap, later in itertools.pairwise(times))
    assert times[-1] == pytest.approx(1e9 / rate, rel=0.1)


def test_a_random_schedule_is_sent_in_full_and_reaches_its_rate(serve: Serve) -> None:
    server = serve(always_ok)
    performance = changed(rate=1000, arrivals="poisson")
    pairs = measure(server, performance, pairs=15, size=20)
    slices = [one for pair in pairs for one in pair.slices]
    assert 400 < len(server.requests) < 800
    assert sum(len(one.outcomes) for one in slices) > 400
    assert summarise_load(slices, performance).achieved_rate <= 1000


def test_what_the_ramp_sends_is_not_handed_out(serve: Serve) -> None:
    server = serve(always_ok)
    pairs = measure(server, changed(rate=1000, ramp=Duration(0.24)), pairs=15, size=20)
    assert [pair.index for pair in pairs] == list(range(15))
    sent = Counter(seen.headers["x-version"] for seen in server.requests)
    assert sent == {"previous": 360, "candidate": 360}  # 300 each, and three slices of 20


def test_the_longest_duration_counts_from_the_end_of_the_ramp(serve: Serve) -> None:
    server = serve(always_ok)
    assert len(measure(server, changed(rate=1000, ramp=Duration(0.4)), pairs=5, size=20)) == 5


def test_fresh_connections_carry_one_request_each(serve: Serve) -> None:
    server = serve(always_ok)
    pairs = measure(server, changed(rate=500, keep_alive=False), pairs=5, size=20)
    slices = [one for pair in pairs for one in pair.slices]
    assert all(outcome == OK for one in slices for outcome in one.outcomes)
    carried = Counter(seen.connection for seen in server.requests)
    assert set(carried.values()) == {1}
    assert {seen.headers["connection"] for seen in server.requests} == {"close"}
