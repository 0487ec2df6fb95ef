"""Time and signals: the only place where this program waits or learns that it must stop.

A signal interrupts at once where it can do no harm: while this thread waits, be it for another one
that talks to a server. The journal holds the intent of every act, so an answer that was never read
is found out again by the next process. Between such places the signal is only noted, and `check`
raises it. A step's time limit arrives in the same way.
"""

from __future__ import annotations

import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from theseus_ci.errors import CannotKnow, Interrupted

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
T = TypeVar("T")


class SystemClock:
    """The real time, and the signals this process got."""

    def __init__(self) -> None:
        self._signal: int | None = None
        self._limit: float | None = None
        self._raised = False
        self._interruptible = 0

    def listen(self) -> None:
        """Take over the stop signals; only the main thread may call this."""
        for number in (*STOP_SIGNALS, signal.SIGALRM):
            signal.signal(number, self._on_signal)

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        with self.interruptible():
            select.select([], [], [], max(0.0, seconds))

    def check(self) -> None:
        if self._signal is None or self._raised:
            return
        self._raised = True
        if self._signal == signal.SIGALRM:
            raise CannotKnow(
                f"the step did not end within its time limit of {self._limit:g} s",
                remedy="raise its `timeout:` in the flow, or see above what it was waiting for",
            )
        raise Interrupted(self._signal)

    def stopped(self) -> bool:
        """Whether a stop signal or the time limit has arrived; for loops that end by themselves."""
        return self._signal is not None

    def forget(self) -> None:
        """Go on after a signal that has been acted on (Ctrl-C in `run` starts a rollback)."""
        self._signal = None
        self._raised = False

    @contextmanager
    def limit(self, seconds: float | None) -> Iterator[None]:
        """Inside, CannotKnow is raised once `seconds` have passed; None is no limit."""
        self._limit = seconds
        signal.setitimer(signal.ITIMER_REAL, seconds or 0.0)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            if self._signal == signal.SIGALRM:
                self.forget()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Inside, a stop signal raises at once instead of at the next `check`."""
        self._interruptible += 1
        try:
            self.check()
            yield
        finally:
            self._interruptible -= 1

    def wait_for(self, act: Callable[[], T]) -> T:
        """What `act` returns or raises; a stop signal interrupts the waiting, never `act` itself.

        Raised inside a library, an exception could leave one of its locks locked, and the next call
        would wait for ever. An `act` that nobody waits for any more ends by itself or with the
        process.
        """
        answer: Future[T] = Future()
        self.check()
        threading.Thread(target=_fulfil, args=(answer, act), daemon=True).start()
        with self.interruptible():
            return answer.result()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:
            return
        self._signal = number
        if self._interruptible:
            self.check()


def _fulfil(answer: Future[T], act: Callable[[], T]) -> None:
    try:
        answer.set_result(act())
    except BaseException as error:  # noqa: BLE001 (handed on to who waits, not dealt with)
        answer.set_exception(error)
