"""Reading what VirtualServices do with a service's traffic, before anything is touched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

import msgspec

from theseus_ci.mesh.choose import Labels, selects
from theseus_ci.mesh.destination_rule import is_for, subsets_of
from theseus_ci.mesh.naming import is_rollout_route
from theseus_ci.mesh.routing import ServiceHost
from theseus_ci.mesh.sample import Sample, sample_request
from theseus_ci.mesh.shares import share
from theseus_ci.mesh.undo import SECTIONS, read_layers
from theseus_ci.mesh.virtual_service import (
    entries_of,
    namespace_of,
    observable,
    original_routes,
    position,
)
from theseus_ci.model import Object

Identity = tuple[str, str]
"""Namespace and name of an object."""


class RouteShare(msgspec.Struct, frozen=True):
    """One destination of a user's entry that is the service."""

    virtual_service: Identity
    section: str  # http, tcp or tls
    index: int
    name: str  # the entry's, "" when it has none
    subset: str | None
    port: int | None
    share: Fraction  # of the entry's requests
    conditional: bool  # the entry asks for a header, cookie or query: not everybody's requests
    sample: Sample | None  # a request that reaches the entry, where one can be derived

    @property
    def where(self) -> str:
        """`bookinfo/reviews http[2] 'name'`."""
        entry = {"name": self.name}
        return f"{'/'.join(self.virtual_service)} {position(self.section, self.index, entry)}"


class Delegation(msgspec.Struct, frozen=True):
    """An entry that hands its requests to another VirtualService."""

    virtual_service: Identity
    index: int
    to: Identity


class Survey(msgspec.Struct, frozen=True):
    """What the VirtualServices do with the service's traffic; rollouts' own routes left aside."""

    service: ServiceHost
    shares: tuple[RouteShare, ...]
    mirrors: tuple[str, ...]  # where requests are copied to the service; we do not touch these
    delegations: tuple[Delegation, ...]
    delegates: tuple[Identity, ...]  # taking part, but reached through another VirtualService only
    unobservable: tuple[Identity, ...]  # taking part, but without HTTP: edits cannot be seen
    under_way: tuple[Identity, ...]  # VirtualServices a rollout of this service has edited
    merged: tuple[tuple[Identity, Identity], ...]  # pairs for one host of one gateway

    @property
    def virtual_services(self) -> tuple[Identity, ...]:
        """Those that route to the service."""
        return tuple(dict.fromkeys(one.virtual_service for one in self.shares))

    def carrying(self) -> dict[str | None, bool]:
        """For each subset named (None for none), whether any production request goes there."""
        found: dict[str | None, bool] = {}
        for one in self.shares:
            found[one.subset] = found.get(one.subset, False) or one.share > 0
        return found


def survey(virtual_services: Sequence[Object], service: ServiceHost) -> Survey:
    """Look through the VirtualServices as the users wrote them, rollouts under way undone."""
    originals = [original_routes(vs) for vs in virtual_services]
    shares = tuple(one for vs in originals for one in _shares(vs, service))
    taking_part = {one.virtual_service for one in shares}
    named = {identity(vs): vs for vs in originals}
    involved = [vs for who, vs in named.items() if who in taking_part]
    return Survey(
        service=service,
        shares=shares,
        mirrors=tuple(one for vs in originals for one in _mirrors(vs, service)),
        delegations=tuple(one for vs in originals for one in _delegations(vs)),
        delegates=tuple(identity(vs) for vs in involved if not vs["spec"].get("hosts")),
        unobservable=tuple(identity(vs) for vs in involved if not observable(vs)),
        under_way=tuple(identity(vs) for vs in virtual_services if service.key in read_layers(vs)),
        merged=tuple(_merged(involved, originals)),
    )


def identity(obj: Object) -> Identity:
    return namespace_of(obj), str((obj.get("metadata") or {}).get("name"))


