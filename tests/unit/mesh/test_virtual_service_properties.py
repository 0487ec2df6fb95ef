"""What holds for every VirtualService and every course of a rollout."""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from fractions import Fraction
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from tests.unit.mesh.interpreter import Distribution, Request, matches, outcome, route
from tests.unit.mesh.worlds import (
    NAMESPACE,
    RATINGS,
    REVIEWS,
    courses,
    requests,
    routings,
    virtual_services,
    widely,
)
from theseus_ci.mesh.headers import KEY, TO, VERSION, sees
from theseus_ci.mesh.naming import is_rollout_route
from theseus_ci.mesh.routing import Routing, Side
from theseus_ci.mesh.undo import read_layers
from theseus_ci.mesh.virtual_service import edit_virtual_service, restore_virtual_service

Object = dict[str, Any]


def written(obj: object) -> str:
    """Byte for byte: the order of keys counts."""
    return json.dumps(obj)


def after(vs: Object, course: list[Routing]) -> Object:
    for routing in course:
        vs = edit_virtual_service(vs, routing)
    return vs


def users_entries(vs: Object) -> list[Object]:
    return [one for one in vs["spec"]["http"] if not is_rollout_route(one)]


@widely
@given(virtual_services(), courses())
def test_rollback_gives_the_users_object_back(vs: Object, course: list[Routing]) -> None:
    before = written(vs)
    restored = restore_virtual_service(after(vs, course), REVIEWS, "previous")
    assert written(restored) == before
    assert written(vs) == before  # the input is left alone


@widely
@given(virtual_services(), courses())
def test_promotion_changes_nothing_but_the_subset_of_the_version(
    vs: Object, course: list[Routing]
) -> None:
    final = Side("lasting", {"version": "v2"}, owned=False)
    edited = after(vs, course)
    restored = restore_virtual_service(edited, REVIEWS, "candidate", final)
    previous = course[0].previous
    assert previous is not None
    wanted = copy.deepcopy(vs)
    for section in ("http", "tcp", "tls"):
        for entry in wanted["spec"].get(section, []):
            for one in entry.get("route", []):
                named = one["destination"].get("subset") == previous.subset
                if (
                    named
                    and not previous.owned
                    and REVIEWS.resolves(one["destination"]["host"], NAMESPACE)
                ):
                    one["destination"]["subset"] = final.subset
    assert written(restored) == written(wanted)


@widely
@given(virtual_services(), courses(), routings())
def test_an_edit_depends_only_on_the_users_object(
    vs: Object, course: list[Routing], last: Routing
) -> None:
    last = _same_sides(last, course[0])
    direct = edit_virtual_service(vs, last)
    assert written(edit_virtual_service(after(vs, course), last)) == written(direct)
    assert written(edit_virtual_service(direct, last)) == written(direct)


def _same_sides(routing: Routing, like: Routing) -> Routing:
    values = {**asdict(routing), "previous": like.previous, "candidate": like.candidate}
    return Routing(**{**values, "replaces": like.replaces})


@widely
@given(virtual_services(), routings())
def test_results_share_nothing_with_their_input(vs: Object, routing: Routing) -> None:
    edited = edit_virtual_service(vs, routing)
    snapshot = written(edited)
    _scribble(vs)
    assert written(edited) == snapshot


def _scribble(value: Any) -> None:
    if isinstance(value, dict):
        for inner in list(value.values()):
            _scribble(inner)
        value["scribbled"] = True
    elif isinstance(value, list):
        for inner in value:
            _scribble(inner)
        value.append("scribbled")


@widely
@given(virtual_services(), routings())
def test_what_does_not_send_to_the_previous_version_is_untouched(
    vs: Object, routing: Routing
) -> None:
    edited = edit_virtual_service(vs, routing)
    before, now = vs["spec"]["http"], users_entries(edited)
    assert len(before) == len(now)
    for old, new in zip(before, now, strict=True):
        if not _sends_to_previous(old, routing):
            assert written(old) == written(new)
        rest = [{k: v for k, v in one.items() if k != "route"} for one in (old, new)]
        assert written(rest[0]) == written(rest[1])
    assert written(_less(vs, "http", "tcp", "tls")) == written(_less(edited, "http", "tcp", "tls"))


