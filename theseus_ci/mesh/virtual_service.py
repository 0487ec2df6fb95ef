"""Editing a VirtualService for a rollout, and putting it back.

Every edit starts from the object as it is, whatever that is: all rollouts' parts are peeled off,
which leaves the user's routes with the user's changes, and laid again with the new routing. So an
edit is idempotent, needs no memory of the last one, and two rollouts can share an object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from theseus_ci.mesh.created import as_created, unmark_created
from theseus_ci.mesh.naming import (
    digest,
    is_own_route,
    is_owned_subset,
    is_rollout_route,
    route_name,
)
from theseus_ci.mesh.routing import Routing, ServiceHost, Side, Split
from theseus_ci.mesh.shares import divide, rejoin, with_subset
from theseus_ci.mesh.twins import Twins, marker, twins
from theseus_ci.mesh.undo import (
    SECTIONS,
    EntryRecord,
    Layer,
    associate,
    describe,
    drop_layers,
    read_layers,
    write_layers,
)
from theseus_ci.model import Object, clone

Carries = Literal["previous", "candidate"]
Layers = dict[str, Layer]


def edit_virtual_service(vs: Object, routing: Routing) -> Object:
    """The object with the routing laid over the user's routes.

    An object that does not send to the previous version comes back without any part of ours.
    Raises ConfigError for matchers that cannot be joined with a route, Refused for weights that
    cannot be divided exactly, StateError for a record that cannot be read.
    """
    draft, layers = peeled(vs, routing.split)
    split = routing.split
    layers[split.service.key] = Layer(
        split, routing.rollout, no_annotations=False, base=base_digest(draft)
    )
    _drop_own_routes(draft, split.service)
    edited = _lay(draft, dict(sorted(layers.items())), routing)
    if not edited:
        del layers[split.service.key]
    elif observable(draft):
        draft["spec"]["http"].insert(0, marker(routing))
    write_layers(draft, layers)
    return draft


def sends_as(vs: Object, routing: Routing) -> bool:
    """Whether production's requests go where this routing sends them, whatever else it would
    write."""
    return _destinations(edit_virtual_service(vs, routing)) == _destinations(vs)


def _destinations(vs: Object) -> list[object]:
    entries = (entry for section in SECTIONS for entry in entries_of(vs, section))
    return [entry.get("route") for entry in entries if not is_rollout_route(entry)]


def restore_virtual_service(
    vs: Object, service: ServiceHost, carries: Carries, candidate: Side | None = None
) -> Object | None:
    """The object without anything of this service's rollout; None when it was made for it.

    `carries="previous"` gives the user's object back; `carries="candidate"` too, but where the
    user named the previous version's own subset, `candidate` is named instead. It is needed
    only then, and ValueError is raised when it is missing.
    """
    split = _guessed(vs, service)
    draft, layers = peeled(vs, split)
    _drop_own_routes(draft, service)
    layer = layers.pop(service.key, None)
    split = layer.split if layer else split
    if carries == "candidate" and split.previous and not split.previous_owned:
        _rename(draft, split, candidate, describe(vs))
    if not layers and as_created(draft, service, draft.get("spec") or {}):
        return None
    unmark_created(draft, service)
    _lay(draft, layers, None)
    write_layers(draft, layers)
    return draft


def observable(vs: Object) -> bool:
    """Whether a marker can show which edit of the object a proxy has: only HTTP can answer."""
    return bool((vs.get("spec") or {}).get("http"))


def namespace_of(obj: Object) -> str:
    return str((obj.get("metadata") or {}).get("namespace") or "default")


def original_routes(vs: Object) -> Object:
    """A copy of the object with the user's routes alone, as any rollouts under way found them."""
    services = [layer.split.service for layer in read_layers(vs).values()]
    draft = peeled(vs, _guessed(vs, services[0]))[0] if services else clone(vs)
    if any(is_rollout_route(entry) for entry in entries_of(draft, "http")):
        entries = entries_of(draft, "http")
        draft["spec"]["http"] = [entry for entry in entries if not is_rollout_route(entry)]
    return draft


def peeled(vs: Object, split: Split) -> tuple[Object, Layers]:
    """A copy with every rollout's division undone and their records taken off, and the records.

    Added routes are still there. `split` tells what to look for when the record of its service
    was removed from the object.
    """
    draft = clone(vs)
    layers = read_layers(draft)
    drop_layers(draft)
    lost = split.service.key not in layers and any(
        is_own_route(entry, split.service) for entry in entries_of(draft, "http")
    )
    stand_in = Layer(split, "", no_annotations=False)
    everyone = {split.service.key: stand_in, **layers}
    for key in sorted(everyone, reverse=True):
        _peel(draft, everyone[key], trace_lost=lost and key == split.service.key)
    return draft, layers


def as_laid(vs: Object, service: ServiceHost) -> Object:
    """A copy as it was when this service's layer had been laid and no later one."""
    draft = clone(vs)
    layers = read_layers(draft)
    for key in sorted(layers, reverse=True):
        if key > service.key:
            _peel(draft, layers[key], trace_lost=False)
    return draft


