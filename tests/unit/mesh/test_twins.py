"""The routes a rollout adds, by example."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.mesh.interpreter import Request, matches, outcome, route
from tests.unit.mesh.worlds import NAMESPACE, REVIEWS, widely
from theseus_ci.config.types import Matcher, NamedMatch, StringMatch
from theseus_ci.errors import ConfigError, Refused, StateError
from theseus_ci.mesh.created import new_virtual_service, was_created
from theseus_ci.mesh.headers import KEY, TO, request_headers, sees
from theseus_ci.mesh.naming import annotation_name
from theseus_ci.mesh.routing import Routing, ServiceHost, Side
from theseus_ci.mesh.virtual_service import (
    edit_virtual_service,
    observable,
    restore_virtual_service,
)

Object = dict[str, Any]
V1 = Side("v1", {"version": "v1"}, owned=False)
V2 = Side("theseus-v2-bbbbbbbb", {"version": "v2"}, owned=True)


def vs(*http: Object, **spec: Any) -> Object:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": NAMESPACE},
        "spec": {"hosts": ["reviews"], "http": list(http), **spec},
    }


def to(subset: str = "", weight: int | None = None, host: str = "reviews", **more: Any) -> Object:
    destination = {"host": host, **({"subset": subset} if subset else {})}
    weighted = {} if weight is None else {"weight": weight}
    return {"destination": destination, **weighted, **more}


def routing(weight: int = 0, **values: Any) -> Routing:
    wanted: dict[str, Any] = {
        "service": REVIEWS,
        "rollout": "r1",
        "edit": 4,
        "previous": V1,
        "candidate": V2,
        "weight": weight,
        "previous_routed": True,
        "candidate_routed": True,
        "secret": "s",
    }
    return Routing(**{**wanted, **values})


def names(obj: Object) -> list[str]:
    return [str(one.get("name", "")) for one in obj["spec"]["http"]]


def test_a_twin_is_the_entry_but_for_its_condition_and_target() -> None:
    entry = {
        "name": "api",
        "match": [{"uri": {"prefix": "/api"}, "name": "deep"}],
        "route": [to("v1", headers={"request": {"remove": ["x-a"]}}, future=1)],
        "rewrite": {"uri": "/"},
        "timeout": "3s",
        "headers": {"response": {"add": {"x-b": "1"}}},
    }
    twin = edit_virtual_service(vs(entry), routing())["spec"]["http"][3]
    assert twin == {
        **entry,
        "name": "theseus.reviews.shop.candidate.1",
        "match": [
            {
                "uri": {"prefix": "/api"},
                "name": "deep",
                "headers": {KEY: {"exact": "s"}, TO: {"exact": "candidate"}},
            }
        ],
        "route": [
            {
                "destination": {"host": "reviews", "subset": V2.subset},
                "headers": {
                    "request": {"remove": ["x-a", KEY]},
                    "response": {
                        "set": {
                            "x-theseus-rollout": "r1",
                            "x-theseus-edit": "4",
                            "x-theseus-version": "candidate",
                        }
                    },
                },
                "future": 1,
            }
        ],
    }


def test_base_route_sets_the_subset_and_only_the_previous_versions_probe() -> None:
    base = routing(candidate_routed=False, candidate=None)
    edited = edit_virtual_service(vs({"route": [to()]}), base)
    assert names(edited) == ["theseus.reviews.shop.marker", "theseus.reviews.shop.previous.1", ""]
    assert edited["spec"]["http"][-1] == {"route": [to("v1")]}


def test_weight_zero_and_hundred_keep_one_destination_and_its_weight() -> None:
    entry = {"route": [to("v1", 100)]}
    for weight, subset in ((0, "v1"), (100, V2.subset)):
        edited = edit_virtual_service(vs(entry), routing(weight))
        assert edited["spec"]["http"][-1] == {"route": [to(subset, 100)]}


@pytest.mark.parametrize(
    ("original", "weight", "expected"),
    [
        ([to("v1")], 10, [90, 10]),
        ([to("v1", 0)], 10, [90, 10]),
        ([to("v1", 50), to("", 50, "details")], 10, [9, 1, 10]),
        ([to("v1", 1), to("", 2, "details")], 33, [67, 33, 200]),
        ([to("v1", 30), to("v1", 70)], 50, [3, 3, 7, 7]),
        ([to("v1", 90), to("v9", 10), to("", None, "details")], 50, [9, 9, 2, None]),
        ([to("v1", 0), to("", 5, "details")], 50, [0, 5]),
    ],
)
def test_weights_keep_every_proportion(
    original: list[Object], weight: int, expected: list[int | None]
) -> None:
    edited = edit_virtual_service(vs({"route": original}), routing(weight))
    assert [one.get("weight") for one in edited["spec"]["http"][-1]["route"]] == expected


def test_weights_that_cannot_be_divided_exactly_are_refused() -> None:
    large = [to("v1", 2_000_000_011), to("", 100_000_007, "details")]
    with pytest.raises(Refused, match="too large"):
        edit_virtual_service(vs({"route": large}), routing(1))


def test_after_the_drain_nothing_names_the_previous_version() -> None:
    drained = routing(100, previous_routed=False)
    edited = edit_virtual_service(
        vs({"route": [to()]}, {"route": [to("v1", 0), to("", 1, "d")]}), drained
    )
    assert "v1" not in [
        one["destination"].get("subset")
        for entry in edited["spec"]["http"]
        for one in entry.get("route", [])
    ]
    assert "theseus.reviews.shop.previous.1" not in names(edited)


def test_a_first_release_stays_dark_until_it_has_everything() -> None:
    original = vs({"route": [to()]})
    for weight in (0, 50):
        dark = edit_virtual_service(original, routing(weight, previous=None))
        everybody = route(dark, Request())
        assert everybody is not None
        assert [subset[:13] for _, subset in everybody.targets] == ["theseus-none-"]
        tested = route(dark, Request(headers=request_headers("s", "candidate")))
        assert tested is not None
        assert list(tested.targets) == [(REVIEWS.fqdn, V2.subset)]
        assert restore_virtual_service(dark, REVIEWS, "previous") == original
    live = edit_virtual_service(original, routing(100, previous=None))
    assert live["spec"]["http"][-1] == {"route": [to(V2.subset)]}
    assert restore_virtual_service(live, REVIEWS, "candidate") == original


def test_an_earlier_route_of_the_user_keeps_its_priority() -> None:
    third = {"match": [{"headers": {"end-user": {"exact": "jason"}}}], "route": [to("v3")]}
    people = Matcher(header=NamedMatch(name="x-release", exact="candidate"))
    edited = edit_virtual_service(vs(third, {"route": [to("v1")]}), routing(matchers=(people,)))
    person = {"end-user": "jason", "x-release": "candidate"}
    found = route(edited, Request(headers=person))
    assert found is not None
    assert found.entry == third
    assert names(edited)[:2] == ["theseus.reviews.shop.marker", ""]


def test_a_load_tester_with_a_persons_user_agent_still_goes_where_it_asks() -> None:
    people = Matcher(user_agent=StringMatch(prefix="theseus/"))
    edited = edit_virtual_service(vs({"route": [to("v1")]}), routing(matchers=(people,)))
    asked = {**request_headers("s", "previous"), "user-agent": "theseus/1"}
    found = route(edited, Request(headers=asked))
    assert found is not None
    assert list(found.targets) == [(REVIEWS.fqdn, "v1")]


conditions: st.SearchStrategy[Object | None] = st.one_of(
    st.none(),
    st.just({}),
    st.fixed_dictionaries({"exact": st.sampled_from(["a", "ab", "t=a"])}),
    st.fixed_dictionaries({"prefix": st.sampled_from(["a", "ab", "b"])}),
    st.fixed_dictionaries(
        {"regex": st.sampled_from(["a.*", "ab|b", "*", ".*", "(.*;)?t=a(;.*)?"])}
    ),
)
string_matches = st.sampled_from(
    [{"exact": "a"}, {"exact": "ab"}, {"prefix": "a"}, {"regex": "a|b"}, {"regex": "ab*"}]
)


@widely
@given(
    conditions,
    st.sampled_from(["header", "cookie", "agent"]),
    string_matches,
    st.sampled_from([None, "a", "ab", "b", "t=a", "x=1; t=ab", "t=b"]),
    st.sampled_from(["/", "/deep"]),
)
def test_every_kind_of_matcher_narrows_every_kind_of_condition(
    theirs: Object | None, kind: str, wanted: dict[str, str], sent: str | None, path: str
) -> None:
    """A person is routed when the entry's block and the matcher hold, or the edit is refused."""
    header, matcher = {
        "header": ("x-ring", Matcher(header=NamedMatch(name="X-Ring", **wanted))),
        "cookie": ("cookie", Matcher(cookie=NamedMatch(name="t", **wanted))),
        "agent": ("user-agent", Matcher(user_agent=StringMatch(**wanted))),
    }[kind]
    block: Object = {"uri": {"prefix": "/deep"}}
    if theirs is not None:
        block["headers"] = {header: theirs}
    original = vs({"name": "e", "match": [block], "route": [to("v1")]})
    try:
        edited = edit_virtual_service(original, routing(matchers=(matcher,)))
    except ConfigError:
        theirs_is_open = theirs is not None and ("regex" in theirs or "prefix" in theirs)
        assert theirs_is_open, "only two open conditions on one header cannot be joined"
        return
    request = Request(path=path, headers={} if sent is None else {header: sent})
    found = route(edited, request)
    asked = _holds(kind, wanted, sent)
    if matches(block, request):
        assert found is not None
        subset = V2.subset if asked else "v1"
        assert list(found.targets) == [(REVIEWS.fqdn, subset)]
    else:
        assert found is None


