"""One load from many workers: the same timetable, the same coin, and every sample counted."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theseus_ci.config.performance import Performance, Request
from theseus_ci.errors import NoData, UsageError
from theseus_ci.load.session import PairPlan
from theseus_ci.load.share import Share, share_of
from theseus_ci.measure import Arm, BadAnswer, LoadTarget, Slice, SlicePair
from theseus_ci.quantities import Duration
from theseus_ci.workers.chunks import Decoder, Encoder, Hello, Pairs, from_records, to_records
from theseus_ci.workers.merge import Merger
from theseus_ci.workers.order import (
    Order,
    Timetable,
    decode,
    encode,
    order_of_versions,
    settings_in_order,
    share_size,
)

SECOND = 1_000_000_000
BOTH = (Arm(version="previous", headers={}), Arm(version="candidate", headers={}))
REQUESTS = (Request(path="/"), Request(path="/other", weight=3))
WEB = Performance(requests=REQUESTS, rate=800, connections=30)


def order(workers: int = 4, performance: Performance = WEB, arms: tuple[Arm, ...] = BOTH) -> Order:
    return Order(
        rollout="web-1",
        edit=1,
        probe_path="/",
        target=LoadTarget(url="http://web.example.com", arms=arms),
        performance=settings_in_order(performance),
        seed=7,
        workers=workers,
        size=share_size(performance, workers),
        epoch=1000.0,
        longest=60.0,
    )


class Clock:
    """Nanoseconds, as the test sets them; the wall clock is an hour ahead."""

    AHEAD = 3600 * SECOND

    def __init__(self, wall: float) -> None:
        self.now = int(wall * SECOND) - self.AHEAD

    def __call__(self) -> int:
        return self.now


def plans(whole: Order, index: int, clock: Clock) -> Iterator[PairPlan]:
    share = share_of(whole)
    planned = Share(whole, index, clock=clock, ahead=clock.AHEAD)
    versions = tuple(arm.version for arm in whole.target.arms)
    return planned(versions, share, seed=whole.seed, size=whole.size)


def taken(whole: Order, index: int, count: int, wall: float = 1000.0) -> list[PairPlan]:
    """The first pairs of a worker that is always in time."""
    clock, found = Clock(wall), []
    stream = plans(whole, index, clock)
    for _ in range(count):
        plan = next(stream)
        found.append(plan)
        clock.now = max(clock.now, plan.begins + 2 * sum(plan.gaps[0]) - plan.gaps[0][-1])
    return found


# -- who sends what, and when -------------------------------------------------------------------


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_workers_share_coin_and_timetable_whenever_they_join(arrivals: str) -> None:
    whole = order(performance=msgspec.structs.replace(WEB, arrivals=arrivals))
    early, late = taken(whole, 0, 60), taken(whole, 3, 30, wall=1007.3)
    by_number = {plan.number: plan for plan in early}
    common = [(by_number[plan.number], plan) for plan in late if plan.number in by_number]
    assert len(common) > 20
    for one, other in common:
        assert one.order == other.order
        assert other.begins - one.begins == pytest.approx(3 / 800 * SECOND, abs=2)
    assert {plan.order for plan in early} == {("previous", "candidate"), ("candidate", "previous")}


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_both_slices_of_a_pair_get_the_same_requests_at_the_same_distances(arrivals: str) -> None:
    whole = order(performance=msgspec.structs.replace(WEB, arrivals=arrivals))
    for index in range(whole.workers):
        for plan in taken(whole, index, 5):
            assert len(plan.choices) == whole.size
            assert len(set(map(bytes, plan.gaps))) == 1
            assert 2 * sum(plan.gaps[0]) == pytest.approx(whole.timetable.period * SECOND, abs=2)


def test_workers_differ_in_their_requests_and_random_arrivals() -> None:
    whole = order(performance=msgspec.structs.replace(WEB, arrivals="poisson"))
    (one, *_), (other, *_) = taken(whole, 0, 1), taken(whole, 1, 1)
    assert bytes(one.gaps[0]) != bytes(other.gaps[0])


@given(
    workers=st.integers(1, 100),
    rate=st.floats(1, 100_000),
    arms=st.sampled_from([BOTH, BOTH[1:]]),
)
@settings(max_examples=200, deadline=None)
def test_the_sum_of_all_shares_is_the_load_that_was_asked_for(
    workers: int, rate: float, arms: tuple[Arm, ...]
) -> None:
    performance = msgspec.structs.replace(WEB, rate=rate, max_rate=100_000.0)
    whole = order(workers, performance, arms)
    sent = workers * len(arms) * whole.size
    assert sent / whole.timetable.period == pytest.approx(rate)
    assert workers * share_of(whole).rate == pytest.approx(rate)
    assert share_of(whole).connections * workers >= performance.connections


def test_a_typo_in_the_rate_is_refused_by_the_worker_too() -> None:
    with pytest.raises(UsageError, match="rate 5000 is beyond maxRate 1000"):
        share_of(order(performance=msgspec.structs.replace(WEB, rate=5000)))


def test_a_worker_that_falls_behind_leaves_pairs_out_and_never_catches_up_by_a_burst() -> None:
    whole = order()
    clock = Clock(1000.0)
    stream = plans(whole, 0, clock)
    numbers = []
    for delay in (0, 0, 3, 0):
        plan = next(stream)
        numbers.append(plan.number)
        clock.now = plan.begins + int((1 + delay) * whole.timetable.period * SECOND)
    plan = next(stream)
    assert numbers == [1, 2, 3, 8]
    assert plan.number == 9
    assert plan.begins > clock.now - whole.timetable.period * SECOND / 2


def test_the_rate_rises_first_in_each_share() -> None:
    whole = order(performance=msgspec.structs.replace(WEB, ramp=Duration(2)))
    clock = Clock(1000.0)
    stream = plans(whole, 0, clock)
    first = next(stream)
    assert not first.judged
    assert first.gaps[0][0] > first.gaps[0][-1] > first.gaps[1][-1]
    while not (plan := next(stream)).judged:
        clock.now += sum(map(sum, plan.gaps))
    assert plan.number is not None


# -- how it travels -----------------------------------------------------------------------------


def sample(version: str, size: int, chance: random.Random) -> Slice:
    return Slice(
        version=version,  # type: ignore[arg-type]
        started=chance.random(),
        seconds=size / 200,
        requests=array("H", chance.choices(range(2), k=size)),
        latencies=array("I", [chance.randrange(1 << 32) for _ in range(size)]),
        lateness=array("I", chance.choices(range(900), k=size)),
        statuses=array("I", chance.choices((200, 500, 0), k=size)),
        outcomes=bytearray(chance.choices(range(4), k=size)),
        waited=chance.randrange(9),
        samples=(BadAnswer(request="GET /", kind="status", status=500, text="no secret-value"),),
    )


def pair(whole: Order, number: int, chance: random.Random) -> SlicePair:
    versions = [arm.version for arm in whole.target.arms]
    order_here = order_of_versions(versions, whole.seed, number)
    slices = tuple(sample(version, whole.size, chance) for version in order_here)
    return SlicePair(index=number, slices=slices)


def read(decoder: Decoder, lines: list[bytes]) -> list[SlicePair]:
    messages = [message for line in lines if (message := decoder.feed(line)) is not None]
    return [
        one for message in messages if isinstance(message, Pairs) for one in from_records(message)
    ]


@given(seed=st.integers(0, 1 << 32), per_message=st.integers(1, 7), size=st.integers(1, 3000))
@settings(max_examples=25, deadline=None)
def test_samples_arrive_as_they_were_however_often_they_are_read(
    seed: int, per_message: int, size: int
) -> None:
    chance = random.Random(seed)
    whole = msgspec.structs.replace(order(), size=size)
    sent = [pair(whole, number, chance) for number in range(7)]
    encoder, lines = Encoder(), []
    for start in range(0, len(sent), per_message):
        batch = sent[start : start + per_message]
        message = Pairs(at=1.0, pairs=tuple(to_records(one) for one in batch))
        lines += encoder.lines(message).splitlines()
        lines.insert(chance.randrange(len(lines)), b"a warning of Python's")
    assert max(map(len, lines)) < 16 * 1024
    decoder, got, position = Decoder(), [], 0
    while position < len(lines):
        end = position + chance.randrange(1, 9)
        got += read(decoder, lines[max(0, position - chance.randrange(9)) : end])
        position = end
    assert got == sent


def test_a_request_takes_few_bytes_of_a_log() -> None:
    """docs/workers.md gives the figure; 12 requests a slice are a small share of a usual one."""
    chance = random.Random(2)
    whole = msgspec.structs.replace(order(), size=12)
    pairs = []
    for number in range(5):
        one = pair(whole, number, chance)
        slices = tuple(
            msgspec.structs.replace(
                part,
                latencies=array("I", [int(chance.lognormvariate(9, 0.5)) for _ in range(12)]),
                lateness=array("I", [int(chance.expovariate(1 / 60)) for _ in range(12)]),
                statuses=array("I", [200] * 12),
                outcomes=bytearray(12),
                samples=(),
            )
            for part in one.slices
        )
        pairs.append(to_records(SlicePair(index=number, slices=slices)))
    lines = Encoder().lines(Pairs(at=1.0, pairs=tuple(pairs)))
    assert len(lines) / (5 * 2 * 12) < 12


def some_lines(count: int = 4) -> list[bytes]:
    encoder = Encoder()
    return [line for n in range(count) for line in encoder.lines(Hello(index=n, at=0)).splitlines()]


def test_a_line_lost_by_rotation_is_noticed() -> None:
    lines = some_lines()
    decoder = Decoder()
    decoder.feed(lines[0])
    with pytest.raises(NoData, match="line 1 is missing from its log, which was rotated"):
        decoder.feed(lines[2])


@pytest.mark.parametrize("change", ["cut", "flipped", "nonsense"])
def test_a_damaged_line_is_noticed(change: str) -> None:
    line = some_lines()[0]
    damaged = {
        "cut": line[:-4],
        "flipped": line[:-6] + bytes([line[-6] ^ 1]) + line[-5:],
        "nonsense": line[:20],
    }[change]
    with pytest.raises(NoData, match="a line of its samples is damaged"):
        Decoder().feed(damaged)


def test_what_must_not_be_shown_is_blotted_out_of_answers() -> None:
    chance = random.Random(1)
    records = to_records(pair(order(), 0, chance), hidden=("secret-value",))
    assert b"secret-value" not in msgspec.msgpack.encode(records)
    assert b"no \xe2\x80\xa6" in msgspec.msgpack.encode(records)


def test_an_order_is_read_back_and_another_versions_is_refused() -> None:
    whole = order()
    assert decode(encode(whole), "order.json") == whole
    other = encode(msgspec.structs.replace(whole, theseus="0.0.1"))
    with pytest.raises(UsageError, match=r"ordered by theseus-ci 0\.0\.1, and this image holds"):
        decode(other, "order.json")
    for broken in (b"{", b"[]", encode(whole).replace(b'"rate"', b'"rat"')):
        with pytest.raises(UsageError, match=r"order\.json holds no order|ordered by"):
            decode(broken, "order.json")


# -- how it becomes one -------------------------------------------------------------------------


@given(seed=st.integers(0, 1 << 32), workers=st.integers(1, 8), joined=st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_every_sample_from_the_moment_all_were_there_is_in_the_merged_pairs(
    seed: int, workers: int, joined: int
) -> None:
    chance = random.Random(seed)
    whole = order(workers)
    firsts = [chance.randrange(joined + 1) for _ in range(workers)]
    sent = {
        index: [pair(whole, number, chance) for number in range(first, 14)]
        for index, first in enumerate(firsts)
    }
    merger, merged = Merger(whole), []
    waiting = {index: list(pairs) for index, pairs in sent.items()}
    while any(waiting.values()):
        index = chance.choice([index for index, pairs in waiting.items() if pairs])
        merger.add(index, waiting[index].pop(0))
        merged += list(merger.pairs())
    start = max(firsts)
    assert [one.index for one in merged] == list(range(14 - start))
    for got, number in zip(merged, range(start, 14), strict=True):
        parts = [next(p for p in sent[i] if p.index == number) for i in range(workers)]
        for position, one in enumerate(got.slices):
            same = [part.slices[position] for part in parts]
            assert one.latencies == array("I", [v for part in same for v in part.latencies])
            assert one.outcomes == bytearray(v for part in same for v in part.outcomes)
            assert list(one.requests) == [v for part in same for v in part.requests]
            assert one.waited == sum(part.waited for part in same)
            assert len({part.version for part in same} | {one.version}) == 1


def test_a_pair_that_one_left_out_counts_as_lost_time() -> None:
    chance, whole = random.Random(3), order(2)
    merger = Merger(whole)
    for number in range(4):
        merger.add(0, pair(whole, number, chance))
        if number != 1:
            merger.add(1, pair(whole, number, chance))
    merged = list(merger.pairs())
    assert len(merged) == 3
    usual = merged[0].slices[0].seconds
    assert merged[1].slices[0].seconds == pytest.approx(usual + whole.timetable.period)
    assert merged[2].slices[0].seconds == pytest.approx(usual)
    assert merger.seconds == pytest.approx(4 * whole.timetable.period)
    assert merged[1].slices[0].started - merged[0].slices[0].started == pytest.approx(
        2 * whole.timetable.period
    )


def test_nothing_is_said_before_the_last_worker_has_begun() -> None:
    chance, whole = random.Random(4), order(3)
    merger = Merger(whole)
    for index in (0, 2):
        merger.add(index, pair(whole, 5, chance))
    assert list(merger.pairs()) == []
    assert merger.missing == [1]


def test_samples_that_do_not_fit_the_order_are_refused() -> None:
    chance, whole = random.Random(5), order(2)
    merger = Merger(whole)
    good = pair(whole, 1, chance)
    merger.add(0, good)
    turned = SlicePair(index=2, slices=pair(whole, 2, chance).slices[::-1])
    shorter = pair(msgspec.structs.replace(whole, size=3), 2, chance)
    for bad in (good, turned, shorter):
        with pytest.raises(NoData, match="worker 0 sent something else than it was told to"):
            merger.add(0, bad)


def test_slices_are_long_enough_for_clocks_that_differ_a_little() -> None:
    assert share_size(msgspec.structs.replace(WEB, rate=800), 4) == 25
    assert share_size(msgspec.structs.replace(WEB, rate=80_000), 8) == 500
    assert share_size(msgspec.structs.replace(WEB, rate=10), 50) == 2
    assert Timetable(100.0, 0.5).next(101.2) == 3
