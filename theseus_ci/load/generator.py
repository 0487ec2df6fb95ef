"""The open-model load generator behind `measure.LoadGenerator`."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import sys
import threading
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from theseus_ci.config.performance import Performance
from theseus_ci.errors import UsageError
from theseus_ci.load.arrivals import gaps, ramp
from theseus_ci.load.handover import Handover
from theseus_ci.load.pool import Pool
from theseus_ci.load.session import PairPlan, Session
from theseus_ci.load.wire import Address, payload, tls_context
from theseus_ci.measure import LoadTarget, SlicePair, Version
from theseus_ci.measure import slice_size as _usual_size

_SWITCH = 0.0001  # seconds that a thread may keep the interpreter when another wants it

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
    """Sends HTTP/1.1 requests at their scheduled times, from a thread of its own.

    The thread goes on while its pairs are judged: a load that paused meanwhile would not see what
    happens just then. It ends with the iteration. A worker of many has a plan of its own.
    """

    def __init__(self, planned: Planner | None = None) -> None:
        self._planned = planned or plan

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
        handover = Handover()
        planned = self._planned(
            tuple(versions), performance, seed=seed, size=slice_size or _usual_size(performance)
        )
        sender = _Sender(target, performance, planned, handover)
        with _little_waiting():
            sender.start()
            try:
                while (pair := handover.take(stopped)) is not None:
                    yield pair
            finally:
                sender.stop()


class _Sender:
    """The thread that sends, and the event loop in it."""

    def __init__(
        self,
        target: LoadTarget,
        performance: Performance,
        planned: Iterator[PairPlan],
        handover: Handover,
    ) -> None:
        self._target = target
        self._performance = performance
        self._planned = planned
        self._handover = handover
        self._loop = new_loop()
        self._task = self._loop.create_task(self._send())
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send nothing more; returns when every connection is closed."""
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        except BaseException as raised:  # noqa: BLE001 - raised again in the thread that asked
            error = raised
        finally:
            self._loop.close()
            self._handover.end(error)

    async def _send(self) -> None:
        session = await self._begin()
        await session.run()

    async def _begin(self) -> Session:
        target, performance = self._target, self._performance
        address = Address.of(target)
        tls = tls_context(performance.tls) if address.tls else None
        places = await address.resolve()
        pools = {
            arm.version: Pool(
                self._loop,
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
            self._planned,
            pools,
            payloads,
            self._handover,
            rate=performance.rate,
            timeout=performance.timeout,
            longest=performance.max_duration,
        )


@contextlib.contextmanager
def _little_waiting() -> Iterator[None]:
    """Let whoever computes meanwhile keep the sending thread waiting for a moment only."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH)
    gc.freeze()  # a collection of everything imported would hold requests up
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(usual)


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
