"""Judging custom resources by the OpenAPI schema of their definition."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from theseus_ci.sandbox.apiserver.errors import (
    Cause,
    invalid_value,
    required,
    unsupported,
    wrong_type,
)
from theseus_ci.sandbox.apiserver.rules import broken
from theseus_ci.sandbox.apiserver.schema import Node

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def violations(value: Any, node: Node, path: str) -> Iterator[Cause]:
    """Every way in which `value` breaks its schema."""
    if value is None and node.raw.get("nullable"):
        return
    if not _has_type(value, node):
        name = "null" if value is None else type(value).__name__
        given = {"str": "string", "dict": "object", "list": "array", "int": "integer"}.get(
            name, name
        )
        wanted = node.type
        yield wrong_type(path, given, wanted)
        return
    yield from _bounds(value, node, path)
    yield from _combinations(value, node, path)
    yield from broken(value, node, path)
    if isinstance(value, dict):
        for name in node.required:
            if name not in value:
                yield required(f"{path}.{name}" if path else name)
        for name, field in value.items():
            child = node.child(name)
            if child is not None:
                yield from violations(field, child, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from violations(item, node.items, f"{path}[{index}]")


def _has_type(value: Any, node: Node) -> bool:
    if node.int_or_string:
        return isinstance(value, (int, str)) and not isinstance(value, bool)
    if not node.type:
        return True
    if isinstance(value, bool):
        return node.type == "boolean"
    if isinstance(value, float) and node.type == "integer":
        return value.is_integer()
    return isinstance(value, TYPES[node.type])


def _bounds(value: Any, node: Node, path: str) -> Iterator[Cause]:
    raw = node.raw
    if "enum" in raw and value not in raw["enum"]:
        yield unsupported(path, value, sorted(str(option) for option in raw["enum"]))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if "minimum" in raw and value < raw["minimum"]:
            detail = f"should be greater than or equal to {raw['minimum']}"
            yield invalid_value(path, value, f"{path} in body {detail}")
        if "maximum" in raw and value > raw["maximum"]:
            detail = f"should be less than or equal to {raw['maximum']}"
            yield invalid_value(path, value, f"{path} in body {detail}")
    if isinstance(value, str):
        if len(value) < raw.get("minLength", 0):
            detail = f"should be at least {raw['minLength']} chars long"
            yield invalid_value(path, value, f"{path} in body {detail}")
        if len(value) > raw.get("maxLength", len(value)):
            yield invalid_value(path, value, f"may not be more than {raw['maxLength']} bytes")
        if "pattern" in raw and not re.search(raw["pattern"], value):
            yield invalid_value(path, value, f"{path} in body should match '{raw['pattern']}'")
    if isinstance(value, dict) and len(value) > raw.get("maxProperties", len(value)):
        detail = f"must have at most {raw['maxProperties']} properties"
        yield invalid_value(path, len(value), detail)
    if isinstance(value, list):
        if len(value) < raw.get("minItems", 0):
            detail = f"should have at least {raw['minItems']} items"
            yield invalid_value(path, len(value), f"{path} in body {detail}")
        if len(value) > raw.get("maxItems", len(value)):
            yield invalid_value(path, len(value), f"must have at most {raw['maxItems']} items")


def _fits(value: Any, raw: dict[str, Any]) -> bool:
    return next(violations(value, Node(raw), ""), None) is None


def _combinations(value: Any, node: Node, path: str) -> Iterator[Cause]:
    if isinstance(value, (int, str)) and node.int_or_string:
        return
    if "oneOf" in node.raw:
        fitting = sum(_fits(value, option) for option in node.raw["oneOf"])
        if fitting != 1:
            found = "none valid" if not fitting else f"{fitting} valid alternatives"
            detail = f"must validate one and only one schema (oneOf). Found {found}"
            yield invalid_value(path, value, detail)
    if "anyOf" in node.raw and not any(_fits(value, option) for option in node.raw["anyOf"]):
        yield invalid_value(path, value, "must validate at least one schema (anyOf)")
    if "allOf" in node.raw and not all(_fits(value, option) for option in node.raw["allOf"]):
        yield invalid_value(path, value, "must validate all the schemas (allOf)")
    if "not" in node.raw and _fits(value, node.raw["not"]):
        yield invalid_value(path, value, "must not validate the schema (not)")
