"""`${env:NAME}` in text: the only form of environment reference, and never stored expanded.

What the environment gives is often a secret. It is used, but the state artefact keeps the
reference; every process that reads the state expands it again from its own environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from theseus_ci.config.keypath import KeyPath

REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
_START = "${env:"


def references(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Every text that refers to the environment, with its key path."""
    if isinstance(value, str):
        if _START in value:
            yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from references(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from references(inner, (*path, index))


def problems(text: str, environ: Mapping[str, str]) -> Iterator[str]:
    """What keeps the references in `text` from being expanded."""
    for name in REFERENCE.findall(text):
        if name not in environ:
            yield f"the environment has no variable {name}"
    if _START in REFERENCE.sub("", text):
        yield "a reference to the environment is written ${env:NAME}"


def expand(value: Any, environ: Mapping[str, str]) -> Any:
    """`value` with every reference replaced that the environment can give; others stay."""
    if isinstance(value, str):
        return REFERENCE.sub(lambda found: environ.get(found[1], found[0]), value)
    if isinstance(value, dict):
        return {key: expand(inner, environ) for key, inner in value.items()}
    if isinstance(value, list):
        return [expand(inner, environ) for inner in value]
    return value


def replace_at(value: Any, path: KeyPath, new: Any) -> None:
    """Set what stands at an existing path of plain lists and dicts."""
    for part in path[:-1]:
        value = value[part]
    value[path[-1]] = new
