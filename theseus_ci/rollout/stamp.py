"""The mark of a rollout on the objects it edits: which rollout, and which generation of it.

A process stamps every object it edits with its generation and only replaces what it read with its
own stamp. A process left over from a lost agent thus finds a newer stamp, or none, and stops.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from theseus_ci.model import Object, clone

DOMAIN = "theseus-ci.io"
_LONGEST_NAME = 63


class Stamp(NamedTuple):
    """`rollout` is the rollout's id; `generation` grows with every takeover."""

    rollout: str
    generation: int


def key(service: str) -> str:
    """The annotation that holds the stamp of a rollout of `service`."""
    name = f"rollout.{service}"
    if len(name) > _LONGEST_NAME:
        name = f"rollout.{hashlib.sha256(service.encode()).hexdigest()[:16]}"
    return f"{DOMAIN}/{name}"


def read(obj: Object, service: str) -> Stamp | None:
    """The stamp on `obj`, None when there is none (or one that nobody here has written)."""
    value = (obj["metadata"].get("annotations") or {}).get(key(service), "")
    rollout, _, generation = value.partition("/")
    return Stamp(rollout, int(generation)) if generation.isdigit() else None


def write(obj: Object, service: str, stamp: Stamp) -> Object:
    """A copy of `obj` that bears `stamp`."""
    stamped = clone(obj)
    annotations = stamped["metadata"].get("annotations") or {}
    annotations[key(service)] = f"{stamp.rollout}/{stamp.generation}"
    stamped["metadata"]["annotations"] = annotations
    return stamped


def remove(obj: Object, service: str) -> Object:
    """A copy of `obj` without the stamp, and without an annotations map that only held it."""
    cleaned = clone(obj)
    annotations = cleaned["metadata"].get("annotations") or {}
    if annotations.pop(key(service), None) is not None and not annotations:
        del cleaned["metadata"]["annotations"]
    return cleaned
