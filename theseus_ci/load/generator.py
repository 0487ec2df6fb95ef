"""The open-model load generator behind `measure.LoadGenerator`."""

from __future__ import annotations

import asyncio
import gc
import random
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from theseus_ci.config.performance import Performance
from theseus_ci.errors import UsageError
from theseus_ci.load.arrivals import gaps, ramp
from theseus_ci.load.pool import Pool
from theseus_ci.load.session import PairPlan, Session
from theseus_ci.load.wire import Address, payload, tls_context
from theseus_ci.measure import LoadTarget, SlicePair, Version, slice_size

new_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    import uvloop
except ImportError:  # no wheel for this platform: slower, and as exact at moderate rates
    new_loop = asyncio.new_event_loop
else:
    new_loop = uvloop.new_event_loop


class Planner(Protocol):
    """What to send, endlessly; see `plan`."""

    def __call__(
        self, versions: tuple[Version, ...], performance: Performance, *, seed: int, size: int
    ) -> Iterator[PairPlan]: ...


class HttpLoadGenerator:
    """Sends HTTP/1.1 requests at their scheduled times, from this process and thread.

    The loop runs only while a pair is being waited for; between `LOOKS` requests may be under way
    when a pair is handed out, so the consumer should think long only at those. A worker of many
    has a plan of its own and never `rests` at them: its consumer is elsewhere.
    """

    def __init__(self, planned: Planner | None = None, *, rests: bool = True) -> None:
        self._planned = planned or plan
        self._rests = rests

    def pairs(
        self,
        target: LoadTarget,
        performance: Performance,
        *,
        seed: int,
        stopped: Callable[[], bool],
        slice_size: int = 0,
    ) -> Iterator[SlicePair]:
        """See `measure.LoadGenerator`."""
        versions: list[Version] = [arm.version for arm in target.arms]
        if len(versions) not in {1, 2} or len(set(versions)) != len(versions):
            raise UsageError(f"load needs one version or two different ones, not {versions}")
        if not 0 < performance.rate <= performance.max_rate:
            raise UsageError(
                f"rate {performance.rate:g} is beyond maxRate {performance.max_rate:g}"
            )
        loop = new_loop()
        gc.freeze()  # a collection of everything imported would hold requests up
        try:
            session = loop.run_until_complete(
                _begin(
                    target, performance, seed, stopped, slice_size, self._planned, rests=self._rests
                )
            )
            try:
                while (pair := loop.run_until_complete(session.next_pair())) is not None:
                    yield pair
            finally:
                loop.run_until_complete(session.close())
        finally:
            gc.unfreeze()
            loop.close()


async def _begin(
    target: LoadTarget,
    performance: Performance,
    seed: int,
    stopped: Callable[[], bool],
    size: int,
    planned: Planner,
    *,
    rests: bool,
) -> Session:
    address = Address.of(target)
    tls = tls_context(performance.tls) if address.tls else None
    places = await address.resolve()
    pools = {
        arm.version: Pool(
            asyncio.get_running_loop(),
            places,
            tls,
            server_name=address.server_name if tls else None,
            bound=performance.connections,
            timeout=performance.timeout,
            expected=performance.expected_statuses(),
            keep_alive=performance.keep_alive,
        )
        for arm in target.arms
    }
    payloads = {
        arm.version: [
            payload(address, arm, request, keep_alive=performance.keep_alive)
            for request in performance.requests
        ]
        for arm in target.arms
    }
    return Session(
        planned(tuple(pools), performance, seed=seed, size=size or slice_size(performance)),
        pools,
        payloads,
        rate=performance.rate,
        timeout=performance.timeout,
        longest=performance.max_duration,
        stopped=stopped,
        rests=rests,
    )


def plan(
    versions: tuple[Version, ...], performance: Performance, *, seed: int, size: int
) -> Iterator[PairPlan]:
    """Endless pairs: a coin decides which version comes first, weights which requests are sent."""
    chance = random.Random(seed)
    weights = [request.weight for request in performance.requests]
    kinds = range(len(weights))
    slices = len(versions)
    warming = deque(ramp(performance, size, slices * size))
    while True:
        order = versions if chance.random() < 0.5 else versions[::-1]
        choices = array("H", chance.choices(kinds, weights, k=size))
        if warming:
            rising = tuple(warming.popleft() for _ in range(slices))
            yield PairPlan(order, choices, rising, judged=False)
        else:
            yield PairPlan(order, choices, (gaps(performance, chance, size),) * slices)
