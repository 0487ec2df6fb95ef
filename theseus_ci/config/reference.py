"""Every key of theseus.yaml with its type, default and meaning: the README's reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import msgspec.inspect as inspected

from theseus_ci.config.docs import DOCS
from theseus_ci.config.plain import to_plain
from theseus_ci.config.shape import Shape, shape_of
from theseus_ci.config.types import Config
from theseus_ci.quantities import Duration


class Key(NamedTuple):
    """One key: `smoke[].http.path`, in words what it takes, its default ("" for none)."""

    path: str
    takes: str
    default: str
    required: bool
    meaning: str


def entries() -> Iterator[Key]:
    """All keys, in the order of their declaration, parents first."""
    yield from _keys(shape_of(Config), "")


def markdown() -> str:
    """The reference as a Markdown table."""
    lines = ["| key | takes | default | meaning |", "|---|---|---|---|"]
    for key in entries():
        default = "required" if key.required else f"`{key.default}`" if key.default else ""
        cells = (f"`{key.path}`", key.takes, default, key.meaning)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _keys(shape: Shape, path: str) -> Iterator[Key]:
    for kind in shape:
        if isinstance(kind, inspected.StructType):
            for field in kind.fields:
                inner = _alternatives(field.type)
                here = f"{path}.{field.encode_name}".lstrip(".")
                meaning = DOCS[f"{kind.cls.__name__}.{field.encode_name}"]
                yield Key(here, _takes(inner), _default(field), field.required, meaning)
                yield from _keys(inner, here)
        elif isinstance(kind, inspected.ListType | inspected.VarTupleType):
            yield from _keys(_alternatives(kind.item_type), f"{path}[]")
        elif isinstance(kind, inspected.DictType):
            yield from _keys(_alternatives(kind.value_type), f"{path}.<name>")


def _alternatives(kind: inspected.Type) -> Shape:
    return tuple(kind.types) if isinstance(kind, inspected.UnionType) else (kind,)


def _takes(shape: Shape) -> str:
    words = [_word(kind) for kind in shape if not isinstance(kind, inspected.NoneType)]
    return " or ".join(dict.fromkeys(words))


def _word(kind: inspected.Type) -> str:
    if isinstance(kind, inspected.CustomType):
        return "duration" if issubclass(kind.cls, Duration) else "percentage"
    if isinstance(kind, inspected.LiteralType):
        return " or ".join(f"`{value}`" for value in kind.values)
    words = (
        (inspected.StructType, "mapping"),
        (inspected.DictType, "mapping"),
        (inspected.ListType, "list"),
        (inspected.VarTupleType, "list"),
        (inspected.StrType, "text"),
        (inspected.IntType, "whole number"),
        (inspected.FloatType, "number"),
        (inspected.BoolType, "true or false"),
    )
    return next((word for type_, word in words if isinstance(kind, type_)), "anything")


def _default(field: inspected.Field) -> str:
    default = field.default
    if default is msgspec.NODEFAULT or default is None or isinstance(default, msgspec.Struct):
        return ""
    plain = to_plain(default)
    if isinstance(plain, bool):
        return "true" if plain else "false"
    return "" if plain in ([], {}, "") else str(plain)
