"""People's matchers, cookies, and conditions joined on one header."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.mesh.worlds import widely
from theseus_ci.config.types import Matcher, NamedMatch, StringMatch
from theseus_ci.errors import ConfigError
from theseus_ci.mesh.cookies import cookie_regex
from theseus_ci.mesh.matching import (
    UndecidableError,
    accepts,
    join,
    narrow,
    people_conditions,
)

Object = dict[str, Any]


def cookie(**match: str) -> Matcher:
    return Matcher(cookie=NamedMatch(name="tester", **match))


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [
        (
            Matcher(header=NamedMatch(name="X-Release", exact="candidate")),
            [("x-release", {"exact": "candidate"})],
        ),
        (Matcher(header=NamedMatch(name="x-ring", prefix="in")), [("x-ring", {"prefix": "in"})]),
        (
            Matcher(header=NamedMatch(name="x-ring", regex="^in+$")),
            [("x-ring", {"regex": "^in+$"})],
        ),
        (Matcher(user_agent=StringMatch(prefix="t/")), [("user-agent", {"prefix": "t/"})]),
        (
            Matcher(
                header=[NamedMatch(name="A", exact="1"), NamedMatch(name="B", exact="2")],
                user_agent=StringMatch(exact="t"),
            ),
            [("a", {"exact": "1"}), ("b", {"exact": "2"}), ("user-agent", {"exact": "t"})],
        ),
    ],
)
def test_matchers_become_header_conditions(matcher: Matcher, expected: list[Any]) -> None:
    assert people_conditions(matcher) == expected


@pytest.mark.parametrize(
    "matcher",
    [
        Matcher(),
        Matcher(header=NamedMatch(name="x")),
        Matcher(header=NamedMatch(name="x", exact="a", prefix="b")),
        Matcher(header=NamedMatch(name="x", prefix="")),
        Matcher(header=NamedMatch(name="x", regex="a(?=b)")),
        Matcher(header=NamedMatch(name="x", regex="(")),
        cookie(regex="a" * 1100),
    ],
)
def test_matchers_the_mesh_cannot_use_are_refused(matcher: Matcher) -> None:
    with pytest.raises(ConfigError):
        people_conditions(matcher)


COOKIES = [
    "tester=alice",
    "a=1; tester=alice",
    "tester=alice; b=2",
    "a=1; tester=alice; b=2",
    "a=1;tester=alice;b=2",
]


@pytest.mark.parametrize("header", COOKIES)
@pytest.mark.parametrize(
    "match",
    [
        {"exact": "alice"},
        {"prefix": "al"},
        {"regex": "alice"},
        {"regex": "^(alice|bob)$"},
        {"regex": "^alice$|^bob$"},
        {"regex": "(^alice|bob)$"},
        {"regex": "(?i)ALICE"},
        {"regex": "a.*e"},
        {"regex": r"\S+"},
        {"regex": "[^x]+"},
        {"regex": "[!-~]+"},
        {"regex": "[[:alpha:]]+"},
        {"regex": "a[[:punct:]]?lice"},
    ],
)
def test_a_cookie_is_found_anywhere_in_the_header(header: str, match: dict[str, str]) -> None:
    pattern = cookie_regex(NamedMatch(name="tester", **match))
    assert accepts({"regex": pattern}, header)


@pytest.mark.parametrize(
    "header",
    [
        "tester=mallory",
        "xtester=alice",
        "a=tester=alice",
        "tester=alicex",
        "tester=xalice",
        "tester=mallory; other=alice",
        "tester=a; other=e",
        "tester=; other=alice",
        "Tester=alice",
        "",
    ],
)
@pytest.mark.parametrize(
    "match", [{"exact": "alice"}, {"regex": "^(alice|bob)$"}, {"regex": "a.+e"}]
)
def test_other_cookies_do_not_count(header: str, match: dict[str, str]) -> None:
    pattern = cookie_regex(NamedMatch(name="tester", **match))
    assert not re.fullmatch(pattern, header)


values = st.text(st.sampled_from("ab.*+?()|[]{}^$\\-_ %;="), max_size=6)


@widely
@given(values, values, st.lists(values, max_size=2))
def test_exact_cookie_values_are_taken_literally(wanted: str, sent: str, others: list[str]) -> None:
    assume(";" not in wanted + sent + "".join(others))
    assume(wanted.strip() == wanted and sent.strip() == sent)
    pattern = cookie_regex(NamedMatch(name="te.st", exact=wanted))
    header = "; ".join([f"te.st={sent}", *(f"o{i}={one}" for i, one in enumerate(others))])
    assert bool(re.fullmatch(pattern, header)) == (sent == wanted)


bodies = st.recursive(
    st.sampled_from(["a", "b", ".", "[^a]", r"\w", r"\S", "[a-c]", r"\."]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}|{two[1]})"),
        inner.map(lambda one: f"(?:{one})*"),
        inner.map(lambda one: f"({one})?"),
    ),
    max_leaves=5,
)


@widely
@given(
    bodies, st.booleans(), st.booleans(), st.text("abc.-", max_size=4), st.text("abc", max_size=3)
)
def test_a_regex_means_the_cookies_value_alone(
    body: str, begins: bool, ends: bool, value: str, other: str
) -> None:
    alternative = "|" in re.sub(r"\(.*\)", "", body)
    pattern = ("^" if begins else "") + body + ("$" if ends else "")
    assume(not alternative)
    whole = cookie_regex(NamedMatch(name="t", regex=pattern))
    expected = re.fullmatch(body, value) is not None
    for header in (f"t={value}", f"x={other}; t={value}", f"t={value}; x={other}"):
        assert bool(re.fullmatch(whole, header)) == expected


@pytest.mark.parametrize("pattern", ["a;b", r"a\;b", r"\x3b", "a^b", "a$b", "(^a)+", r"\PL", "[;]"])
def test_a_regex_that_leaves_the_value_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="cookie tester"):
        people_conditions(cookie(regex=pattern))


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        ({}, {"exact": "a"}, {"exact": "a"}),
        ({"regex": "*"}, {"prefix": "a"}, {"prefix": "a"}),
        ({"exact": "a"}, {"exact": "a"}, {"exact": "a"}),
        ({"exact": "a"}, {"exact": "b"}, None),
        ({"exact": "beta-1"}, {"prefix": "beta-"}, {"exact": "beta-1"}),
        ({"exact": "beta-1"}, {"regex": "beta-[0-9]"}, {"exact": "beta-1"}),
        ({"exact": "beta-x"}, {"regex": "beta-[0-9]"}, None),
        ({"exact": "beta-1"}, {"regex": "beta"}, None),
        ({"prefix": "a"}, {"prefix": "ab"}, {"prefix": "ab"}),
        ({"prefix": "a"}, {"prefix": "b"}, None),
        ({"prefix": "a"}, {"regex": ".*"}, {"prefix": "a"}),
        ({"regex": "x[0-9]"}, {"regex": "x[0-9]"}, {"regex": "x[0-9]"}),
        ({"regex": "^abc.*$"}, {"prefix": "ab"}, {"regex": "^abc.*$"}),
        ({"regex": "abc"}, {"prefix": "x"}, None),
    ],
)
def test_conditions_on_one_header_are_joined(
    first: Object, second: Object, joined: Object | None
) -> None:
    assert join(first, second) == joined
    assert join(second, first) == joined


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"regex": "a[0-9]"}, {"prefix": "a"}),
        ({"regex": "a[0-9]"}, {"regex": "a.[b]"}),
        ({"exact": "x"}, {"regex": r"\pL"}),
    ],
)
def test_conditions_that_cannot_be_joined_say_so(first: Object, second: Object) -> None:
    with pytest.raises(UndecidableError):
        join(first, second)


conditions: st.SearchStrategy[Object] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"exact": st.text("ab", max_size=3)}),
    st.fixed_dictionaries({"prefix": st.text("ab", min_size=1, max_size=2)}),
    st.fixed_dictionaries(
        {"regex": st.sampled_from(["a.*", "a|b", "ab", ".*", "*", "[ab]+", "a*"])}
    ),
)


@widely
@given(conditions, conditions, st.text("abc", max_size=4))
def test_a_joined_condition_holds_where_both_hold(
    first: Object, second: Object, value: str
) -> None:
    try:
        both = join(first, second)
    except UndecidableError:
        return
    expected = accepts(first, value) and accepts(second, value)
    assert (both is not None and accepts(both, value)) == expected


def test_an_impossible_block_is_left_out_and_the_header_is_found_in_any_case() -> None:
    blocks: list[Object] = [
        {"headers": {"X-Ring": {"exact": "outer"}}},
        {"headers": {"X-Ring": {"prefix": "in"}}, "uri": {"prefix": "/"}},
    ]
    narrowed = narrow(blocks, [("x-ring", {"exact": "inner"})], "here", "matchers[0]")
    assert narrowed == [{"headers": {"X-Ring": {"exact": "inner"}}, "uri": {"prefix": "/"}}]


def test_the_error_names_route_block_header_and_matcher() -> None:
    blocks: list[Object] = [{}, {"headers": {"cookie": {"regex": "^(.*?;)?(user=jason)(;.*)?$"}}}]
    (name, condition), *_ = people_conditions(cookie(exact="alice"))
    with pytest.raises(ConfigError) as caught:
        narrow(blocks, [(name, condition)], "VirtualService shop/shop http[2] 'api'", "matchers[0]")
    assert str(caught.value).startswith("VirtualService shop/shop http[2] 'api' match[1]: ")
    assert "header cookie" in str(caught.value)
    assert "matchers[0]" in str(caught.value)