def _less(vs: Object, *sections: str) -> Object:
    return {k: v for k, v in vs["spec"].items() if k not in sections}


def _sends_to_previous(entry: Object, routing: Routing) -> bool:
    return any(
        routing.split.is_previous(one["destination"], NAMESPACE) for one in entry.get("route", [])
    )


def _expected(before: Distribution, routing: Routing) -> Distribution:
    """The previous version's share divided, everything else as it was."""
    host = REVIEWS.fqdn
    assert routing.previous is not None
    assert routing.candidate is not None
    named = {"", routing.previous.subset, *routing.replaces}
    weight = Fraction(routing.split.weight, 100)
    expected: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for (target, subset), part in before.items():
        if target == host and subset in named:
            expected[(host, routing.previous.subset)] += part * (1 - weight)
            expected[(host, routing.candidate.subset)] += part * weight
        else:
            expected[(target, subset)] += part
    return {target: part for target, part in expected.items() if part}


@widely
@given(virtual_services(), courses(), requests)
def test_everybody_elses_requests_are_split_as_asked(
    vs: Object, course: list[Routing], request: Request
) -> None:
    before = route(vs, request)
    now = route(after(vs, course), request)
    assert (before is None) == (now is None)
    if before is None or now is None:
        return
    assert not is_rollout_route(now.entry)
    assert now.targets == _expected(before.targets, course[-1])
    assert not any(name.startswith("x-theseus") for one in now.answers.values() for name in one)


@widely
@given(virtual_services(), courses())
def test_tcp_and_tls_are_split_as_asked(vs: Object, course: list[Routing]) -> None:
    edited = after(vs, course)
    for section in ("tcp", "tls"):
        for old, new in zip(
            vs["spec"].get(section, []), edited["spec"].get(section, []), strict=True
        ):
            before = outcome(old, 0, NAMESPACE).targets
            assert outcome(new, 0, NAMESPACE).targets == _expected(before, course[-1])


@widely
@given(virtual_services(), courses(), requests)
def test_a_test_goes_entirely_where_it_asks(
    vs: Object, course: list[Routing], request: Request
) -> None:
    routing = course[-1]
    assert routing.previous is not None
    assert routing.candidate is not None
    before, edited = route(vs, request), after(vs, course)
    assume(before is not None and _serves(before.targets, routing))
    assert before is not None
    asked = {KEY: routing.secret}
    for to, side, routed in (
        ("previous", routing.previous, routing.previous_routed),
        ("candidate", routing.candidate, routing.candidate_routed),
    ):
        found = route(edited, request.with_headers({**asked, TO: to}))
        assert found is not None
        if routed:
            assert found.targets == {(REVIEWS.fqdn, side.subset): Fraction(1)}
            assert all(one[VERSION] == to for one in found.answers.values())
            assert {sees(one, routing.rollout) for one in found.answers.values()} == {routing.edit}
            assert _copied(found.entry) == _copied(before.entry)
        else:
            assert not is_rollout_route(found.entry)
    found = route(edited, request.with_headers({**asked, TO: "production"}))
    assert found is not None
    assert found.targets == _expected(before.targets, routing)
    if routing.candidate_routed:
        assert {sees(one, routing.rollout) for one in found.answers.values()} == {routing.edit}


def _serves(targets: Distribution, routing: Routing) -> bool:
    assert routing.previous is not None
    named = {"", routing.previous.subset, *routing.replaces}
    return any(host == REVIEWS.fqdn and subset in named for host, subset in targets)


def _copied(entry: Object) -> Object:
    return {k: v for k, v in entry.items() if k not in ("name", "match", "route")}


@widely
@given(virtual_services(), routings(), requests)
def test_a_wrong_secret_opens_nothing(vs: Object, routing: Routing, request: Request) -> None:
    edited = edit_virtual_service(vs, routing)
    plain = route(edited, request)
    for to in ("previous", "candidate", "production", "marker"):
        found = route(edited, request.with_headers({KEY: "guessed", TO: to}))
        assert (found.targets if found else None) == (plain.targets if plain else None)


