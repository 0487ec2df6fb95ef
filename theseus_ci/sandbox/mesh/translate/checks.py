"""Small checkers from which the table of supported fields is built.

A checker looks at one value and yields (path, reason) for everything it cannot accept. null counts
as absent, as in Kubernetes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Problem = tuple[str, str]
Check = Callable[[Any, str], Iterator[Problem]]

UNKNOWN = "the sandbox cannot translate this field"

DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+")


def text(value: Any, path: str) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield path, "must be a string"


def boolean(value: Any, path: str) -> Iterator[Problem]:
    if not isinstance(value, bool):
        yield path, "must be true or false"


def anything(value: Any, path: str) -> Iterator[Problem]:
    """For what Envoy needs no word of: names, statistics prefixes."""
    yield from ()


def unknown(value: Any, path: str) -> Iterator[Problem]:
    yield path, UNKNOWN


def duration(value: Any, path: str) -> Iterator[Problem]:
    if not isinstance(value, str) or not DURATION.fullmatch(value):
        yield path, "must be a duration such as 1.5s"


def whole(low: int, high: int = 2**31 - 1) -> Check:
    def check(value: Any, path: str) -> Iterator[Problem]:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            yield path, f"must be a whole number from {low} to {high}"

    return check


def number(low: float, high: float) -> Check:
    def check(value: Any, path: str) -> Iterator[Problem]:
        numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not numeric or not low <= value <= high:
            yield path, f"must be a number from {low:g} to {high:g}"

    return check


def choice(*values: str) -> Check:
    def check(value: Any, path: str) -> Iterator[Problem]:
        if value not in values:
            yield path, f"the sandbox translates only {', '.join(values)}"

    return check


def each(item: Check, *, at_least: int = 0) -> Check:
    def check(value: Any, path: str) -> Iterator[Problem]:
        if not isinstance(value, list):
            yield path, "must be a list"
            return
        if len(value) < at_least:
            yield path, "must not be empty"
        for index, element in enumerate(value):
            yield from item(element, f"{path}[{index}]")

    return check


def mapping(item: Check) -> Check:
    def check(value: Any, path: str) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield path, "must be an object"
            return
        for key, element in value.items():
            yield from item(element, f"{path}[{key}]")

    return check


def record(
    fields: Mapping[str, Check], *, required: tuple[str, ...] = (), also: Check | None = None
) -> Check:
    """An object with exactly these fields; `also` looks at the whole once its parts are right."""

    def check(value: Any, path: str) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield path, "must be an object"
            return
        sound = True
        for key, element in value.items():
            if element is None:
                continue
            for problem in fields.get(key, unknown)(element, f"{path}.{key}"):
                sound = False
                yield problem
        for key in required:
            if value.get(key) is None:
                sound = False
                yield f"{path}.{key}", "is required"
        if also is not None and sound:
            yield from also(value, path)

    return check
