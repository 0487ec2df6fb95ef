"""A cookie's condition as a condition on the whole `cookie` header.

Envoy matches a header's regular expression against its whole value, RE2 has neither lookaround
nor intersection, and `.` or a negated class of the user's expression would run on into the next
cookie. So the user's expression is rewritten to one that cannot match a semicolon.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

from theseus_ci.config.regex import problems
from theseus_ci.errors import ConfigError

if TYPE_CHECKING:
    from theseus_ci.config.types import NamedMatch

_BEFORE = r"(?:.*;\s*)?"
_AFTER = r"(?:\s*;.*)?"
_TOKEN = (
    r"(?s)(?P<escape>\\(?:x\{[0-9A-Fa-f]+\}|x[0-9A-Fa-f]{2}|0[0-7]{0,2}|[pP]\{\^?\w+\}|[pP]\w|.))"
    r"|(?P<class>\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\])"
    r"|(?P<flags>\(\?[imsU-]+\))"
    r"|(?P<open>\((?:\?(?:P?<\w+>|[imsU-]*:))?)"
    r"|(?P<close>\))"
    r"|(?P<repeat>(?:[*+?]|\{\d+,?\d*\})\??)"
    r"|(?P<other>.)"
)
_ESCAPES = {r"\S": r"[^;\s]", r"\D": r"[^;\d]", r"\W": r"[^;\w]"}
_ZERO_WIDTH = {r"\b", r"\B"}
_SEMICOLON = ord(";")


def cookie_regex(match: NamedMatch) -> str:
    """The RE2 expression for a `cookie` header that holds this cookie, anywhere in it.

    Raises ConfigError when the user's expression cannot be kept within the cookie's value.
    """
    if match.exact is not None:
        value = re.escape(match.exact)
    elif match.prefix is not None:
        value = re.escape(match.prefix) + "[^;]*"
    else:
        value = _within_value(match.regex or "", match.name)
    return f"{_BEFORE}{re.escape(match.name)}={value}{_AFTER}"


def _within_value(pattern: str, cookie: str) -> str:
    where = f"matchers: cookie {cookie}: regex {pattern!r}"
    for problem in problems(pattern):
        raise ConfigError(problem, where=where)
    flags = re.match(r"\(\?([imsU-]+)\)", pattern)
    body = pattern[flags.end() :] if flags else pattern
    return f"(?{flags[1] if flags else ''}:{''.join(_Confined(body, where).tokens())})"


class _Confined:
    """Walks a user's expression and writes one that matches the same values without `;`.

    Anchors are dropped, since the value is matched as a whole; an anchor at any other place than
    an end of the value is an error. The stack keeps, for each open group, what holds around it:
    whether its start is the value's, whether an alternative has passed the end, whether there
    was an anchor.
    """

    def __init__(self, pattern: str, where: str) -> None:
        self._pattern = pattern
        self._where = where
        self._stack: list[tuple[bool, bool, bool]] = []
        self._start, self._at_start, self._ended, self._anchored = True, True, False, False
        self._branch_ended = False
        self._closed_anchored = False

    def tokens(self) -> list[str]:
        return [self._rewrite(token) for token in re.finditer(_TOKEN, self._pattern)]

    def _rewrite(self, token: re.Match[str]) -> str:
        kind, text = str(token.lastgroup), token[0]
        if kind == "repeat":
            if self._closed_anchored:
                raise self._error("repeats a group that holds an anchor")
            return text
        self._closed_anchored = False
        if kind in ("open", "close"):
            return self._open(text) if kind == "open" else self._close(text)
        if kind == "other" and text == "|":
            return self._alternative(text)
        if text in ("^", r"\A", "$", r"\z"):
            return self._anchor(text)
        if kind == "flags" or text in _ZERO_WIDTH:
            return text
        return self._consuming(kind, text)

    def _alternative(self, text: str) -> str:
        self._branch_ended = self._branch_ended or self._ended
        self._at_start, self._ended = self._start, False
        return text

    def _open(self, text: str) -> str:
        if self._ended:
            raise self._error("goes on behind an anchor for the end")
        self._stack.append((self._start, self._branch_ended, self._anchored))
        self._start, self._branch_ended, self._anchored = self._at_start, False, False
        return text

    def _close(self, text: str) -> str:
        ended = self._ended or self._branch_ended
        anchored = self._anchored
        self._start, self._branch_ended, outer_anchored = self._stack.pop()
        self._ended, self._at_start = ended, False
        self._anchored = outer_anchored or anchored
        self._closed_anchored = anchored
        return text

    def _anchor(self, text: str) -> str:
        self._anchored = True
        if text in ("^", r"\A"):
            if not self._at_start:
                raise self._error(f"has {text} within the value")
        else:
            self._ended = True
        return ""

    def _consuming(self, kind: str, text: str) -> str:
        if self._ended:
            raise self._error("goes on behind an anchor for the end")
        self._at_start = False
        if kind == "class":
            return _class_without_semicolon(text, self._error("has a class that cannot be read"))
        if kind == "escape":
            if text[1] == "P" or (text[1] == "p" and text[2:].strip("{}") in ("P", "Po", "Any")):
                raise self._error(f"has {text}, which would match the ; between cookies")
            if _matches_semicolon(text) and text not in _ESCAPES:
                raise self._error("asks for a ;, which no cookie's value contains")
            return _ESCAPES.get(text, text)
        if text == ";":
            raise self._error("asks for a ;, which no cookie's value contains")
        return "[^;]" if text == "." else text

    def _error(self, message: str) -> ConfigError:
        return ConfigError(message, where=self._where, remedy="match the cookie's value only")


def _matches_semicolon(text: str) -> bool:
    hexadecimal = re.fullmatch(r"\\x\{?([0-9A-Fa-f]+)\}?", text)
    octal = re.fullmatch(r"\\(0[0-7]*)", text)
    if hexadecimal or octal:
        code = int(hexadecimal[1], 16) if hexadecimal else int(octal[1] if octal else "0", 8)
        return code == _SEMICOLON
    return text in (r"\;", *_ESCAPES, r"\C")


def _class_without_semicolon(text: str, unreadable: ConfigError) -> str:
    """The character class, less the semicolon; unchanged when it has none."""
    if "[:^" in text:
        raise unreadable
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            one = re.compile(posix_to_python(text), re.ASCII)
    except re.error as error:
        raise unreadable from error
    if not one.fullmatch(";"):
        return text
    if text.startswith("[^"):
        return f"[^;{text[2:]}"
    members = [
        code for code in range(0x20, 0x7F) if code != _SEMICOLON and one.fullmatch(chr(code))
    ]
    beyond = r"\x{80}-\x{10FFFF}" if one.fullmatch("\u00e9") else ""
    inner = "".join(f"\\x{code:02x}" for code in members) + beyond
    if not inner:
        raise ConfigError("asks for a ;, which no cookie's value contains", where=unreadable.where)
    return f"[{inner}]"


_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "space": r"\s",
    "upper": "A-Z",
    "word": r"\w",
    "xdigit": "0-9A-Fa-f",
}


def posix_to_python(pattern: str) -> str:
    """RE2's `[:digit:]` and `\\z` in the terms of Python's `re`; other names are left."""
    spelled = re.sub(r"\[:(\w+):\]", lambda name: _POSIX.get(name[1], name[0]), pattern)
    return re.sub(r"\\(.)", lambda escape: r"\Z" if escape[1] == "z" else escape[0], spelled)
