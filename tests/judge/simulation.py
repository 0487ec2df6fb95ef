"""Slices of services that do not exist: seeded latencies with drift, noise, stalls and errors."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Callable, Iterator

import msgspec

from theseus_ci.measure import NO_CONNECTION, OK, Slice, SlicePair, Version

Latency = Callable[[random.Random], float]
"""Milliseconds of one request."""


def lognormal(spread: float, median: float = 10.0) -> Latency:
    """`spread` is p99 / p50."""
    sigma = math.log(spread) / 2.3263
    return lambda chance: median * math.exp(chance.gauss(0.0, sigma))


def pareto_tail() -> Latency:
    """5 % of the answers come from a Pareto tail with alpha 2."""
    body = lognormal(1.5)
    return lambda chance: (
        12.0 * chance.paretovariate(2.0) if chance.random() < 0.05 else body(chance)
    )


def endpoints() -> tuple[tuple[float, Latency], ...]:
    """Three kinds of request with their shares: a cache, a page, a search."""
    return (6, lognormal(2, 3.0)), (3, lognormal(3, 10.0)), (1, lognormal(4, 40.0))


def any_of(kinds: tuple[tuple[float, Latency], ...]) -> Latency:
    """Answers of all kinds in their proportions."""
    weights, latencies = zip(*kinds, strict=True)
    return lambda chance: chance.choices(latencies, weights)[0](chance)


def bimodal(share: float = 0.1) -> Latency:
    """Hits at 1 ms, a `share` of misses at 20 ms."""
    hit, miss = lognormal(1.5, 1.0), lognormal(1.5, 20.0)
    return lambda chance: miss(chance) if chance.random() < share else hit(chance)


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to both versions alike, and what is wrong with the candidate."""

    latency: Latency = lognormal(3)
    kinds: tuple[tuple[float, Latency], ...] = ()  # instead of `latency`, each with its weight
    slower: float = 1.0  # all of the candidate's answers
    tail_slower: float = 1.0  # those of its answers that are beyond `tail_from`
    tail_from: float = math.inf  # milliseconds
    drift: float = 0.0  # standard deviation of a slow random walk, as a fraction
    stalls: float = 0.0  # chance that a slice meets a stall of 200 ms
    failing: float = 0.0  # share of the candidate's requests
    previous_failing: float = 0.0
    rate: float = 200.0
    size: int = 100
    late: int = 50  # microseconds of scheduling error
    granularity: int = 1  # microseconds
    alone: bool = False  # no previous version


def pairs(world: World, seed: int, count: int = 400) -> Iterator[SlicePair]:
    """Pairs as the load generator would hand them out."""
    chance = random.Random(seed)
    clock, level, noise = 0.0, 0.0, 0.0
    versions: tuple[Version, ...] = ("candidate",) if world.alone else ("previous", "candidate")
    for index in range(count):
        order = versions if chance.random() < 0.5 else versions[::-1]
        answers = _answers(world, chance)
        slices = []
        for version in order:
            level += chance.gauss(0.0, world.drift / 10)
            noise = 0.7 * noise + chance.gauss(0.0, world.drift / 2)
            stalled = chance.random() < world.stalls
            factor = math.exp(level + noise)
            slices.append(_slice(world, chance, version, clock, factor, stalled, answers))
            clock += slices[-1].seconds
        yield SlicePair(index=index, slices=tuple(slices))


def _answers(world: World, chance: random.Random) -> list[Latency]:
    """What both slices of a pair ask for, request by request."""
    if not world.kinds:
        return [world.latency] * world.size
    weights, latencies = zip(*world.kinds, strict=True)
    return chance.choices(latencies, weights, k=world.size)


def _slice(
    world: World,
    chance: random.Random,
    version: Version,
    started: float,
    factor: float,
    stalled: bool,
    answers: list[Latency],
) -> Slice:
    failing = world.failing if version == "candidate" else world.previous_failing
    latencies, statuses, outcomes = array("I"), array("I"), bytearray()
    stall_at = chance.random() * world.size / world.rate if stalled else math.inf
    for index, answer in enumerate(answers):
        value = answer(chance) * factor
        if version == "candidate":
            value *= world.slower * (world.tail_slower if value > world.tail_from else 1.0)
        into_stall = index / world.rate - stall_at
        if 0 <= into_stall < 0.2:
            value += (0.2 - into_stall) * 1000
        micros = max(1, round(value * 1000 / world.granularity) * world.granularity)
        failed = chance.random() < failing
        latencies.append(micros)
        statuses.append(0 if failed else 200)
        outcomes.append(NO_CONNECTION if failed else OK)
    return Slice(
        version=version,
        started=started,
        seconds=world.size / world.rate,
        requests=array("H", bytes(2 * world.size)),
        latencies=latencies,
        lateness=array("I", [world.late] * world.size),
        statuses=statuses,
        outcomes=outcomes,
        granularity=world.granularity,
    )