@widely
@given(virtual_services(), routings(), requests)
def test_the_marker_tells_the_edit(vs: Object, routing: Routing, request: Request) -> None:
    edited = edit_virtual_service(vs, routing)
    found = route(edited, request.with_headers({KEY: routing.secret, TO: "marker"}))
    if read_layers(edited):
        assert found is not None
        assert found.index == 0
        assert found.entry["directResponse"] == {"status": 204}
        assert sees(found.answers[("", "")], routing.rollout) == routing.edit
    else:
        assert written(edited) == written(vs)


@widely
@given(virtual_services(), routings(live=True), requests)
def test_people_see_the_candidate_and_other_services_keep_their_share(
    vs: Object, routing: Routing, request: Request
) -> None:
    before, edited = route(vs, request), edit_virtual_service(vs, routing)
    assume(before is not None and _serves(before.targets, routing))
    assert before is not None
    assert routing.candidate is not None
    person = request.with_headers({"x-release": "candidate"})
    found = route(edited, person)
    assert found is not None
    expected = _expected(before.targets, routing)
    if routing.matchers:
        expected = _expected(before.targets, replace(routing, weight=100))
    assert found.targets == expected


@widely
@given(virtual_services(), routings(), requests)
def test_a_twin_matches_only_what_its_entry_matches(
    vs: Object, routing: Routing, request: Request
) -> None:
    edited = edit_virtual_service(vs, routing)
    pending: list[Object] = []
    person = {"x-release": "candidate", "x-ring": "inner-1", "user-agent": "t/1"}
    asked = [{KEY: routing.secret, TO: to} for to in ("previous", "candidate", "production")]
    tries = [request.with_headers(one) for one in (*asked, person, {"cookie": "tester=bob"})]
    for entry in edited["spec"]["http"]:
        if is_rollout_route(entry):
            if entry.get("route"):
                pending.append(entry)
            continue
        for twin in pending:
            for one in tries:
                if any(matches(block, one) for block in twin["match"]):
                    assert any(matches(block, one) for block in entry.get("match") or [{}])
        pending = []
    assert not pending


@widely
@given(virtual_services(), routings())
def test_names_are_unique_and_ours(vs: Object, routing: Routing) -> None:
    edited = edit_virtual_service(vs, routing)
    names = [one["name"] for one in edited["spec"]["http"] if is_rollout_route(one)]
    assert len(names) == len(set(names))
    assert all(name.startswith("theseus.reviews.shop.") for name in names)


@widely
@given(virtual_services(), courses(REVIEWS), courses(RATINGS), st.randoms())
def test_two_rollouts_in_one_object_undo_each_its_own(
    vs: Object, reviews: list[Routing], ratings: list[Routing], chance: Any
) -> None:
    before = written(vs)
    steps = [*reviews, *ratings]
    chance.shuffle(steps)
    edited = after(vs, steps)
    first, second = (REVIEWS, RATINGS) if chance.random() < 0.5 else (RATINGS, REVIEWS)
    half = restore_virtual_service(edited, first, "previous")
    assert half is not None
    left = [one for one in steps if one.service == second]
    assert _traffic(half) == _traffic(after(vs, left))
    assert not any(one.get("name", "").startswith(f"theseus.{first.key}.") for one in _http(half))
    assert written(restore_virtual_service(half, second, "previous")) == before


def _http(vs: Object) -> list[Object]:
    return [one for one in vs["spec"]["http"] if isinstance(one.get("name", ""), str)]


def _traffic(vs: Object) -> list[Any]:
    """Every route's matches and targets, weights as shares: what a proxy makes of the object."""
    return [
        (
            one.get("name"),
            one.get("match"),
            outcome(one, 0, NAMESPACE).targets,
            outcome(one, 0, NAMESPACE).answers,
        )
        for one in vs["spec"]["http"]
    ]


@widely
@given(virtual_services(), courses())
def test_short_and_full_hosts_are_the_same(vs: Object, course: list[Routing]) -> None:
    other = copy.deepcopy(vs)
    for section in ("http", "tcp", "tls"):
        for entry in other["spec"].get(section, []):
            for one in entry.get("route", []):
                if one["destination"]["host"] == "reviews":
                    one["destination"]["host"] = REVIEWS.fqdn
    assert _traffic(after(vs, course)) == _traffic(after(other, course))
