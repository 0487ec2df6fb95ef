"""The work queue of a controller: keys, not events.

A key waits at most once, is never synced twice at a time, and is synced again when it was added
meanwhile. A failed sync is repeated with growing pauses, until it succeeds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from theseus_ci.sandbox.client import ApiError, Key

log = logging.getLogger(__name__)

CONCURRENCY = 16
RETRY_SECONDS = (0.02, 10.0)
"""First and longest pause before a failed sync is repeated; it doubles each time."""


class WorkQueue:
    """Calls `sync(key)` for each key added, from `start` to `stop`."""

    def __init__(self, name: str, sync: Callable[[Key], Awaitable[None]]) -> None:
        self._name = name
        self._sync = sync
        self._started = False
        self._waiting: set[Key] = set()
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._slots = asyncio.Semaphore(CONCURRENCY)

    def add(self, key: Key) -> None:
        """Sync the key as soon as possible."""
        if not self._started or key in self._running:
            self._waiting.add(key)
            return
        self._cancel_timer(key)
        task = asyncio.get_running_loop().create_task(self._run(key))
        self._running[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))

    def add_after(self, key: Key, seconds: float) -> None:
        """Sync the key in `seconds`, unless something else causes a sync before."""
        loop = asyncio.get_running_loop()
        known = self._timers.get(key)
        if known is not None and known.when() <= loop.time() + seconds:
            return
        self._cancel_timer(key)
        self._timers[key] = loop.call_later(seconds, self._timer_ended, key)

    def start(self) -> None:
        self._started = True
        waiting, self._waiting = self._waiting, set()
        for key in waiting:
            self.add(key)

    async def stop(self) -> None:
        """Cancel what runs and wait for its end."""
        self._started = False
        for key in list(self._timers):
            self._cancel_timer(key)
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: Key) -> None:
        async with self._slots:
            # What was added up to here is covered by this very sync.
            self._waiting.discard(key)
            await self._sync(key)

    def _ended(self, key: Key, task: asyncio.Task[None]) -> None:
        del self._running[key]
        if task.cancelled() or not self._started:
            return
        error = task.exception()
        if error is None:
            self._failures.pop(key, None)
        else:
            self._report(key, error)
            self._retry(key)
        if key in self._waiting and error is None:
            self._waiting.discard(key)
            self.add(key)

    def _retry(self, key: Key) -> None:
        """A key that fails waits for its pause, even when it was added meanwhile."""
        self._waiting.discard(key)
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        first, longest = RETRY_SECONDS
        self.add_after(key, min(longest, first * 2 ** min(failures - 1, 30)))

    def _report(self, key: Key, error: BaseException) -> None:
        if isinstance(error, ApiError):
            # These only say that our copy was old: the next sync works on what is there now.
            level = logging.DEBUG if error.status in (404, 409) else logging.WARNING
            log.log(level, "%s %s/%s: %s", self._name, *key, error)
        else:
            log.error("%s %s/%s: internal error", self._name, *key, exc_info=error)

    def _timer_ended(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _cancel_timer(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
