"""Times and durations as people want to read them."""

from __future__ import annotations

from datetime import datetime, timezone


def moment(epoch: float) -> str:
    """`2026-05-04 12:30:07 UTC`."""
    return f"{_utc(epoch):%Y-%m-%d %H:%M:%S} UTC"


def clock(epoch: float) -> str:
    """`12:30:07`."""
    return f"{_utc(epoch):%H:%M:%S}"


def machine(epoch: float) -> str:
    """As `datetime` of HTML's `<time>`."""
    return f"{_utc(epoch):%Y-%m-%dT%H:%M:%SZ}"


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def latency(seconds: float) -> str:
    """0.0123 as `12.3 ms`, from a second on as `1.23 s`."""
    return f"{seconds * 1e3:.3g} ms" if seconds < 0.9995 else f"{seconds:.3g} s"


def _utc(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, timezone.utc)
