"""Regular expressions that the mesh evaluates: RE2's dialect, checked here before it refuses them.

Envoy does not reject a VirtualService with a bad expression at once: it drops the route table's
update, and everything stays as it was without a word. So they are checked before anything is done.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator

_GROUPS = {
    "(?=": "a lookahead",
    "(?!": "a negative lookahead",
    "(?<=": "a lookbehind",
    "(?<!": "a negative lookbehind",
    "(?P=": "a backreference",
    "(?(": "a conditional group",
    "(?>": "an atomic group",
    "(?#": "a comment",
}
_CLASS = r"(?s)\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]"
_POSSESSIVE = r"(?:[*+?]|\{\d*,?\d*\})\+"
_COUNT = r"\{(\d+)(?:,(\d*))?\}"
_MOST_REPEATS = 1000


def problems(pattern: str) -> Iterator[str]:
    """Why the mesh could not use `pattern`; nothing when it can."""
    refused = next(_not_re2(pattern), None)
    if refused:
        yield f"{refused}, which the mesh's expressions (RE2) do not have"
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            re.compile(pattern)
    except (re.error, OverflowError) as error:
        yield f"is not a regular expression: {error}"
    except RecursionError:
        yield "is nested too deeply"


def _not_re2(pattern: str) -> Iterator[str]:
    position = 0
    while position < len(pattern):
        rest = pattern[position:]
        character_class = re.match(_CLASS, rest)
        if rest.startswith("\\"):
            if rest[1:2] and rest[1] in "123456789":
                yield f"{rest[:2]} is a backreference"
            elif rest[1:2] and rest[1] in "ZuUN":
                yield f"{rest[:2]} is an escape"
            position += 2
        elif character_class:
            position += character_class.end()
        else:
            yield from (f"{text}…) is {name}" for text, name in _GROUPS.items() if _at(rest, text))
            yield from _bad_repeat(rest)
            position += 1


def _bad_repeat(rest: str) -> Iterator[str]:
    if re.match(_POSSESSIVE, rest):
        yield "a second + makes a possessive repeat"
    count = re.match(_COUNT, rest)
    if count and max(int(number or 0) for number in count.groups()) > _MOST_REPEATS:
        yield f"{count[0]} repeats more than {_MOST_REPEATS} times"


def _at(rest: str, text: str) -> bool:
    return rest.startswith(text)
