"""The clients written in Python, each in a module that imports no other's library."""

from __future__ import annotations

Samples = tuple[list[int], list[int]]
"""Microseconds: from the intended moment to the answer, and until the request left."""


def micros(seconds: float) -> int:
    """Never below zero."""
    return max(0, round(seconds * 1e6))
