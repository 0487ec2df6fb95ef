"""Settings from the command line or the environment, laid over the document."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

import msgspec
import msgspec.inspect as inspected

from theseus_ci.config.document import Document
from theseus_ci.config.keypath import KeyPath
from theseus_ci.config.shape import Shape, keys, shape_of, step
from theseus_ci.config.types import Config
from theseus_ci.errors import UsageError


def lay_over(
    document: Document, overrides: Mapping[str, str], sources: Mapping[str, str]
) -> Document:
    """The document with each override (`waits.mesh`: `30s`) in place of what it says.

    `sources` names where an override comes from, for errors; by default its option. Lists are
    given with commas. Raises UsageError for a key that theseus.yaml does not have.
    """
    value = _unshared(document.value)
    origins: dict[KeyPath, str] = {}
    for key, text in overrides.items():
        path: KeyPath = tuple(key.split("."))
        source = sources.get(key, f"--{_kebab(key)}")
        shape = shape_of(Config)
        for part in path:
            shape, outer = step(shape, part), shape
            if not shape:
                near = difflib.get_close_matches(str(part), keys(outer), 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise UsageError(f"{source}: theseus.yaml has no key {key}{hint}")
        target = value
        for part in path[:-1]:
            if not isinstance(target.get(part), dict):
                target[part] = {}
            target = target[part]
        target[path[-1]] = _read(text, shape)
        origins[path] = source
    return msgspec.structs.replace(document, value=value, origins=origins)


def _read(text: str, shape: Shape) -> Any:
    """The text as the type wants it; text that does not fit stays, and decoding says so."""
    for kind in shape:
        if isinstance(kind, inspected.IntType) and re.fullmatch(r"[-+]?\d{1,18}", text):
            return int(text)
        if isinstance(kind, inspected.FloatType) and re.fullmatch(r"\d{1,18}(\.\d+)?", text):
            return float(text)
        if isinstance(kind, inspected.BoolType) and text in ("true", "false"):
            return text == "true"
        if isinstance(kind, inspected.VarTupleType | inspected.ListType):
            return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _unshared(value: Any) -> Any:
    """A copy in which aliases of one anchor are values of their own, to be edited one by one."""
    if isinstance(value, dict):
        return {key: _unshared(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_unshared(inner) for inner in value]
    return value


def _kebab(key: str) -> str:
    return re.sub(r"([A-Z])", r"-\1", key.replace(".", "-")).lower()
