"""The routes a rollout adds: each edited entry's dark twins, and the marker.

A twin is a deep copy of the entry (rewrite, timeout, retries, mirror …) that stands before it, asks
for a condition more and sends elsewhere. What it adds stands in its destinations' headers, not the
entry's: a delegate's entry with headers of its own would lose those of the route that includes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from theseus_ci.mesh import headers
from theseus_ci.mesh.matching import Condition, exactly, narrow, people_conditions
from theseus_ci.mesh.naming import route_name
from theseus_ci.mesh.routing import Routing
from theseus_ci.mesh.shares import (
    CANDIDATE,
    KEPT,
    PAIR,
    PREVIOUS,
    Route,
    divide,
    share,
    with_subset,
)
from theseus_ci.model import Object, clone

PEOPLE = "people"


class Twins(msgspec.Struct, frozen=True):
    """One entry's twins. Those for tests ask for the secret and go before everybody's; people's
    conditions could hold for a test's request as well, so their twin comes last."""

    tests: list[Object]
    people: list[Object]


def marker(routing: Routing) -> Object:
    """The route that answers by itself with the edit a proxy has."""
    asked = narrow([], _test_conditions(routing, headers.TO_MARKER), "marker", "the marker")
    return {
        "name": route_name(routing.service, "marker"),
        "match": asked,
        "directResponse": {"status": 204},
        "headers": {"response": {"set": _answer(routing)}},
    }


def twins(entry: Object, number: int, routing: Routing, written_in: str, where: str) -> Twins:
    """The twins of an entry of the user; none when it sends nothing to the previous version.

    Raises ConfigError, naming `where`, the match block and the matcher, when people's conditions
    cannot be joined with the entry's.
    """
    route = entry.get("route") or []
    to_previous = [
        one
        for index, one in enumerate(route)
        if routing.split.is_previous(one.get("destination") or {}, written_in)
        and share(route, index)
    ]
    if not to_previous:
        return Twins([], [])

    def twin(kind: str, match: list[Condition], destinations: Route) -> Object:
        own = {"name": route_name(routing.service, kind, number), "match": match}
        rest = {key: value for key, value in entry.items() if key not in ("name", "match", "route")}
        return {**own, "route": destinations, **clone(rest)}

    def test_twin(to: str, destinations: Route) -> Object:
        conditions = _test_conditions(routing, to)
        return twin(to, narrow(entry.get("match") or [], conditions, where, to), destinations)

    tests = []
    if routing.previous_routed and routing.previous is not None:
        sole = _sole(to_previous, routing.previous.subset)
        tests.append(test_twin(headers.TO_PREVIOUS, _labelled(sole, routing, _previous)))
    if routing.candidate_routed and routing.candidate is not None:
        tests.append(test_twin(headers.TO_PRODUCTION, _production(route, routing, written_in)))
        sole = _sole(to_previous, routing.candidate.subset)
        tests.append(test_twin(headers.TO_CANDIDATE, _labelled(sole, routing, _candidate)))
    match = _people_match(entry, routing, where)
    people = [twin(PEOPLE, match, _people(route, routing, written_in))] if match else []
    return Twins(tests, people)


def _test_conditions(routing: Routing, to: str) -> list[tuple[str, Condition]]:
    return [(headers.KEY, exactly(routing.secret)), (headers.TO, exactly(to))]


def _people_match(entry: Object, routing: Routing, where: str) -> list[Condition]:
    if not routing.candidate_routed:
        return []
    blocks = entry.get("match") or []
    return [
        block
        for number, matcher in enumerate(routing.matchers)
        for block in narrow(blocks, people_conditions(matcher), where, f"matchers[{number}]")
    ]


def _sole(destinations: Sequence[Object], subset: str) -> Route:
    """The destinations alone, with their own proportions, all at the subset."""
    moved = [with_subset(one, subset) for one in destinations]
    if len(moved) == 1:
        moved[0].pop("weight", None)
    return moved


Version = Callable[[Object, Routing], "str | None"]


def _previous(_: Object, __: Routing) -> str | None:
    return headers.VERSION_PREVIOUS


def _candidate(_: Object, __: Routing) -> str | None:
    return headers.VERSION_CANDIDATE


def _labelled(route: Route, routing: Routing, version: Version) -> Route:
    """The destinations, each with the answer headers that say where it went and by which edit.

    The secret goes no further: it would end in the application's logs.
    """
    for one in route:
        answer = _answer(routing)
        name = version(one, routing)
        if name is not None:
            answer[headers.VERSION] = name
        own = one.setdefault("headers", {})
        response = own.setdefault("response", {})
        response["set"] = {**(response.get("set") or {}), **answer}
        request = own.setdefault("request", {})
        request["remove"] = [*(request.get("remove") or []), headers.KEY]
    return route


def _answer(routing: Routing) -> dict[str, str]:
    return {headers.ROLLOUT: routing.rollout, headers.EDIT: str(routing.edit)}


def _production(route: Route, routing: Routing, written_in: str) -> Route:
    """Production's destinations and weights, each telling the version it is."""
    divided = divide(route, routing.split, written_in)
    assert divided is not None, "only entries that send to the previous version have twins"
    destinations, record = divided
    versions = iter(_versions(record.kinds, first_release=routing.previous is None))
    return _labelled(destinations, routing, lambda *_: next(versions))


def _versions(kinds: str, *, first_release: bool) -> list[str | None]:
    previous = None if first_release else headers.VERSION_PREVIOUS
    told: dict[str, list[str | None]] = {
        PAIR: [previous, headers.VERSION_CANDIDATE],
        PREVIOUS: [previous],
        CANDIDATE: [headers.VERSION_CANDIDATE],
        KEPT: [None],
    }
    return [version for kind in kinds for version in told[kind]]


def _people(route: Route, routing: Routing, written_in: str) -> Route:
    """People's destinations: the entry's, with the candidate in the previous version's place."""
    assert routing.candidate is not None
    subset = routing.candidate.subset
    moved = [
        with_subset(one, subset)
        if routing.split.is_previous(one.get("destination") or {}, written_in)
        else clone(one)
        for one in route
    ]

    def version(one: Object, routing: Routing) -> str | None:
        candidate = routing.split.mine(one["destination"], written_in)
        named = candidate and one["destination"].get("subset") == subset
        return headers.VERSION_CANDIDATE if named else None

    return _labelled(moved, routing, version)
