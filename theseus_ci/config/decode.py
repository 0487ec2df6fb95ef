"""A document as a typed value, or every reason why not, each with its place and in plain words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from msgspec.inspect import LiteralType

from theseus_ci.config.document import Document
from theseus_ci.config.keypath import KeyPath
from theseus_ci.config.plain import decode_quantity
from theseus_ci.config.shape import Shape, descend, keys, shape_of, unknown_keys
from theseus_ci.errors import ConfigError

Decoded = TypeVar("Decoded")
Finding = tuple[str, str]
"""Where (`theseus.yaml:12:5: smoke[1]`), and what is wrong there."""

_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping (key: value)",
    "null": "nothing",
}
_MESSAGE = r"(?s)(?P<what>.*?)(?: - at `(?P<key>key` in `)?\$(?P<path>.*)`)?"
_EXPECTED = r"Expected `(?P<wanted>[^`]*)`, got `(?P<got>[^`]*)`"
_MISSING = r"Object missing required field `(?P<field>[^`]*)`"
_STEP = r"\.([A-Za-z_]\w*)|\[(\d+)\]|(\[\.\.\.\])"
_MOST_FINDINGS = 10


def decode(document: Document, kind: type[Decoded], at: KeyPath = ()) -> Decoded:
    """What the document holds at a path, as a `kind`. Raises ConfigError."""
    value = value_at(document.value, at)
    check_mapping(document, at)
    try:
        return msgspec.convert(value, kind, dec_hook=decode_quantity)
    except msgspec.ValidationError as error:
        unknown = unknown_keys(value, shape_of(kind), at)  # all of them, not the first alone
        raise_all([_unknown(document, path, shape) for path, shape in unknown])
        raise_all([_translate(document, str(error), at, kind)])
        raise


def check_mapping(document: Document, at: KeyPath = ()) -> None:
    """Refuse what is empty or no mapping. Raises ConfigError."""
    value = value_at(document.value, at)
    if not isinstance(value, dict):
        given = describe(document, at)
        raise ConfigError(f"expected a mapping (key: value), got {given}", where=document.where(at))


def value_at(value: Any, path: KeyPath) -> Any:
    """What stands at a path of plain lists and mappings."""
    for part in path:
        value = value[part]
    return value


def raise_all(findings: list[Finding]) -> None:
    """Raise ConfigError for what was found: the first as its message, the others below it."""
    if not findings:
        return
    (where, message), *others = findings
    lines = [message, *(f"{where}: {message}" for where, message in others[: _MOST_FINDINGS - 1])]
    if len(findings) > _MOST_FINDINGS:
        lines.append(f"… and {len(findings) - _MOST_FINDINGS} more")
    raise ConfigError("\n".join(lines), where=where)


def nearest(word: str, known: list[str]) -> str:
    """A hint at the known word that looks most like `word`, or at all of them."""
    by_lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(word.lower(), list(by_lower), 1, cutoff=0.6)
    if near:
        return f"did you mean {by_lower[near[0]]}?"
    return f"there are {', '.join(known)}" if known else "none is known"


def _unknown(document: Document, path: KeyPath, shape: Shape) -> Finding:
    key = str(path[-1])
    return document.where(path, key=True), f"unknown key {key!r}; {nearest(key, keys(shape))}"


def _translate(document: Document, text: str, at: KeyPath, kind: Any) -> Finding:
    parts = re.fullmatch(_MESSAGE, text)
    what, trail = (parts["what"], parts["path"] or "") if parts else (text, "")
    expected = re.match(_EXPECTED, what)
    got = expected["got"] if expected else None
    path = at + _locate(value_at(document.value, at), trail, got)
    missing = re.fullmatch(_MISSING, what)
    if missing:
        message = f"the key {missing['field']!r} is missing"
    elif expected:
        wanted = [word for word in expected["wanted"].split(" | ") if word != "null"]
        words = " or ".join(_WORDS.get(word, word) for word in wanted)
        message = f"expected {words}, got {describe(document, path)}"
        message += _quote_hint(document, path, wanted)
    elif what.startswith("Invalid enum value"):
        message = f"{describe(document, path)} is not known; {_choices(kind, path[len(at) :])}"
    else:
        message = what[:1].lower() + what[1:]
    return document.where(path), message


def _choices(kind: Any, path: KeyPath) -> str:
    found = descend(shape_of(kind), path)
    values = [str(v) for one in found if isinstance(one, LiteralType) for v in one.values]
    return f"write {' or '.join(values)}"


def _locate(value: Any, trail: str, got: str | None) -> KeyPath:
    """The path that msgspec's `$…` names; it hides the keys of dicts, which are found again."""
    steps = [(m[1], m[2]) for m in re.finditer(_STEP, trail)]
    return next(_follow(value, steps, got, ()), None) or _known_part(steps)


def _follow(
    value: Any, steps: list[tuple[Any, Any]], got: str | None, path: KeyPath
) -> Iterator[KeyPath]:
    if not steps:
        if got is None or _word(value) == got:
            yield path
        return
    (name, index), *rest = steps
    if name is not None:
        yield from _follow(value.get(name), rest, got, (*path, name))
    elif index is not None:
        yield from _follow(value[int(index)], rest, got, (*path, int(index)))
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _follow(inner, rest, got, (*path, key))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _follow(inner, rest, got, (*path, position))


def _known_part(steps: list[tuple[Any, Any]]) -> KeyPath:
    path: list[str | int] = []
    for name, index in steps:
        if name is None and index is None:
            break
        path.append(name if name is not None else int(index))
    return tuple(path)


def _word(value: Any) -> str:
    words = {bool: "bool", dict: "object", list: "array", type(None): "null"}
    return words.get(type(value), type(value).__name__)


def describe(document: Document, path: KeyPath) -> str:
    """What stands at a path, for the end of `expected …, got …`."""
    value = value_at(document.value, path)
    if value is None or isinstance(value, dict | list):
        return {"null": "nothing", "object": "a mapping", "array": "a list"}[_word(value)]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {document.written.get(path, value)}"
    return f"the text {value if len(value) <= 60 else value[:57] + '…'!r}"


def _quote_hint(document: Document, path: KeyPath, wanted: list[str]) -> str:
    written = document.written.get(path)
    if "str" not in wanted or not written or path in document.origins:
        return ""
    return f'; in quotes it is text: "{written}"'
