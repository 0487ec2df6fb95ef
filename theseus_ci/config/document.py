"""YAML and JSON text as plain values that remember where each of them was written.

Built on the parser's events, not on PyYAML's loaders: those lose the positions, keep the last of
two equal keys without a word, read `22:22` as a number and dates as objects that JSON has no place
for, and overflow the stack on deep nesting. Scalars are read as kubectl reads them.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from theseus_ci.config.keypath import KeyPath, text_of

MAX_DEPTH = 100
MAX_VALUES = 1_000_000
MAX_BYTES = 16 * 1024 * 1024

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE_ASCII = "[^\t\n\r\x20-\x7e]"
_UNPRINTABLE = (  # to compile it takes as long as reading a document
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_TAG = "tag:yaml.org,2002:"
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
}
_NUMBER_STARTS = ("+", "-", ".", *"0123456789")
_INT = r"[-+]?(?:0|[1-9][0-9_]*)"
_BASED_INT = r"([-+]?)0(?:x([0-9a-fA-F_]+)|b([01_]+)|o?([0-7_]+))"
_FLOAT = r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
_NOT_FINITE = r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"


class Mark(NamedTuple):
    """A place in the text, both counted from 1."""

    line: int
    column: int


START = Mark(1, 1)


class DocumentError(ValueError):
    """The text is not what it should be; `mark` is where, as far as known."""

    def __init__(self, message: str, mark: Mark | None = None) -> None:
        super().__init__(message)
        self.mark = mark

    def at(self, source: str) -> str:
        """`file:line:column`, or the file alone."""
        return f"{source}:{self.mark.line}:{self.mark.column}" if self.mark else source


class Document(msgspec.Struct, frozen=True):
    """One document: its value, and the places of all values and keys in it by key path."""

    value: Any
    source: str = "<text>"
    start: Mark = START
    marks: Mapping[KeyPath, Mark] = {}
    key_marks: Mapping[KeyPath, Mark] = {}
    written: Mapping[KeyPath, str] = {}  # unquoted scalars as in the text
    origins: Mapping[KeyPath, str] = {}  # what did not come from the text

    def mark(self, path: KeyPath, *, key: bool = False) -> Mark:
        """Where the value (or its key) at `path` stands; where its nearest parent stands if it
        is not in the text."""
        if key and path in self.key_marks:
            return self.key_marks[path]
        for length in range(len(path), -1, -1):
            if path[:length] in self.marks:
                return self.marks[path[:length]]
        return self.start

    def where(self, path: KeyPath, *, key: bool = False) -> str:
        """`theseus.yaml:12:5: smoke[1].http`; the option's name for what the text did not give."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return f"{self.origins[path[:length]]}: {text_of(path)}"
        mark = self.mark(path, key=key)
        place = f"{self.source}:{mark.line}:{mark.column}"
        return f"{place}: {text_of(path)}" if path else place