def _holds(kind: str, wanted: dict[str, str], sent: str | None) -> bool:
    if kind != "cookie":
        return sent is not None and matches(
            {"headers": {"h": wanted}}, Request(headers={"h": sent})
        )
    cookies = dict(part.split("=", 1) for part in (sent or "").split("; ") if "=" in part)
    value = cookies.get("t")
    return value is not None and _holds("header", wanted, value)


def test_names_and_secrets_of_two_services_of_one_name_are_apart() -> None:
    other = ServiceHost("reviews", "other")
    entries = [{"route": [to()]}, {"route": [to(host=other.fqdn)]}]
    both = edit_virtual_service(vs(*entries), routing(10))
    both = edit_virtual_service(both, routing(20, service=other, secret="t"))
    assert len(set(names(both)) - {""}) == len(names(both)) - 2
    half = restore_virtual_service(both, REVIEWS, "previous")
    assert half is not None
    assert [one for one in names(half) if "reviews.shop" in one] == []
    assert restore_virtual_service(half, other, "previous") == vs(*entries)


def test_annotation_names_fit() -> None:
    assert annotation_name("undo", REVIEWS) == "theseus-ci.io/undo.reviews.shop"
    long = [ServiceHost("s" * 63, "n" * 62 + end) for end in "ab"]
    found = {annotation_name("undo", one) for one in long}
    assert len(found) == 2
    assert all(len(one.removeprefix("theseus-ci.io/")) <= 63 for one in found)


