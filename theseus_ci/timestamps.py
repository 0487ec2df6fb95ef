"""Moments as Kubernetes writes them: RFC 3339 in UTC, `2026-01-31T12:00:00Z`, micros in a Lease."""

from __future__ import annotations

import datetime


def to_seconds(text: str) -> float:
    """Seconds since the epoch. Raises ValueError for what is no such moment."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def to_micro_time(seconds: float) -> str:
    """A moment, in seconds since the epoch, as a Lease wants it."""
    moment = datetime.datetime.fromtimestamp(seconds, tz=datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
