"""Slices of services that do not exist: seeded latencies with drift, noise, stalls and errors."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator

import msgspec
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from theseus_ci.measure import NO_CONNECTION, OK, Slice, SlicePair, Version

Shape = tuple[int, ...]
Floats = NDArray[np.float64]
Latency = Callable[[Generator, Shape], Floats]
"""Milliseconds of so many requests."""

_BLOCK = 15  # pairs whose latencies are drawn at once
_STALL = 0.2  # seconds


def lognormal(spread: float, median: float = 10.0) -> Latency:
    """`spread` is p99 / p50."""
    sigma = math.log(spread) / 2.3263
    return lambda chance, shape: median * np.exp(sigma * chance.standard_normal(shape))


def pareto_tail() -> Latency:
    """5 % of the answers come from a Pareto tail with alpha 2."""
    body = lognormal(1.5)
    return lambda chance, shape: np.where(
        chance.random(shape) < 0.05, 12.0 * (1.0 + chance.pareto(2.0, shape)), body(chance, shape)
    )


def endpoints() -> tuple[tuple[float, Latency], ...]:
    """Three kinds of request with their shares: a cache, a page, a search."""
    return (0.6, lognormal(2, 3.0)), (0.3, lognormal(3, 10.0)), (0.1, lognormal(4, 40.0))


def bimodal(share: float = 0.1) -> Latency:
    """Hits at 1 ms, a `share` of misses at 20 ms."""
    hit, miss = lognormal(1.5, 1.0), lognormal(1.5, 20.0)
    return lambda chance, shape: np.where(
        chance.random(shape) < share, miss(chance, shape), hit(chance, shape)
    )


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to both versions alike, and what is wrong with the candidate."""

    latency: Latency = lognormal(3)
    kinds: tuple[tuple[float, Latency], ...] = ()  # instead of `latency`, each with its share
    slower: float = 1.0  # all of the candidate's answers
    tail_slower: float = 1.0  # those of its answers that are beyond `tail_from`
    tail_from: float = math.inf  # milliseconds
    drift: float = 0.0  # standard deviation of a slow random walk, as a fraction
    stalls: float = 0.0  # chance that a slice meets a stall of 200 ms
    pauses: float = 0.0  # the same, of the candidate alone
    failing: float = 0.0  # share of the candidate's requests
    previous_failing: float = 0.0
    rate: float = 200.0
    size: int = 100
    late: int = 50  # microseconds of scheduling error
    granularity: int = 1  # microseconds
    alone: bool = False  # no previous version

    def draw(self, chance: Generator, shape: Shape) -> Floats:
        """Milliseconds of requests in good weather; along the second axis, which holds the
        slices of a pair, the kinds of request are the same."""
        if not self.kinds:
            return self.latency(chance, shape)
        shares, latencies = zip(*self.kinds, strict=True)
        asked = chance.choice(len(shares), (shape[0], 1, shape[2]), p=shares)
        return np.choose(asked, [latency(chance, shape) for latency in latencies])


def pairs(world: World, seed: int, count: int = 400) -> Iterator[SlicePair]:
    """Pairs as the load generator would hand them out."""
    chance = np.random.default_rng(seed)
    weather = _Weather(world)
    for first in range(0, count, _BLOCK):
        block = min(_BLOCK, count - first)
        answers = world.draw(chance, (block, 1 if world.alone else 2, world.size))
        for index, drawn in enumerate(answers, first):
            yield SlicePair(index=index, slices=weather.slices(drawn, chance))


class _Weather:
    """What lasts from slice to slice."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._versions: tuple[Version, ...] = ("previous", "candidate")
        if world.alone:
            self._versions = ("candidate",)
        self._clock = self._level = self._noise = 0.0
        self._due = np.arange(world.size) / world.rate
        self._requests = array("H", bytes(2 * world.size))
        self._lateness = array("I", [world.late] * world.size)

    def slices(self, drawn: Floats, chance: Generator) -> tuple[Slice, ...]:
        """The slices of a pair, in an order that a coin decides."""
        order = self._versions if chance.random() < 0.5 else self._versions[::-1]
        made = zip(order, drawn, strict=True)
        return tuple(self._slice(version, answers, chance) for version, answers in made)

    def _slice(self, version: Version, answers: Floats, chance: Generator) -> Slice:
        world = self._world
        candidate = version == "candidate"
        if world.drift:
            self._level += chance.normal(0.0, world.drift / 10)
            self._noise = 0.7 * self._noise + chance.normal(0.0, world.drift / 2)
            answers = answers * math.exp(self._level + self._noise)
        if candidate:
            tail = np.where(answers > world.tail_from, world.tail_slower, 1.0)
            answers = answers * world.slower * tail
        if chance.random() < world.stalls + (world.pauses if candidate else 0.0):
            ends = chance.random() * world.size / world.rate + _STALL
            left = ends - self._due
            answers = answers + np.where((left > 0) & (left <= _STALL), left, 0.0) * 1000
        micros = np.rint(answers * 1000 / world.granularity).astype(np.uint32) * world.granularity
        latencies = array("I")
        latencies.frombytes(np.maximum(micros, 1).astype(np.uint32).tobytes())
        statuses, outcomes = self._outcomes(candidate, chance)
        began = self._clock
        self._clock += world.size / world.rate
        return Slice(
            version=version,
            started=began,
            seconds=world.size / world.rate,
            requests=self._requests,
            latencies=latencies,
            lateness=self._lateness,
            statuses=statuses,
            outcomes=outcomes,
            granularity=world.granularity,
        )

    def _outcomes(self, candidate: bool, chance: Generator) -> tuple[array[int], bytearray]:
        share = self._world.failing if candidate else self._world.previous_failing
        size = self._world.size
        if not share:
            return array("I", [200] * size), bytearray([OK] * size)
        failed = (chance.random(size) < share).tolist()
        return (
            array("I", [0 if one else 200 for one in failed]),
            bytearray(NO_CONNECTION if one else OK for one in failed),
        )
