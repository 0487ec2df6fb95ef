"""Key paths: `smoke[1].http.expect` as a tuple, and back."""

from __future__ import annotations

import re
from typing import Any

KeyPath = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def text_of(path: KeyPath) -> str:
    """The path as people write it; keys that are no words are quoted: `headers["a.b"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _BARE.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text


def resolve(text: str, value: Any) -> KeyPath:
    """The path that `text` names inside `value`; what is not there is taken apart at its dots.

    Reads `a.b[0]`, `a["x.y"]` and, for keys that exist, `a.x.y` with the dotted key `x.y`.
    """
    path: list[str | int] = []
    rest = text.lstrip(".")
    while rest:
        part, rest = _next(rest, value)
        path.append(part)
        value = _inside(value, part)
        rest = rest.removeprefix(".")
    return tuple(path)


def _next(rest: str, value: Any) -> tuple[str | int, str]:
    index = re.match(r"\[(\d+)\]", rest)
    if index:
        return int(index[1]), rest[index.end() :]
    if rest.startswith('["'):
        end = rest.find('"]')
        if end > 0:
            return rest[2:end], rest[end + 2 :]
    if isinstance(value, dict):
        fitting = [key for key in value if key and re.match(re.escape(key) + r"(?:[.\[]|\Z)", rest)]
        if fitting:
            longest = max(fitting, key=len)
            return longest, rest[len(longest) :]
    word = re.match(r"[^.\[]+", rest)
    return (word[0], rest[word.end() :]) if word else (rest, "")


def _inside(value: Any, part: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return None