def read_source(path: Path | str) -> str:
    """The text of a file, or of the standard input for `-`. Raises DocumentError."""
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else Path(path).read_bytes()
    except FileNotFoundError:
        raise DocumentError("does not exist") from None
    except IsADirectoryError:
        raise DocumentError("is a folder; name a file") from None
    except OSError as error:
        raise DocumentError(f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise DocumentError(f"is larger than {MAX_BYTES // 1024 // 1024} MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = Mark(data.count(b"\n", 0, error.start) + 1, 1)
        raise DocumentError(f"is not UTF-8 text (byte {error.start})", place) from None
    unprintable = re.search(_UNPRINTABLE_ASCII if text.isascii() else _UNPRINTABLE, text)
    if unprintable:
        raise DocumentError(
            f"holds the character U+{ord(unprintable[0]):04X}: is this a text file?",
            _mark_at(text, unprintable.start()),
        )
    return text


def parse_yaml(text: str, source: str) -> Iterator[Document]:
    """Every YAML document in `text`; an empty one has the value None. Raises DocumentError."""
    try:
        events = yaml.parse(text, Loader=_Loader)
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                yield _Builder(events, source).document()
    except yaml.MarkedYAMLError as error:
        raise _from_yaml(error, text) from error
    except yaml.YAMLError as error:
        raise DocumentError(f"is not YAML: {error}") from error


def parse_json(text: str, source: str) -> Iterator[Document]:
    """Every JSON value in `text`, one behind the other. Raises DocumentError."""
    decoder = json.JSONDecoder(
        object_pairs_hook=_without_doubles, parse_constant=_refuse_constant, strict=False
    )
    position = 0
    while True:
        position += len(text[position:]) - len(text[position:].lstrip())
        if position >= len(text):
            return
        start = _mark_at(text, position)
        try:
            value, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            mark = Mark(error.lineno, error.colno)
            raise DocumentError(f"is not JSON: {error.msg}", mark) from error
        except RecursionError:
            raise DocumentError("is nested too deeply", start) from None
        except ValueError as error:
            raise DocumentError(str(error), start) from error
        yield Document(value, source, start)


class _Builder:
    """Builds one document from the parser's events."""

    def __init__(self, events: Iterator[Any], source: str) -> None:
        self._events = events
        self._source = source
        self._marks: dict[KeyPath, Mark] = {}
        self._key_marks: dict[KeyPath, Mark] = {}
        self._written: dict[KeyPath, str] = {}
        self._anchors: dict[str, tuple[Any, int] | None] = {}  # None while it is being built
        self._count = 0

    def document(self) -> Document:
        event = next(self._events)
        start = _mark(event)
        value = self._value(event, ())
        next(self._events)  # the document's end
        return Document(value, self._source, start, self._marks, self._key_marks, self._written)

    def _value(self, event: Any, path: KeyPath) -> Any:
        mark = self._marks[path] = _mark(event)
        self._spend(1, mark)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, mark)
        if len(path) > MAX_DEPTH:
            raise DocumentError(f"is nested more than {MAX_DEPTH} levels deep", mark)
        before = self._count
        if event.anchor:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            if event.implicit[0]:
                self._written[path] = event.value
            value: Any = _scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            _check_tag(event, "seq")
            value = self._sequence(path)
        else:
            _check_tag(event, "map")
            value = self._mapping(path)
        if event.anchor:
            self._anchors[event.anchor] = (value, self._count - before + 1)
        return value

    def _alias(self, event: Any, mark: Mark) -> Any:
        if event.anchor not in self._anchors:
            raise DocumentError(f"the alias *{event.anchor} has no anchor before it", mark)
        anchored = self._anchors[event.anchor]
        if anchored is None:
            raise DocumentError(f"the anchor &{event.anchor} contains itself", mark)
        value, size = anchored
        self._spend(size, mark)
        return value

    def _spend(self, values: int, mark: Mark) -> None:
        self._count += values
        if self._count > MAX_VALUES:
            raise DocumentError(f"holds more than {MAX_VALUES} values (aliases count)", mark)

    def _sequence(self, path: KeyPath) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._value(event, (*path, len(values))))
        return values

    def _mapping(self, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            mark = _mark(event)
            key = self._key(event)
            inside = (*path, key)
            if key == "<<" and event.implicit[0]:
                merged = {**self._merge(mark, path), **merged}
                continue
            if key in values:
                first = self._key_marks[inside]
                raise DocumentError(f"the key {key!r} is here again (first: line {first[0]})", mark)
            self._key_marks[inside] = mark
            values[key] = self._value(next(self._events), inside)
        return {**merged, **values}

    def _key(self, event: Any) -> str:
        mark = _mark(event)
        if isinstance(event, yaml.AliasEvent):
            key = self._alias(event, mark)
        elif isinstance(event, yaml.ScalarEvent):
            key = _scalar(event)
        else:
            template = isinstance(event, yaml.MappingStartEvent) and event.flow_style
            hint = "; text with {{ }} must be quoted, or rendered first" if template else ""
            raise DocumentError(f"a key must be text, not a list or a mapping{hint}", mark)
        if isinstance(key, bool):
            return "true" if key else "false"
        if isinstance(key, str):
            return key
        if isinstance(key, int | float):
            return f"{key:g}" if isinstance(key, float) else str(key)
        raise DocumentError("a key must be text", mark)

    def _merge(self, mark: Mark, path: KeyPath) -> dict[str, Any]:
        value = self._value(next(self._events), (*path, "<<"))
        sources = value if isinstance(value, list) else [value]
        if not all(isinstance(source, dict) for source in sources):
            raise DocumentError("<< merges mappings only", mark)
        return {key: value for source in reversed(sources) for key, value in source.items()}


def _scalar(event: Any) -> Any:
    tag, text = event.tag, event.value
    if tag in (f"{_TAG}str", "!") or (tag is None and not event.implicit[0]):
        return text
    if tag is None:
        return _plain(text, event)
    kinds = {"null": type(None), "bool": bool, "int": int, "float": float}
    kind = kinds.get(tag.removeprefix(_TAG)) if tag.startswith(_TAG) else None
    value = _plain(text, event)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is None or type(value) is not kind:
        raise DocumentError(f"the tag {_shown(tag)} is not supported here", _mark(event))
    return value


def _plain(text: str, event: Any) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if not text.startswith(_NUMBER_STARTS):
        return text
    if re.fullmatch(_NOT_FINITE, text):
        raise DocumentError(f"{text} is not a number that can be sent as JSON", _mark(event))
    if re.fullmatch(_INT, text):
        if len(text) > 100:
            raise DocumentError("the number has too many digits", _mark(event))
        return int(text.replace("_", ""))
    based = re.fullmatch(_BASED_INT, text)
    if based:
        sign, *digits = based.groups()
        for base, given in zip((16, 2, 8), digits, strict=True):
            if given and given.strip("_") and len(given) <= 100:
                return int(given.replace("_", ""), base) * (-1 if sign == "-" else 1)
    if re.fullmatch(_FLOAT, text):
        number = float(text)
        if not math.isfinite(number):
            raise DocumentError(f"{text} is too large a number", _mark(event))
        return number
    return text


def _check_tag(event: Any, kind: str) -> None:
    if event.tag not in (None, "!", f"{_TAG}{kind}"):
        raise DocumentError(f"the tag {_shown(event.tag)} is not supported here", _mark(event))


def _shown(tag: str) -> str:
    return tag.replace(_TAG, "!!")


def _mark(event: Any) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def _mark_at(text: str, position: int) -> Mark:
    line_start = text.rfind("\n", 0, position) + 1
    return Mark(text.count("\n", 0, position) + 1, position - line_start + 1)


def _from_yaml(error: yaml.MarkedYAMLError, text: str) -> DocumentError:
    place = error.problem_mark or error.context_mark
    mark = Mark(place.line + 1, place.column + 1) if place else None
    problem = error.problem or "is not YAML"
    if "tab character" in problem or "'\\t'" in problem:
        return DocumentError("a tab: YAML is indented by spaces only", mark)
    if problem.startswith("found character that cannot start any token"):
        line = text.split("\n")[place.line] if place else ""
        if mark and line[mark.column - 1 : mark.column] == "\t":
            return DocumentError("a tab: YAML is indented by spaces only", mark)
        return DocumentError("a value that begins with @, ` or % must be quoted", mark)
    if problem == "exceeded maximum nesting depth":  # libyaml's own limit, where it looks ahead
        return DocumentError(f"is nested more than {MAX_DEPTH} levels deep", mark)
    if problem.startswith("mapping values are not allowed"):
        return DocumentError(
            "a second ':' on the line, or wrong indentation; quote text that holds ': '", mark
        )
    since = ""
    if error.context and error.context_mark and error.context_mark.line + 1 != (mark or (0,))[0]:
        since = f", {error.context} that began on line {error.context_mark.line + 1}"
    return DocumentError(f"{problem}{since}", mark)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f"the key {key!r} is there twice in one object")
        values[key] = value
    return values


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a number in JSON")