def _peel(draft: Object, layer: Layer, *, trace_lost: bool) -> None:
    written_in = namespace_of(draft)
    for section in SECTIONS:
        entries = [
            entry
            for entry in entries_of(draft, section)
            if not is_own_route(entry, layer.split.service)
        ]
        records = associate(entries, layer.records[section], layer.split, written_in)
        for entry, record in zip(entries, records, strict=True):
            if entry.get("route"):
                entry["route"] = rejoin(
                    entry["route"],
                    record.route if record else None,
                    layer.split,
                    written_in,
                    trace_lost=trace_lost,
                )


def _lay(draft: Object, layers: Layers, routing: Routing | None) -> bool:
    """Divide every entry by every layer, and add the twins of `routing`; the records are renewed.

    Returns whether the service of `routing` has a part in the object.
    """
    written_in = namespace_of(draft)
    for layer in layers.values():
        layer.records = {section: [] for section in SECTIONS}
    number = 0
    for section in SECTIONS:
        laid: list[Object] = []
        for index, entry in enumerate(entries_of(draft, section)):
            made = Twins([], [])
            if routing is not None and section == "http" and not is_rollout_route(entry):
                where = f"{describe(draft)} {position(section, index, entry)}"
                made = twins(entry, number + 1, routing, written_in, where)
                number += 1 if made.tests or made.people else 0
            for added in (*made.tests, *made.people):
                _divide(added, section, layers, written_in)
            _divide(entry, section, layers, written_in)
            at = _before_others_twins(laid)
            laid[at:at] = made.tests
            laid += [*made.people, entry]
        if laid:
            draft["spec"][section] = laid
    if routing is None:
        return False
    own = layers[routing.service.key]
    return any(records for records in own.records.values())


def _before_others_twins(laid: Sequence[Object]) -> int:
    """Where the twins for tests go: before other rollouts' twins of the same entry."""
    at = len(laid)
    while at and is_rollout_route(laid[at - 1]) and laid[at - 1].get("route"):
        at -= 1
    return at


def _divide(entry: Object, section: str, layers: Layers, written_in: str) -> None:
    for layer in layers.values():
        if is_own_route(entry, layer.split.service) or not entry.get("route"):
            continue
        before = entry["route"]
        divided = divide(before, layer.split, written_in)
        if divided is not None:
            entry["route"], record = divided
            layer.records[section].append(EntryRecord.of(entry, record))


def _drop_own_routes(draft: Object, service: ServiceHost) -> None:
    entries = entries_of(draft, "http")
    if any(is_own_route(entry, service) for entry in entries):
        draft["spec"]["http"] = [entry for entry in entries if not is_own_route(entry, service)]


def base_digest(draft: Object) -> str:
    """A digest of a peeled object's spec, added routes left aside: what is the user's."""
    spec = dict(draft.get("spec") or {})
    spec["http"] = [entry for entry in entries_of(draft, "http") if not is_rollout_route(entry)]
    return digest(spec)


def _rename(draft: Object, split: Split, candidate: Side | None, where: str) -> None:
    """Send what named the previous version's subset to the candidate's."""
    written_in = namespace_of(draft)

    def renamed(one: Object) -> Object:
        destination = one.get("destination") or {}
        named = destination.get("subset") == split.previous and split.mine(destination, written_in)
        if not named:
            return one
        if candidate is None:
            raise ValueError(f"{where} names subset {split.previous}: the candidate's is needed")
        return with_subset(one, candidate.subset)

    for section in SECTIONS:
        for entry in entries_of(draft, section):
            if entry.get("route"):
                entry["route"] = [renamed(one) for one in entry["route"]]


def _guessed(vs: Object, service: ServiceHost) -> Split:
    """What the object itself tells of the rollout, should its record have been removed.

    The rollout's own routes name its subsets; without them, so do destinations at subsets that
    only a rollout has. Where the record is there it is what counts.
    """
    found: dict[str, str] = {}
    for entry in entries_of(vs, "http"):
        for kind in ("previous", "candidate"):
            if str(entry.get("name", "")).startswith(route_name(service, kind) + "."):
                found[kind] = str(entry["route"][0]["destination"].get("subset") or "")
    written_in = namespace_of(vs)
    for section in SECTIONS:
        for entry in entries_of(vs, section):
            for one in entry.get("route") or []:
                destination = one.get("destination") or {}
                subset = str(destination.get("subset") or "")
                mine = service.resolves(str(destination.get("host", "")), written_in)
                if mine and is_owned_subset(subset) and subset not in found.values():
                    found.setdefault("candidate" if "previous" in found else "previous", subset)
    previous, candidate = found.get("previous", ""), found.get("candidate")
    return Split(
        service=service,
        previous=previous,
        previous_owned=not previous or is_owned_subset(previous),
        candidate=candidate,
        candidate_owned=is_owned_subset(candidate),
        weight=0,
    )


def entries_of(obj: Mapping[str, object], section: str) -> list[Object]:
    """The entries of `http`, `tcp` or `tls`; an empty list when there are none."""
    spec = obj.get("spec")
    found = spec.get(section) if isinstance(spec, dict) else None
    return found if isinstance(found, list) else []


def position(section: str, index: int, entry: Object) -> str:
    """`http[2] 'name'`, for messages."""
    name = entry.get("name")
    return f"{section}[{index}]" + (f" {name!r}" if name else "")
