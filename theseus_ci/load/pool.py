"""The connections to one version: kept alive, bounded, opened before they are needed."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Sequence

from theseus_ci.load.connection import Connection
from theseus_ci.load.heads import KnownHeads
from theseus_ci.load.slice_run import SliceRun
from theseus_ci.measure import NO_CONNECTION

_FRESH = 4_000_000_000  # nanoseconds idle after which a server may be about to close
_SPARE = 2  # connections held ready beyond nothing


class Pool:
    """Hands requests to connections; those that find none free wait in order."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        places: Sequence[tuple[str, int]],
        tls: ssl.SSLContext | None,
        *,
        server_name: str | None,
        bound: int,
        timeout: float,
        expected: frozenset[int],
        keep_alive: bool,
    ) -> None:
        self.expected = expected
        self.keep_alive = keep_alive
        self.heads = KnownHeads()
        self._loop = loop
        self._places = places
        self._best = 0  # the place that answered last
        self._tls = tls
        self._server_name = server_name
        self._bound = bound
        self._timeout = timeout
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: deque[tuple[SliceRun, int]] = deque()
        self._busy_peak = 0
        self._closed = False
        self._changed = asyncio.Event()

    def send(self, run: SliceRun, index: int, now: int) -> None:
        """Send now if a connection is free or may be opened, else as soon as one is."""
        idle = self._idle
        if idle and now - idle[-1].idle_since > _FRESH:
            self._drop_stale(now)
        if idle:
            idle.pop().send(run, index)
            busy = len(self._open) - len(idle)
        else:
            self._waiting.append((run, index))
            if len(self._open) + len(self._opening) >= self._bound:
                run.waited += 1
            else:
                self._open_as_needed()
            busy = len(self._open) + len(self._waiting)
        if busy > self._busy_peak:  # noqa: PLR1730 (max() takes longer, and this is every request)
            self._busy_peak = busy

    def give_up(self, run: SliceRun, index: int) -> None:
        """Drop the connection that carries a request, if one does."""
        for connection in self._open:
            if connection.carries(run, index):
                connection.abandon()
                return

    def warm(self) -> None:
        """Have as many connections ready as the last slice had in use at once.

        Otherwise the first requests of each slice would pay for connecting. Where each is meant
        to, there is nothing to do.
        """
        if not self.keep_alive:
            return
        self._drop_stale(time.monotonic_ns())
        wanted = min(self._bound, max(_SPARE, self._busy_peak))
        self._busy_peak = 0
        for _ in range(wanted - len(self._open) - len(self._opening)):
            self._start_opening()

    async def settled(self, deadline: float) -> None:
        """Wait until no connection is being opened, at most `deadline` seconds."""
        if self._opening:
            await asyncio.wait(self._opening, timeout=deadline)

    async def close(self, deadline: float) -> None:
        """Drop everything; requests under way get no outcome."""
        self._closed = True
        self._waiting.clear()
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in tuple(self._open):
            connection.abandon()
        end = self._loop.time() + deadline
        while self._open and self._loop.time() < end:
            self._changed.clear()
            self._loop.call_at(end, self._changed.set)
            await self._changed.wait()

    def connected(self, connection: Connection) -> None:
        """A connection is there."""
        self._open.add(connection)
        if self._closed:
            connection.abandon()

    def released(self, connection: Connection) -> None:
        """A connection is free again, or for the first time."""
        request = self._next_waiting() if self._waiting else None
        if request is not None:
            connection.send(*request)
        elif self.keep_alive:
            self._idle.append(connection)
        else:
            connection.abandon()  # its request has timed out meanwhile; no other may profit

    def lost(self, connection: Connection) -> None:
        """A connection is gone."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._changed.set()
        self._open_as_needed()

    def _next_waiting(self) -> tuple[SliceRun, int] | None:
        while self._waiting:
            run, index = self._waiting.popleft()
            if run.is_pending(index):
                return run, index
        return None

    def _drop_stale(self, now: int) -> None:
        while self._idle and now - self._idle[-1].idle_since > _FRESH:
            self._idle.pop().abandon()  # the newest is at the end: all others are older

    def _open_as_needed(self) -> None:
        if self._closed:
            return
        room = self._bound - len(self._open) - len(self._opening)
        for _ in range(min(room, len(self._waiting) - len(self._opening))):
            self._start_opening()

    def _start_opening(self) -> None:
        task = self._loop.create_task(self._connect())
        self._opening.add(task)
        task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        if not task.cancelled():
            error = task.exception()
            if error is not None:
                raise error
            self._open_as_needed()

    async def _connect(self) -> None:
        connection = Connection(self)
        error: Exception | None = None
        for offset in range(len(self._places)):
            number = (self._best + offset) % len(self._places)
            try:
                await asyncio.wait_for(self._connect_to(connection, number), self._timeout)
            except (OSError, asyncio.TimeoutError) as failed:
                error = error or failed
                connection.abandon()
                continue
            self._best = number
            if connection in self._open:  # and not closed again already
                connection.idle_since = time.monotonic_ns()
                self.released(connection)
            return
        request = self._next_waiting()
        if request is not None:
            run, index = request
            reason = f"cannot connect: {error or 'no answer in time'}"
            run.fail(index, time.monotonic_ns(), NO_CONNECTION, 0, reason)

    async def _connect_to(self, connection: Connection, number: int) -> None:
        host, port = self._places[number]
        await self._loop.create_connection(
            lambda: connection, host, port, ssl=self._tls, server_hostname=self._server_name
        )
