"""Pairs of slices on their way from the thread that measures to the one that thinks."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable

from theseus_ci.errors import NoData
from theseus_ci.measure import SlicePair

_LOOK = 0.1  # seconds between two looks at `stopped`
_GONE = 30.0  # seconds without being asked after which nobody is taken to be there


class Handover:
    """A queue with an end, which knows when it was last asked for anything."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[SlicePair | BaseException | None] = queue.SimpleQueue()
        self._asked = time.monotonic()
        self._taken = 0

    def put(self, pair: SlicePair) -> None:
        """Hand out a pair; never waits."""
        self._queue.put(pair)

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more will come, because of `error` if there is one."""
        self._queue.put(error)

    def take(self, stopped: Callable[[], bool]) -> SlicePair | None:
        """The next pair, None at the end. Raises what ended it, or NoData when stopped."""
        while True:
            self._asked = time.monotonic()
            if stopped():
                raise NoData(f"the measurement was stopped after {self._taken} pairs of slices")
            try:
                found = self._queue.get(timeout=_LOOK)
            except queue.Empty:
                continue
            if isinstance(found, BaseException):
                raise found
            self._taken += found is not None
            return found

    def deserted(self) -> bool:
        """Whether nobody has asked for so long that sending on would be of no use to anyone."""
        return time.monotonic() - self._asked > _GONE
