"""Many workers' pairs as one: every sample of every worker, none averaged.

A pair counts when all workers were there for it. The first ones of an early worker, before the last
one has begun, only warm the versions up; so nobody has to give a sign to begin.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from theseus_ci.errors import NoData
from theseus_ci.measure import BadAnswer, Slice, SlicePair, Version
from theseus_ci.workers.order import Order, order_of_versions

MOST_SAMPLES = 3  # examples of errors that a merged slice keeps


class Merger:
    """Takes the workers' pairs in any order of workers, each worker's by rising numbers."""

    def __init__(self, order: Order) -> None:
        self._versions: list[Version] = [arm.version for arm in order.target.arms]
        self._order = order
        self._period = order.timetable.period
        self._waiting: list[dict[int, SlicePair]] = [{} for _ in range(order.workers)]
        self._latest = [-1] * order.workers
        self._first: list[int | None] = [None] * order.workers
        self._next: int | None = None
        self._start = 0
        self._merged = 0
        self._lost = 0

    @property
    def missing(self) -> list[int]:
        """Workers of which no pair has come yet."""
        return [index for index, first in enumerate(self._first) if first is None]

    @property
    def seconds(self) -> float:
        """How much of the timetable has been gone through, pairs that were lost included."""
        return (self._next - self._start) * self._period if self._next is not None else 0.0

    def add(self, index: int, pair: SlicePair) -> None:
        """Take worker `index`'s pair. Raises errors.NoData when it does not fit the order."""
        wanted = order_of_versions(self._versions, self._order.seed, pair.index)
        sent = [one.version for one in pair.slices]
        sizes = {len(one.latencies) for one in pair.slices}
        if sent != list(wanted) or sizes != {self._order.size} or pair.index <= self._latest[index]:
            raise NoData(f"worker {index} sent something else than it was told to")
        self._latest[index] = pair.index
        if self._first[index] is None:
            self._first[index] = pair.index
        self._waiting[index][pair.index] = pair

    def pairs(self) -> Iterator[SlicePair]:
        """What is complete by now, in the order of its numbers; its index counts from 0."""
        if self._next is None:
            begun = [first for first in self._first if first is not None]
            if len(begun) < self._order.workers:
                return
            self._next = self._start = max(begun)
            self._forget_before(self._next)
        while min(self._latest) >= self._next:
            number = self._next
            self._next = number + 1
            parts = [waiting.pop(number, None) for waiting in self._waiting]
            whole = [part for part in parts if part is not None]
            if len(whole) < len(parts):  # somebody could not keep up: the time it took counts
                self._lost += 1
                continue
            lost, self._lost = self._lost * self._period, 0
            yield self._joined(whole, number, lost)
            self._merged += 1

    def _joined(self, parts: Sequence[SlicePair], number: int, lost: float) -> SlicePair:
        """One pair of all workers'; `lost` seconds went by without one before it."""
        begins, count = self._order.timetable.due(number), len(self._versions)
        slices = []
        for position in range(count):
            same = [part.slices[position] for part in parts]
            began = begins + self._period * position / count
            slices.append(_joined_slice(same, began, 0.0 if position else lost))
        return SlicePair(index=self._merged, slices=tuple(slices))

    def _forget_before(self, number: int) -> None:
        for waiting in self._waiting:
            for old in [one for one in waiting if one < number]:
                del waiting[old]


def _joined_slice(parts: Sequence[Slice], began: float, lost: float) -> Slice:
    """The slices of all workers, one after the other; rates add up, so the time is their mean.

    Monotonic clocks of several machines have nothing to do with each other: it began when the
    timetable says."""
    samples: list[BadAnswer] = [sample for part in parts for sample in part.samples]
    outcomes = bytearray()
    for part in parts:
        outcomes += part.outcomes
    return Slice(
        version=parts[0].version,
        started=began,
        seconds=sum(part.seconds for part in parts) / len(parts) + lost,
        requests=_chained("H", [array("H", part.requests) for part in parts]),
        latencies=_chained("I", [part.latencies for part in parts]),
        lateness=_chained("I", [part.lateness for part in parts]),
        statuses=_chained("I", [part.statuses for part in parts]),
        outcomes=outcomes,
        waited=sum(part.waited for part in parts),
        samples=tuple(samples[:MOST_SAMPLES]),
        granularity=max(part.granularity for part in parts),
    )


def _chained(code: str, parts: Sequence[array[int]]) -> array[int]:
    whole = array(code)
    for part in parts:
        whole.extend(part)
    return whole
