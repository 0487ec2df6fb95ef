"""One worker's share of a load: the rate divided by the workers, on a timetable they all know.

Arrivals of all workers together are the whole load's: at a constant rate each worker is one
interval of the whole behind the one before, and Poisson streams add up to one. In each pair both
slices get the same requests at the same distances, and the coin is every worker's.
"""

from __future__ import annotations

import math
import random
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator

import msgspec

from theseus_ci.config.performance import Performance
from theseus_ci.errors import UsageError
from theseus_ci.load.arrivals import gaps, ramp
from theseus_ci.load.generator import HttpLoadGenerator
from theseus_ci.load.session import PairPlan
from theseus_ci.measure import SlicePair, Version
from theseus_ci.quantities import Duration
from theseus_ci.workers.order import Order, order_of_versions

_NANOSECONDS = 1e9
_AHEAD = 20_000_000  # nanoseconds between the decision for a pair and its first request
_LATE = 0.5  # of a pair's time: a worker that is further behind leaves pairs out


def pairs_of(order: Order, index: int, stopped: Callable[[], bool]) -> Iterator[SlicePair]:
    """Send worker `index`'s share; pairs bear their numbers on the timetable.

    Ends after `order.longest` seconds. Raises errors.NoData when nothing can be sent at all, or
    when `stopped()` turns true.
    """
    planned = Share(order, index, clock=time.monotonic_ns, ahead=_wall_ahead())
    return HttpLoadGenerator(planned).pairs(
        order.target, share_of(order), seed=order.seed, stopped=stopped, slice_size=order.size
    )


def share_of(order: Order) -> Performance:
    """The configuration of one worker. Raises errors.UsageError when the whole is over maxRate."""
    whole = order.settings()
    if not 0 < whole.rate <= whole.max_rate:
        raise UsageError(f"rate {whole.rate:g} is beyond maxRate {whole.max_rate:g}")
    return msgspec.structs.replace(
        whole,
        rate=whole.rate / order.workers,
        connections=math.ceil(whole.connections / order.workers),
        max_duration=Duration(order.longest),
    )


class Share:
    """A `generator.Planner`: when asked for the next pair, looks up which one it is time for.

    `clock` gives nanoseconds of the monotonic clock, and the wall clock is `ahead` of it.
    """

    def __init__(self, order: Order, index: int, *, clock: Callable[[], int], ahead: int) -> None:
        self._order = order
        self._index = index
        self._clock = clock
        self._ahead = ahead
        self._timetable = order.timetable
        # Behind the worker before it by one interval of the whole load:
        self._behind = index / order.settings().rate

    def __call__(
        self, versions: tuple[Version, ...], performance: Performance, *, seed: int, size: int
    ) -> Iterator[PairPlan]:
        """See `generator.plan`; `performance` and `size` are the share's."""
        chance = random.Random(f"{seed}/{self._index}")
        weights = [request.weight for request in performance.requests]
        kinds = range(len(weights))
        warming = deque(ramp(performance, size, len(versions) * size))
        while warming:
            rising = tuple(warming.popleft() for _ in versions)
            choices = array("H", chance.choices(kinds, weights, k=size))
            yield PairPlan(versions, choices, rising, judged=False)
        number = -1
        while True:
            number = self._next_after(number)
            choices = array("H", chance.choices(kinds, weights, k=size))
            between = exactly(gaps(performance, chance, size), size / performance.rate)
            yield PairPlan(
                order_of_versions(versions, seed, number),
                choices,
                (between,) * len(versions),
                begins=self._begins(number),
                number=number,
            )

    def _next_after(self, number: int) -> int:
        """The next pair, or a later one where that one's time has passed."""
        now = self._clock()
        latest = now - int(_LATE * self._timetable.period * _NANOSECONDS)
        if number >= 0 and self._begins(number + 1) >= latest:
            return number + 1
        seconds = (now + _AHEAD + self._ahead) / _NANOSECONDS - self._behind
        return max(number + 1, self._timetable.next(seconds))

    def _begins(self, number: int) -> int:
        """When this worker's part of a pair begins, nanoseconds of the monotonic clock."""
        return round((self._timetable.due(number) + self._behind) * _NANOSECONDS) - self._ahead


def exactly(between: array[int], seconds: float) -> array[int]:
    """The same gaps, stretched to `seconds` in all: a timetable cannot wait for a long slice.

    Poisson arrivals stay so: given their number, they are spread evenly at random over the time.
    """
    total = sum(between) or 1
    wanted = round(seconds * _NANOSECONDS)
    stretched = array("Q", [gap * wanted // total for gap in between])
    stretched[-1] += wanted - sum(stretched)
    return stretched


def _wall_ahead() -> int:
    return time.time_ns() - time.monotonic_ns()
