"""The schedule: requests leave when they are due, whatever became of the ones before."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from theseus_ci.errors import NoData
from theseus_ci.load.handover import Handover
from theseus_ci.load.pool import Pool
from theseus_ci.load.slice_run import SliceRun
from theseus_ci.load.timer import Timer
from theseus_ci.load.wire import Payload
from theseus_ci.measure import TIMED_OUT, SlicePair, Version

_LEAD = 10_000_000  # nanoseconds between a decision to send and the first request
_SLACK = 100_000  # nanoseconds that requests may be late so that one wake-up serves them all
_CATCH_UP = 250_000_000  # beyond this delay the schedule moves: never a burst
_HOUSEKEEPING = 0.1  # seconds between two looks at timeouts
_WARM_FROM = 0.8  # share of a slice after which the next one's connections are opened
_NEVER = 1 << 63  # a moment that the monotonic clock does not reach
_CONNECT = 0.8  # seconds that the first connections may take before the schedule starts


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

    @property
    def sent(self) -> bool:
        return all(len(run.sent) == run.size for run in self.runs)


class Session:
    """Sends pair after pair without a gap, and hands each out once every outcome is known.

    Nothing that is done with the pairs holds the schedule up: they are left at the `handover`.
    """

    def __init__(
        self,
        plans: Iterator[PairPlan],
        pools: Mapping[Version, Pool],
        payloads: Mapping[Version, list[Payload]],
        handover: Handover,
        *,
        rate: float,
        timeout: float,
        longest: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._plans = plans
        self._pools = pools
        self._payloads = payloads
        self._handover = handover
        self._interval = 1e9 / rate
        self._timeout = int(timeout * 1e9)
        self._longest = int(longest * 1e9)
        self._timer = Timer(self._loop, self._send_due)
        self._wake = asyncio.Event()
        self._crash: BaseException | None = None
        self._loop.set_exception_handler(self._keep_crash)
        self._pending: deque[_PairRun] = deque()
        self._to_send: deque[SliceRun] = deque()
        self._sending: SliceRun
        self._begun = 0  # pairs that are judged
        self._due = 0  # when the next slice begins
        self._end = _NEVER  # when the first request is due that is not sent, once all are warm
        self._ended = False

    async def run(self) -> None:
        """Send until the time is over. Raises errors.NoData when nobody has
        asked for results for a long time."""
        try:
            self._keep_house()
            await self._connect()
            self._due = time.monotonic_ns() + _LEAD
            self._sending = self._next_slice()
            self._timer.at(self._due)
            while not self._all_known():
                await self._wake.wait()
                self._wake.clear()
                if self._crash is not None:
                    raise self._crash
                self._hand_out()
        finally:
            self._ended = True
            self._keeper.cancel()
            self._timer.close()
            for pool in self._pools.values():
                await pool.close(deadline=1.0)
            self._loop.set_exception_handler(None)

    async def _connect(self) -> None:
        """Let the first requests find open connections."""
        for pool in self._pools.values():
            pool.warm()
        for pool in self._pools.values():
            await pool.settled(_CONNECT)

    def _all_known(self) -> bool:
        """Whether the last pair that was sent in full has been handed out."""
        return self._ended and not (self._pending and self._pending[0].sent)

    def _hand_out(self) -> None:
        while self._pending and self._pending[0].complete:
            done = self._pending.popleft()
            if done.judged:
                slices = tuple(run.slice(self._interval) for run in done.runs)
                self._handover.put(SlicePair(index=done.index, slices=slices))

    def _next_slice(self) -> SliceRun:
        """The slice that follows at once on the one before."""
        if not self._to_send:
            self._begin_pair()
        run = self._to_send.popleft()
        run.schedule(self._due)
        return run

    def _begin_pair(self) -> None:
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
            if self._end == _NEVER:
                self._end = self._due + self._longest

    def _send_due(self) -> None:
        """Send everything that is due, then set the timer for the next request."""
        while self._send(self._sending):
            self._due = self._sending.ends
            self._sending = self._next_slice()

    def _send(self, run: SliceRun) -> bool:
        """Send what is due of a slice; whether that was all of it."""
        pool = self._pools[run.version]
        due, sent, clock, send = run.due, run.sent, time.monotonic_ns, pool.send
        warm_at = int(run.size * _WARM_FROM)
        for index in range(len(sent), run.size):
            now, moment = clock(), due[index]
            if moment > now:
                self._timer.at(max(moment, now + _SLACK))
                return False
            if moment >= self._end:
                self._ended = True
                self._wake.set()
                return False
            sent.append(now)
            send(run, index, now)
            if now - moment > _CATCH_UP:
                self._move(run, now - moment)
            if index == warm_at:
                self._warm_others(pool)
        return True

    def _move(self, run: SliceRun, delay: int) -> None:
        """The generator was away: what is due from now on, and the end, is due later."""
        run.move(delay)
        if self._end != _NEVER:
            self._end += delay

    def _warm_others(self, busy: Pool) -> None:
        for pool in self._pools.values():
            if pool is not busy:
                pool.warm()

    def _keep_house(self) -> None:
        now = time.monotonic_ns()
        for pair in self._pending:
            for run in pair.runs:
                for index in run.overdue(now - self._timeout):
                    reason = f"no answer in {self._timeout / 1e9:g} s"
                    run.fail(index, now, TIMED_OUT, 0, reason)
                    self._pools[run.version].give_up(run, index)
        if self._handover.deserted():
            self._crash = NoData("nobody has taken the measurements for a while: load stopped")
        self._wake.set()
        self._keeper = self._loop.call_later(_HOUSEKEEPING, self._keep_house)

    def _keep_crash(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError):
            return  # of a socket: its connection is told as well
        self._crash = error or RuntimeError(str(context.get("message")))
        self._wake.set()