def test_a_virtual_service_made_for_the_rollout_is_to_be_deleted() -> None:
    made = new_virtual_service(REVIEWS, tcp_ports=[3306])
    edited = edit_virtual_service(made, routing(10))
    assert was_created(edited, REVIEWS)
    split = [one["weight"] for one in edited["spec"]["tcp"][0]["route"]]
    assert split == [90, 10]
    assert restore_virtual_service(edited, REVIEWS, "previous") is None
    assert restore_virtual_service(edited, REVIEWS, "candidate", V2) is None
    used = copy.deepcopy(edited)
    used["spec"]["http"].insert(0, {"redirect": {"uri": "/"}})
    kept = restore_virtual_service(used, REVIEWS, "previous")
    assert kept is not None
    assert "annotations" not in kept["metadata"]
    assert kept["spec"]["http"][0] == {"redirect": {"uri": "/"}}


def test_without_http_nothing_can_be_observed() -> None:
    tcp = {"match": [{"port": 1}], "route": [to("v1")]}
    original = vs(tcp=[tcp])
    del original["spec"]["http"]
    assert not observable(original)
    edited = edit_virtual_service(original, routing(50))
    assert "http" not in edited["spec"]
    assert outcome(edited["spec"]["tcp"][0], 0, NAMESPACE).targets.keys() == {
        (REVIEWS.fqdn, "v1"),
        (REVIEWS.fqdn, V2.subset),
    }
    assert restore_virtual_service(edited, REVIEWS, "previous") == original


def test_an_unreadable_record_stops_everything() -> None:
    edited = edit_virtual_service(vs({"route": [to("v1")]}), routing(10))
    edited["metadata"]["annotations"][annotation_name("undo", REVIEWS)] = '{"v":99}'
    with pytest.raises(StateError, match=r"schema 99|cannot be read"):
        edit_virtual_service(edited, routing(20))


def test_promotion_needs_the_candidates_subset_where_the_user_named_one() -> None:
    edited = edit_virtual_service(vs({"route": [to("v1")]}), routing(100, previous_routed=False))
    with pytest.raises(ValueError, match="names subset v1"):
        restore_virtual_service(edited, REVIEWS, "candidate")
    final = Side("v2", {"version": "v2"}, owned=False)
    restored = restore_virtual_service(edited, REVIEWS, "candidate", final)
    assert restored == vs({"route": [to("v2")]})


@pytest.mark.parametrize(
    "values",
    [
        {"weight": 101},
        {"weight": -1},
        {"weight": 1, "candidate_routed": False},
        {"candidate": None},
        {"candidate_routed": False, "previous_routed": False},
    ],
)
def test_routings_that_mean_nothing_are_errors(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"weight|candidate|neither"):
        routing(**values)


def test_the_secret_is_not_in_a_routings_text() -> None:
    assert "hidden" not in repr(routing(secret="hidden"))


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        ({"X-Theseus-Rollout": "r1", "X-Theseus-Edit": "12"}, 12),
        ({"x-theseus-rollout": "r2", "x-theseus-edit": "12"}, None),
        ({"x-theseus-rollout": "r1"}, None),
        ({"x-theseus-rollout": "r1", "x-theseus-edit": "x"}, None),
        ({"x-theseus-rollout": "r1", "x-theseus-edit": "²"}, None),
        ({}, None),
    ],
)
def test_the_edit_is_read_from_an_answer(answer: dict[str, str], seen: int | None) -> None:
    assert sees(answer, "r1") == seen
