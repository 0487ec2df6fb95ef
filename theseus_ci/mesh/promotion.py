"""Ending a rollout: the order in which objects are put right so that no request is lost.

Each step may be written only when the one before it is seen everywhere: a route must not name a
subset that a proxy does not know yet, nor a subset go that a proxy's route still names.

Where the user's subset gives way to the candidate's (`v1` becomes `v2`) the steps are:
1. the rule gets `v2` in the place of `v1`, which no route names after the drain;
2. the routes move from the rollout's own subset to `v2`, with the marker to see it by;
3. the rollout's routes go;
4. the rollout's own subset goes.
Where the user's routes name no subset, they go back to none. Then every pod of the service gets
traffic, so the other version's pods must be gone first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count

import msgspec

from theseus_ci.mesh.destination_rule import (
    Carries,
    adopt_candidate,
    owned_names,
    restore_destination_rule,
    subsets_of,
    succeeded,
)
from theseus_ci.mesh.naming import is_own_route, slug, succeed, telling_key
from theseus_ci.mesh.routing import Routing, ServiceHost, Side
from theseus_ci.mesh.undo import SECTIONS, describe, read_layers
from theseus_ci.mesh.virtual_service import (
    edit_virtual_service,
    entries_of,
    namespace_of,
    restore_virtual_service,
)
from theseus_ci.model import Object

Edit = Callable[[Object], "Object | None"]


class Step(msgspec.Struct, frozen=True):
    """One object to write, when every step before it is seen everywhere.

    `apply` makes the new state from the object as it is at that moment (so it serves after a 409
    too), None to delete it; `result` is what it makes of the object that was handed in.
    """

    kind: str
    namespace: str
    name: str
    why: str
    apply: Edit
    result: Object | None
    other_version_gone: bool  # the other version's pods must be gone before this step
    routing: Routing | None = None  # what the marker then shows; None when there is no marker


def promotion_steps(
    routing: Routing,
    virtual_services: Sequence[Object],
    destination_rule: Object | None,
    all_virtual_services: Iterable[Object] = (),
) -> list[Step]:
    """The steps after the drain that leave the candidate as the service's version.

    `virtual_services` are those of the rollout; `all_virtual_services` are looked through for
    routes that name the previous version's subset and are not ours to change. Steps that would
    change nothing are left out.
    """
    if routing.candidate is None or routing.previous_routed:
        raise ValueError("promotion starts when the candidate alone is routed")
    final = final_side(routing, virtual_services, destination_rule, all_virtual_services)
    built = _Steps(virtual_services, destination_rule)
    if final != routing.candidate and destination_rule is not None:
        keep = _referenced(routing, virtual_services, all_virtual_services)
        built.rule(
            f"subset {final.subset} for the routes to move to",
            lambda dr: adopt_candidate(dr, routing, final, keep_previous=keep),
        )
        moved = msgspec.structs.replace(routing, candidate=final, edit=routing.edit + 1)
        built.routes(
            f"routes from {routing.candidate.subset} to {final.subset}",
            lambda vs: edit_virtual_service(vs, moved),
            moved,
        )
    built.routes(
        "the rollout's routes go",
        lambda vs: restore_virtual_service(vs, routing.service, "candidate", final),
        None,
        service=routing.service,
    )
    built.rule("the rollout's subsets go", lambda dr: _restored(dr, routing, "candidate"))
    return built.steps


def rollback_steps(
    routing: Routing, virtual_services: Sequence[Object], destination_rule: Object | None
) -> list[Step]:
    """The steps that give the user's objects back, when the previous version has all traffic."""
    if routing.candidate_routed:
        raise ValueError("these steps start when the candidate is not routed any more")
    built = _Steps(virtual_services, destination_rule)
    built.routes(
        "the rollout's routes go",
        lambda vs: restore_virtual_service(vs, routing.service, "previous"),
        None,
        service=routing.service,
    )
    built.rule("the rollout's subsets go", lambda dr: _restored(dr, routing, "previous"))
    return built.steps


