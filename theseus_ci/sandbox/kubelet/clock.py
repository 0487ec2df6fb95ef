"""Times as the Kubernetes API writes them."""

from __future__ import annotations

from datetime import datetime, timezone


def now_text() -> str:
    """metav1.Time: whole seconds, UTC."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def now_micro_text() -> str:
    """metav1.MicroTime, as Leases have it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """Read an API or log time stamp. Raises ValueError."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
