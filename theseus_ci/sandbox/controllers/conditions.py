"""Conditions in an object's status, and the times written into them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from theseus_ci.sandbox.client import Object


def now() -> datetime:
    return datetime.now(timezone.utc)


def timestamp(moment: datetime) -> str:
    """As the API writes times: whole seconds, UTC."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """Read the API's Time (seconds) or MicroTime."""
    layout = "%Y-%m-%dT%H:%M:%S.%fZ" if "." in text else "%Y-%m-%dT%H:%M:%SZ"
    return datetime.strptime(text, layout).replace(tzinfo=timezone.utc)


def find(status: Object, kind: str) -> Object | None:
    for condition in status.get("conditions") or []:
        if condition["type"] == kind:
            return dict(condition)
    return None


def is_true(status: Object, kind: str) -> bool:
    condition = find(status, kind)
    return condition is not None and condition["status"] == "True"


def put(status: Object, kind: str, value: str, reason: str, message: str, **more: Any) -> None:
    """Set the condition; its lastTransitionTime moves only when `value` differs from before."""
    before = find(status, kind)
    changed = before is None or before["status"] != value
    since = timestamp(now()) if before is None or changed else before["lastTransitionTime"]
    condition = {
        "type": kind,
        "status": value,
        "reason": reason,
        "message": message,
        "lastTransitionTime": since,
        **more,
    }
    conditions = status.setdefault("conditions", [])
    for index, known in enumerate(conditions):
        if known["type"] == kind:
            conditions[index] = condition
            return
    conditions.append(condition)


def remove(status: Object, kind: str) -> None:
    kept = [known for known in status.get("conditions") or [] if known["type"] != kind]
    if kept:
        status["conditions"] = kept
    else:
        status.pop("conditions", None)