def final_side(
    routing: Routing,
    virtual_services: Sequence[Object],
    destination_rule: Object | None,
    all_virtual_services: Iterable[Object] = (),
) -> Side:
    """The candidate's subset after the rollout, where the user's routes name one at all.

    The user's own when there is one; else the successor of the previous version's, under its
    name with the version in it renewed.
    """
    previous, candidate = routing.previous, routing.candidate
    assert candidate is not None
    if previous is None or previous.owned or not candidate.owned or destination_rule is None:
        return candidate
    done = succeeded(destination_rule, routing.service)
    if done is not None:
        return Side(done.name, candidate.labels, owned=False)
    names = {str(one.get("name")) for one in subsets_of(destination_rule)}
    taken = names - owned_names(destination_rule, routing.service)
    name = succeed(previous.subset, previous.labels, candidate.labels)
    if not _referenced(routing, virtual_services, all_virtual_services):
        taken.discard(previous.subset)
    elif name == previous.subset:
        name = f"{name}-{slug(candidate.labels[telling_key(candidate.labels)])}"
    free = (tried for tried in _numbered(name) if tried not in taken)
    return Side(next(free), candidate.labels, owned=False)


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in count(2))


def references(service: ServiceHost, subset: str, virtual_services: Iterable[Object]) -> list[str]:
    """Where the user's routes or mirrors name the service's subset, added routes included."""
    found = []
    for vs in virtual_services:
        for section in SECTIONS:
            for index, entry in enumerate(entries_of(vs, section)):
                if any(
                    one.get("subset") == subset
                    and service.resolves(str(one.get("host", "")), namespace_of(vs))
                    for one in _destinations(entry)
                ):
                    found.append(f"{describe(vs)} {section}[{index}]")
    return found


def named_subsets(vs: Object, service: ServiceHost) -> frozenset[str]:
    """The service's subsets that users' requests may be sent to: the rollout's own routes, which
    only tests reach, left out."""
    return frozenset(
        str(one["subset"])
        for section in SECTIONS
        for entry in entries_of(vs, section)
        if not is_own_route(entry, service)
        for one in _destinations(entry)
        if one.get("subset") and service.resolves(str(one.get("host", "")), namespace_of(vs))
    )


def _referenced(
    routing: Routing, virtual_services: Iterable[Object], all_virtual_services: Iterable[Object]
) -> bool:
    """Whether a route that we did not edit names the previous version's subset."""
    assert routing.previous is not None
    subset, service = routing.previous.subset, routing.service
    edited = {_identity(vs) for vs in virtual_services}
    others = [vs for vs in all_virtual_services if _identity(vs) not in edited]
    return bool(references(service, subset, [*virtual_services, *others]))


def _destinations(entry: Object) -> Iterator[Object]:
    for one in entry.get("route") or []:
        yield one.get("destination") or {}
    if entry.get("mirror"):
        yield entry["mirror"]
    for one in entry.get("mirrors") or []:
        yield one.get("destination") or {}


def _restored(dr: Object, routing: Routing, carries: Carries) -> Object | None:
    return restore_destination_rule(dr, routing.service, carries)


def _identity(obj: Object) -> tuple[str, str]:
    return namespace_of(obj), str((obj.get("metadata") or {}).get("name"))


class _Steps:
    """Builds the list, each step upon the results of those before."""

    def __init__(self, virtual_services: Sequence[Object], rule: Object | None) -> None:
        self.steps: list[Step] = []
        self._virtual_services: list[Object | None] = list(virtual_services)
        self._rule = rule

    def rule(self, why: str, apply: Edit) -> None:
        if self._rule is None:
            return
        result = apply(self._rule)
        if result != self._rule:
            self._add(self._rule, "DestinationRule", why, apply, result, gone=False)
        self._rule = result

    def routes(
        self, why: str, apply: Edit, routing: Routing | None, *, service: ServiceHost | None = None
    ) -> None:
        for index, vs in enumerate(self._virtual_services):
            if vs is None:
                continue
            result = apply(vs)
            if result != vs:
                gone = service is not None and _unnamed(vs, result, service)
                self._add(vs, "VirtualService", why, apply, result, gone=gone, routing=routing)
            self._virtual_services[index] = result

    def _add(
        self,
        obj: Object,
        kind: str,
        why: str,
        apply: Edit,
        result: Object | None,
        *,
        gone: bool,
        routing: Routing | None = None,
    ) -> None:
        namespace, name = _identity(obj)
        self.steps.append(Step(kind, namespace, name, why, apply, result, gone, routing))


def _unnamed(vs: Object, result: Object | None, service: ServiceHost) -> bool:
    """Whether the result lets pods of both versions have traffic: it is deleted, or its routes
    name no subset or one that selects both."""
    layer = read_layers(vs).get(service.key)
    if layer is None:
        return False
    both = {None, *layer.split.replaces}
    return result is None or any(
        one.get("subset") in both and layer.split.mine(one, namespace_of(result))
        for section in SECTIONS
        for entry in entries_of(result, section)
        for one in _destinations(entry)
    )
