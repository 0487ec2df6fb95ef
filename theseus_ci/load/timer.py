"""A timer that fires on time.

Event loops round their timers up to a millisecond, which at 500 requests a second is half the
distance between two of them. A timerfd wakes the loop within some tens of microseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable

_NANOSECONDS = 1_000_000_000

if sys.version_info >= (3, 13):
    import time

    def _create() -> int:
        return os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)

    def _armed_by(descriptor: int) -> Callable[[int], None]:
        def arm(moment: int) -> None:
            os.timerfd_settime_ns(descriptor, flags=os.TFD_TIMER_ABSTIME, initial=moment)

        return arm

else:
    import ctypes

    _CLOCK_MONOTONIC = 1
    _TIMER_ABSTIME = 1

    class _TimeSpec(ctypes.Structure):
        _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))

    class _TimerSpec(ctypes.Structure):
        _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))

    _libc = ctypes.CDLL(None, use_errno=True)
    _settime = _libc.timerfd_settime
    _settime.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)

    def _checked(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result

    def _create() -> int:
        return _checked(_libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))

    def _armed_by(descriptor: int) -> Callable[[int], None]:
        spec = _TimerSpec()  # one for all calls: making it costs more than the call
        value, place = spec.value, ctypes.byref(spec)

        def arm(moment: int) -> None:
            value.seconds, value.nanoseconds = divmod(moment, _NANOSECONDS)
            _checked(_settime(descriptor, _TIMER_ABSTIME, place, None))

        return arm


class Timer:
    """Calls back from the loop at a moment of the monotonic clock, or a little earlier."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._descriptor = _create()
        self._arm = _armed_by(self._descriptor)
        self._set = False
        loop.add_reader(self._descriptor, self._fired)

    def at(self, moment: int) -> None:
        """Fire once at `moment`, nanoseconds as of time.monotonic_ns(); at once when it is past.

        Replaces what was set before.
        """
        self._set = True
        self._arm(moment if moment > 0 else 1)  # zero would disarm it

    def close(self) -> None:
        """Free the descriptor; nothing fires any more."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1

    def _fired(self) -> None:
        """What fired stays readable until it is read or, one call cheaper, set anew.

        The callback may come early, when the timer was set anew after the loop had been woken.
        """
        self._set = False
        self._callback()
        if not self._set and self._descriptor >= 0:
            with contextlib.suppress(BlockingIOError):
                os.read(self._descriptor, 8)