def reaching(
    found: Survey, destination_rules: Iterable[Object], labels: Labels
) -> list[RouteShare]:
    """The routes that send production requests to pods with these labels by naming a subset.

    Routes without a subset reach every pod of the service and are not listed.
    """
    subsets = {
        str(subset.get("name")): subset.get("labels") or {}
        for rule in destination_rules
        if is_for(rule, found.service)
        for subset in subsets_of(rule)
    }
    return [
        one
        for one in found.shares
        if one.share and one.subset in subsets and selects(subsets[str(one.subset)], labels)
    ]


def carrying(virtual_services: Sequence[Object], service: ServiceHost) -> Mapping[str | None, bool]:
    """For each subset that routes name (None for none), whether requests go there right now.

    Of the objects as they are: a rollout under way counts with its present weights, its dark
    routes do not.
    """
    found: dict[str | None, bool] = {}
    for vs in virtual_services:
        for section in SECTIONS:
            for entry in entries_of(vs, section):
                if is_rollout_route(entry):
                    continue
                for subset, _, part in _targets(entry, service, namespace_of(vs)):
                    found[subset] = found.get(subset, False) or part > 0
    return found


def _targets(
    entry: Object, service: ServiceHost, written_in: str
) -> Iterator[tuple[str | None, int | None, Fraction]]:
    route = entry.get("route") or []
    total = sum(share(route, index) for index in range(len(route)))
    for index, one in enumerate(route):
        destination = one.get("destination") or {}
        if service.resolves(str(destination.get("host", "")), written_in):
            part = Fraction(share(route, index), total) if total else Fraction(0)
            number = (destination.get("port") or {}).get("number")
            yield destination.get("subset") or None, number, part


def _shares(vs: Object, service: ServiceHost) -> Iterator[RouteShare]:
    for section in SECTIONS:
        entries = entries_of(vs, section)
        for index, entry in enumerate(entries):
            targets = list(_targets(entry, service, namespace_of(vs)))
            sample = sample_request(vs, index) if targets and section == "http" else None
            for subset, port, part in targets:
                yield RouteShare(
                    virtual_service=identity(vs),
                    section=section,
                    index=index,
                    name=str(entry.get("name", "")),
                    subset=subset,
                    port=port,
                    share=part,
                    conditional=_conditional(entry),
                    sample=sample,
                )


def _conditional(entry: Object) -> bool:
    blocks = entry.get("match") or []
    return bool(blocks) and all(
        block.get("headers") or block.get("queryParams") or block.get("sourceLabels")
        for block in blocks
    )


def _mirrors(vs: Object, service: ServiceHost) -> Iterator[str]:
    for index, entry in enumerate(entries_of(vs, "http")):
        single = [entry["mirror"]] if entry.get("mirror") else []
        several = [one.get("destination") or {} for one in entry.get("mirrors") or []]
        hosts = [str(one.get("host", "")) for one in (*single, *several)]
        if any(service.resolves(host, namespace_of(vs)) for host in hosts):
            yield f"{'/'.join(identity(vs))} {position('http', index, entry)}"


def _delegations(vs: Object) -> Iterator[Delegation]:
    for index, entry in enumerate(entries_of(vs, "http")):
        target = entry.get("delegate")
        if target:
            namespace = str(target.get("namespace") or namespace_of(vs))
            yield Delegation(identity(vs), index, (namespace, str(target.get("name"))))


def _merged(
    involved: Sequence[Object], everyone: Sequence[Object]
) -> Iterator[tuple[Identity, Identity]]:
    """Pairs that a gateway joins to one list of routes, in an order that no object tells.

    A catch-all entry comes last in it; a twin of one does not, so it could come before the other
    object's routes for people whom the matchers name.
    """
    for vs in involved:
        for other in everyone:
            if identity(other) != identity(vs) and _bindings(vs) & _bindings(other):
                yield identity(vs), identity(other)


def _bindings(vs: Object) -> set[tuple[str, str]]:
    """The pairs of gateway and host it is bound to; the mesh's own are never merged."""
    spec = vs.get("spec") or {}
    gateways = [gateway for gateway in spec.get("gateways") or [] if gateway != "mesh"]
    full = [gateway if "/" in gateway else f"{namespace_of(vs)}/{gateway}" for gateway in gateways]
    return {(gateway, str(host)) for gateway in full for host in spec.get("hosts") or []}
