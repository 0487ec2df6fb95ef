"""Assertions on a JSON answer, by JSONPath."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.ext.parser import parse

from theseus_ci.checks.findings import Finding, show


def match_json(body: bytes, wanted: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield one finding per path: every value that the path finds must be as wanted, and unless
    `exists: false` is wanted there must be one."""
    try:
        document = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        beginning = show(body[:1000].decode("utf-8", "replace"))
        yield Finding("a JSON body", f"{beginning} ({reason})", holds=False)
        return
    for path, value in wanted.items():
        yield _match_path(path, value, document)


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


def _match_path(path: str, wanted: object, document: object) -> Finding:
    expected = f"{path} {_describe(wanted)}"
    try:
        found = [match.value for match in parse(path).find(document)]
    except (JSONPathError, RecursionError, TypeError, ValueError) as error:
        return Finding(expected, f"{path} cannot be evaluated: {error}", holds=False)
    actual = f"{path} " + (", ".join(_dump(value) for value in found[:5]) or "absent")
    if isinstance(wanted, dict) and "exists" in wanted:
        return Finding(expected, actual, bool(found) == wanted["exists"])
    return Finding(expected, actual, bool(found) and all(_matches(wanted, one) for one in found))


def _matches(wanted: object, value: Any) -> bool:
    if not isinstance(wanted, dict):
        return _equal(wanted, value)
    ((kind, operand),) = wanted.items()
    if kind == "exact":
        return _equal(operand, value)
    if kind in ("min", "max"):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and bool(value >= operand if kind == "min" else value <= operand)
    return isinstance(value, str) and _text_matches(kind, operand, value)


def _text_matches(kind: str, operand: str, value: str) -> bool:
    if kind == "regex":
        return re.search(operand, value) is not None
    return value.startswith(operand) if kind == "prefix" else operand in value


def _equal(one: object, other: object) -> bool:
    """Equal as JSON: true is not 1, but 1 is 1.0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_equal(left, right) for left, right in pairs)
    return bool(one == other)


def _describe(wanted: object) -> str:
    if not isinstance(wanted, dict):
        return _dump(wanted)
    ((kind, operand),) = wanted.items()
    if kind == "exists":
        return "present" if operand else "absent"
    words = {"regex": "matching", "contains": "containing", "prefix": "beginning with"}
    words |= {"exact": "", "min": "at least", "max": "at most"}
    return f"{words[kind]} {_dump(operand)}".strip()


def _dump(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return f"{text[:200]}…" if len(text) > 200 else text
