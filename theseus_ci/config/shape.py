"""What the types of the configuration allow at a key path: for near misses, hints and overrides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec.inspect as inspected

from theseus_ci.config.keypath import KeyPath

Shape = tuple[inspected.Type, ...]
"""The alternatives that are possible at one place; unions are taken apart."""


def shape_of(kind: Any) -> Shape:
    """The alternatives of a type."""
    return _alternatives(inspected.type_info(kind))


def step(shape: Shape, part: str | int) -> Shape:
    """The alternatives one key or index further; empty when nothing can be there."""
    found: list[inspected.Type] = []
    for kind in shape:
        if isinstance(kind, inspected.StructType) and isinstance(part, str):
            found += [f.type for f in kind.fields if f.encode_name == part]
        elif isinstance(kind, inspected.DictType) and isinstance(part, str):
            found.append(kind.value_type)
        elif isinstance(kind, inspected.ListType | inspected.VarTupleType) and isinstance(
            part, int
        ):
            found.append(kind.item_type)
        elif isinstance(kind, inspected.AnyType):
            found.append(kind)
    return tuple(single for kind in found for single in _alternatives(kind))


def descend(shape: Shape, path: KeyPath) -> Shape:
    """The alternatives at a path."""
    for part in path:
        shape = step(shape, part)
    return shape


def keys(shape: Shape) -> list[str]:
    """The keys that a mapping may have here, in their declared order."""
    structs = [kind for kind in shape if isinstance(kind, inspected.StructType)]
    return list(dict.fromkeys(field.encode_name for kind in structs for field in kind.fields))


def is_open(shape: Shape) -> bool:
    """Any key is fine here."""
    return any(isinstance(kind, inspected.DictType | inspected.AnyType) for kind in shape)


def unknown_keys(value: Any, shape: Shape, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Shape]]:
    """Each key that nothing knows: its path, and the alternatives it was not among."""
    if isinstance(value, dict):
        known = keys(shape)
        for key, inner in value.items():
            if known and key not in known and not is_open(shape):
                yield (*path, key), shape
            else:
                yield from unknown_keys(inner, step(shape, key), (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from unknown_keys(inner, step(shape, index), (*path, index))


def _alternatives(kind: inspected.Type) -> Shape:
    if isinstance(kind, inspected.UnionType):
        return tuple(single for one in kind.types for single in _alternatives(one))
    if isinstance(kind, inspected.Metadata):
        return _alternatives(kind.type)
    return (kind,)
