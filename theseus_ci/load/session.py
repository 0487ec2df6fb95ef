"""The schedule: requests leave when they are due, whatever became of the ones before."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from theseus_ci.errors import NoData
from theseus_ci.load.exchange import Exchange, SliceRun
from theseus_ci.load.pool import Pool
from theseus_ci.load.timer import Timer
from theseus_ci.load.wire import Payload
from theseus_ci.measure import LOOKS, TIMED_OUT, SlicePair, Version

_LEAD = 10_000_000  # nanoseconds between a decision to send and the first request
_CATCH_UP = 250_000_000  # beyond this delay the schedule moves: never a burst
_HOUSEKEEPING = 0.05  # seconds between two looks at timeouts and at `stopped`
_WARM_FROM = 0.8  # share of a slice after which the next one's connections are opened
_CONNECT = 0.8  # seconds that the first connections may take before the schedule starts
_NOTICEABLE = 100_000  # nanoseconds without a running loop that a request in flight would feel


class PairPlan(msgspec.Struct, frozen=True):
    """Which requests go to which version next, and when; the same in each slice."""

    order: tuple[Version, ...]
    choices: array[int]
    gaps: tuple[array[int], ...]  # for each slice, nanoseconds from each request to the next
    judged: bool = True  # False: only warms the versions up
    begins: int = 0  # nanoseconds of the monotonic clock: not earlier than this
    number: int | None = None  # the pair's, where it has one on a timetable; default: counted


class _PairRun(msgspec.Struct, frozen=True):
    index: int
    runs: tuple[SliceRun, ...]
    judged: bool

    @property
    def complete(self) -> bool:
        return all(run.complete for run in self.runs)


class Session:
    """Sends pair after pair without a gap, and hands each out once every outcome is known."""

    def __init__(
        self,
        plans: Iterator[PairPlan],
        pools: Mapping[Version, Pool],
        payloads: Mapping[Version, list[Payload]],
        *,
        rate: float,
        timeout: float,
        longest: float,
        stopped: Callable[[], bool],
        rests: bool = True,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._rests = rests  # at looks, until the consumer has thought; a worker's does not think
        self._plans = plans
        self._pools = pools
        self._payloads = payloads
        self._interval = 1e9 / rate
        self._timeout = int(timeout * 1e9)
        self._longest = int(longest * 1e9)
        self._stopped = stopped
        self._timer = Timer(self._loop, self._send_due)
        self._wake = asyncio.Event()
        self._crash: BaseException | None = None
        self._loop.set_exception_handler(self._keep_crash)
        self._pending: deque[_PairRun] = deque()
        self._to_send: deque[SliceRun] = deque()
        self._in_flight: deque[Exchange] = deque()  # in the order they time out
        self._begun = 0  # pairs that are judged
        self._due = 0  # when the next request is due
        self._start = 0
        self._end = 0  # 0 until the versions are warm
        self._ended = False
        self._left = 0  # when the loop last stopped running
        self._keeper = self._loop.call_later(_HOUSEKEEPING, self._keep_house)

    async def next_pair(self) -> SlicePair | None:
        """The next pair, None at the end of the time. Raises errors.NoData when stopped."""
        await self._resume()
        while True:
            if self._crash is not None:
                raise self._crash
            if self._stopped():
                complete = self._begun - sum(pair.judged for pair in self._pending)
                raise NoData(f"the measurement was stopped after {complete} pairs of slices")
            if self._pending and self._pending[0].complete:
                done = self._pending.popleft()
                if not done.judged:
                    continue
                self._left = time.monotonic_ns()
                slices = tuple(run.slice(self._interval) for run in done.runs)
                return SlicePair(index=done.index, slices=slices)
            if self._ended and (not self._pending or self._pending[0].runs[-1] in self._to_send):
                return None
            await self._wake.wait()
            self._wake.clear()

    async def close(self) -> None:
        """Send nothing more, drop what is under way, free every connection."""
        self._ended = True
        self._keeper.cancel()
        self._timer.close()
        for pool in self._pools.values():
            await pool.close(deadline=1.0)
        self._loop.set_exception_handler(None)

    async def _resume(self) -> None:
        """Go on after the caller has had control; requests that fell due meanwhile move."""
        now = time.monotonic_ns()
        if not self._start:
            for pool in self._pools.values():
                pool.warm()
            for pool in self._pools.values():
                await pool.settled(_CONNECT)
            self._start = time.monotonic_ns()
            self._begin_schedule()
        elif not self._to_send and not self._pending:
            self._begin_schedule()
        else:
            gap = now - self._left
            self._due += gap
            if self._to_send:
                self._to_send[0].note_moved(gap)
                self._timer.at(self._due)
            if gap > _NOTICEABLE:
                await self._note_answers_read_late(gap)

    async def _note_answers_read_late(self, gap: int) -> None:
        """What is answered as soon as the loop runs again may have waited for it."""
        under_way = [exchange for exchange in self._in_flight if not exchange.done]
        for _ in range(2):  # turns of the loop; sockets have been read after that
            await asyncio.sleep(0)
        for exchange in under_way:
            if exchange.done:
                exchange.run.note_delay(exchange.index, gap)

    def _begin_schedule(self) -> None:
        self._due = time.monotonic_ns() + _LEAD
        for pool in self._pools.values():
            pool.warm()
        if self._begin_pair():
            self._timer.at(self._due)

    def _begin_pair(self) -> bool:
        if self._ended:
            return False
        plan = next(self._plans)
        self._due = max(self._due, plan.begins)
        runs = tuple(
            SliceRun(version, plan.choices, gaps, self._payloads[version], self._wake.set)
            for version, gaps in zip(plan.order, plan.gaps, strict=True)
        )
        number = self._begun if plan.number is None else plan.number
        self._pending.append(_PairRun(number, runs, plan.judged))
        self._to_send.extend(runs)
        if plan.judged:
            self._begun += 1
            self._end = self._end or self._due + self._longest
        return True

    def _send_due(self) -> None:
        """Send everything that is due, then set the timer for the next request."""
        while self._to_send and not self._ended:
            run = self._to_send[0]
            if not self._send(run, self._pools[run.version]):
                return
            self._to_send.popleft()
            if not self._to_send and (self._resting() or not self._begin_pair()):
                return  # until the next pair is asked for

    def _send(self, run: SliceRun, pool: Pool) -> bool:
        """Send what is due of a slice; whether that was all of it."""
        due, gaps, clock = self._due, run.gaps, time.monotonic_ns
        warm_at = int(run.size * _WARM_FROM)
        while (position := run.sent) < run.size:
            now = clock()
            if due > now:
                self._due = due
                self._timer.at(due)
                return False
            if self._end and now >= self._end:
                self._ended = True
                self._wake.set()
                return False
            exchange = run.next(due, now)
            self._in_flight.append(exchange)
            pool.send(exchange, now)
            if now - due > _CATCH_UP:
                run.note_moved(now - due)
                due = now
            due += gaps[position]
            if position == warm_at:
                self._warm_others(pool)
        self._due = due
        return True

    def _resting(self) -> bool:
        return self._rests and self._end > 0 and self._begun in LOOKS

    def _warm_others(self, busy: Pool) -> None:
        for pool in self._pools.values():
            if pool is not busy:
                pool.warm()

    def _keep_house(self) -> None:
        now = time.monotonic_ns()
        flying = self._in_flight
        while flying and (flying[0].done or flying[0].due + self._timeout <= now):
            exchange = flying.popleft()
            if not exchange.done:
                carrier = exchange.carrier
                exchange.finish(now, TIMED_OUT, 0, f"no answer in {self._timeout / 1e9:g} s")
                if carrier is not None:
                    carrier.abandon()
        self._wake.set()
        self._keeper = self._loop.call_later(_HOUSEKEEPING, self._keep_house)

    def _keep_crash(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError):
            return  # of a socket: its connection is told as well
        self._crash = error or RuntimeError(str(context.get("message")))
        self._wake.set()
