"""People's matchers and the rollout's own conditions, joined with the match blocks of a route.

A condition is Istio's StringMatch as it stands in an object: {"exact": …}, {"prefix": …},
{"regex": …} (a full match, RE2), or {} for a header that only has to be there.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from theseus_ci.config.regex import problems
from theseus_ci.errors import ConfigError
from theseus_ci.mesh.cookies import cookie_regex, posix_to_python
from theseus_ci.model import clone

if TYPE_CHECKING:
    from theseus_ci.config.types import Matcher, NamedMatch, StringMatch

Condition = dict[str, Any]
HeaderCondition = tuple[str, Condition]

_REGEX_MAX = 1024  # Istio refuses longer expressions
_META = set(r"\.+*?()|[]{}^$")


class UndecidableError(Exception):
    """Whether one condition implies the other cannot be told from their texts."""


def exactly(value: str) -> Condition:
    return {"exact": value}


def people_conditions(matcher: Matcher) -> list[HeaderCondition]:
    """What a matcher asks of a request's headers; all must hold.

    Raises ConfigError for a matcher that says nothing, or that the mesh could not evaluate.
    """
    named: Iterable[NamedMatch]
    if matcher.header is None:
        named = ()
    else:
        named = matcher.header if isinstance(matcher.header, list) else [matcher.header]
    found = [(one.name.lower(), _condition(one, f"header {one.name}")) for one in named]
    if matcher.cookie is not None:
        text = cookie_regex(matcher.cookie)
        found.append(("cookie", _checked_regex(text, f"cookie {matcher.cookie.name}")))
    if matcher.user_agent is not None:
        found.append(("user-agent", _condition(matcher.user_agent, "userAgent")))
    if not found:
        raise ConfigError("an empty matcher would match everybody", where="matchers")
    return found


def _condition(match: StringMatch, what: str) -> Condition:
    given = [
        (kind, value)
        for kind, value in (
            ("exact", match.exact),
            ("prefix", match.prefix),
            ("regex", match.regex),
        )
        if value is not None
    ]
    if len(given) != 1:
        raise ConfigError("give one of exact, prefix and regex", where=f"matchers: {what}")
    kind, value = given[0]
    if not value and kind != "exact":
        raise ConfigError(f"{kind} is empty, which the mesh refuses", where=f"matchers: {what}")
    return _checked_regex(value, what) if kind == "regex" else {kind: value}


def _checked_regex(pattern: str, what: str) -> Condition:
    for problem in problems(pattern):
        raise ConfigError(f"regex {pattern!r} {problem}", where=f"matchers: {what}")
    if len(pattern) > _REGEX_MAX:
        raise ConfigError(
            f"the expression comes to {len(pattern)} characters; the mesh takes {_REGEX_MAX}",
            where=f"matchers: {what}",
        )
    return {"regex": pattern}


def narrow(
    blocks: Sequence[Condition], conditions: Sequence[HeaderCondition], where: str, what: str
) -> list[Condition]:
    """Every match block, with the conditions added; blocks that then can never match are left out.

    `where` names the route and `what` the conditions, for the ConfigError raised when two
    conditions on one header cannot be joined.
    """
    narrowed = []
    for index, block in enumerate(blocks or [{}]):
        joined: Condition | None = clone(block)
        for header, condition in conditions:
            if joined is not None:
                joined = _with(joined, header, condition, f"{where} match[{index}]", what)
        if joined is not None:
            narrowed.append(joined)
    return narrowed


def _with(
    block: Condition, header: str, condition: Condition, where: str, what: str
) -> Condition | None:
    headers = block.get("headers") or {}
    present = next((name for name in headers if name.lower() == header), None)
    if present is None:
        return {**block, "headers": {**headers, header: dict(condition)}}
    try:
        joined = join(headers[present] or {}, condition)
    except UndecidableError as reason:
        raise ConfigError(
            f"the route already has a condition on header {header} ({reason}), and it cannot be"
            f" joined with {what}",
            where=where,
            remedy="use another header for the matcher, or an exact value",
        ) from None
    return None if joined is None else {**block, "headers": {**headers, present: joined}}


def join(first: Condition, second: Condition) -> Condition | None:
    """One condition that holds where both hold; None when they exclude each other.

    Raises UndecidableError when neither is seen to imply the other.
    """
    if implies(first, second):
        return dict(first)
    if implies(second, first):
        return dict(second)
    one, other = simplest(first), simplest(second)
    if "exact" in one or "exact" in other:
        return None
    if "prefix" in one and "prefix" in other:
        return None
    raise UndecidableError(f"{_text(first)} beside {_text(second)}")


def implies(first: Condition, second: Condition) -> bool:
    """Whether every value that satisfies `first` satisfies `second`, as far as can be told."""
    one, other = simplest(first), simplest(second)
    if not other or one == other:
        return True
    if "exact" in one:
        return accepts(other, one["exact"])
    if "prefix" in one and "prefix" in other:
        return bool(one["prefix"].startswith(other["prefix"]))
    return False


def accepts(condition: Condition, value: str) -> bool:
    """Whether a header that is there with this value satisfies the condition.

    Raises UndecidableError for an expression that cannot be evaluated here.
    """
    plain = simplest(condition)
    if "exact" in plain:
        return bool(value == plain["exact"])
    if "prefix" in plain:
        return value.startswith(plain["prefix"])
    if "regex" not in plain:
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return bool(re.fullmatch(posix_to_python(plain["regex"]), value, re.ASCII))
    except re.error as error:
        raise UndecidableError(f"{_text(condition)}: {error}") from error


def simplest(condition: Condition) -> Condition:
    """The simplest condition that means the same: a regex may be presence, exact or prefix."""
    regex = condition.get("regex")
    if regex is None:
        return {kind: condition[kind] for kind in ("exact", "prefix") if kind in condition}
    if regex in ("*", ".*", "^.*$", "^.*", ".*$"):
        return {}
    body = str(regex).removeprefix("^")
    if body.endswith("$") and not body.endswith(r"\$"):
        body = body[:-1]
    literal, rest = _literal_start(body)
    if not rest:
        return {"exact": literal}
    return {"prefix": literal} if rest == ".*" and literal else {"regex": regex}


def _literal_start(pattern: str) -> tuple[str, str]:
    """The text a pattern begins with literally, and what follows it."""
    literal, position = "", 0
    while position < len(pattern):
        character = pattern[position]
        escaped = character == "\\" and pattern[position + 1 : position + 2]
        if escaped and not escaped.isalnum():
            literal, position = literal + escaped, position + 2
        elif character in _META:
            break
        else:
            literal, position = literal + character, position + 1
    rest = pattern[position:]
    if rest[:1] and rest[0] in "*+?{|":
        return "", pattern  # the repeat or the alternative takes part of the text with it
    return literal, rest


def _text(condition: Condition) -> str:
    kind, value = next(iter(condition.items()), ("present", ""))
    return f"{kind} {value!r}" if kind != "present" else "present"
