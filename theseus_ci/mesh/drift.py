"""What somebody else changed in a VirtualService while a rollout was under way."""

from __future__ import annotations

from collections.abc import Iterator

from theseus_ci.mesh.destination_rule import edit_destination_rule, subsets_of
from theseus_ci.mesh.naming import is_own_route, is_rollout_route
from theseus_ci.mesh.routing import Routing
from theseus_ci.mesh.shares import as_written
from theseus_ci.mesh.undo import (
    SECTIONS,
    EntryRecord,
    Layer,
    associate,
    match_digest,
    read_layers,
    rest_digest,
)
from theseus_ci.mesh.virtual_service import (
    as_laid,
    base_digest,
    edit_virtual_service,
    entries_of,
    namespace_of,
    peeled,
    position,
)
from theseus_ci.model import Object


def drift(vs: Object, routing: Routing) -> list[str]:
    """How the object differs from what we wrote for this routing, in sentences; empty when not."""
    wanted = edit_virtual_service(vs, routing)
    layer = read_layers(vs).get(routing.service.key)
    if layer is None:
        if wanted == vs:
            return []
        return [
            "the rollout's record is gone: the object was replaced or applied anew from outside"
        ]
    found = [*_added_routes(vs, wanted, routing), *_changed_entries(vs, wanted, layer)]
    draft, _ = peeled(vs, layer.split)
    if not found and base_digest(draft) != layer.base:
        found.append("something was changed beside the routes of the service")
    if not found and _essence(wanted) != _essence(vs):
        found.append("the object is not as this edit would leave it")
    return found


def rule_drift(dr: Object, routing: Routing) -> list[str]:
    """What is missing or changed in the DestinationRule that this routing stands on."""
    present = {str(one.get("name")): one for one in subsets_of(dr)}
    wanted = {str(one["name"]): one for one in subsets_of(edit_destination_rule(dr, routing))}
    found = []
    for side in (routing.previous, routing.candidate):
        if side is None:
            continue
        subset = present.get(side.subset)
        if subset is None:
            found.append(f"subset {side.subset} is gone: routes that name it answer 503")
        elif dict(subset.get("labels") or {}) != dict(side.labels):
            found.append(f"subset {side.subset} has other labels than when the rollout began")
        elif side.owned and subset != wanted[side.subset]:
            found.append(f"our subset {side.subset} is not what this edit writes")
    return found


def _essence(vs: Object) -> object:
    """What counts: everything, but for the order in which rollouts sharing an object laid theirs.

    Their records count through the routes they describe.
    """
    layers = read_layers(vs)
    http = entries_of(vs, "http")
    if len(layers) < 2:
        return vs
    users = [entry for entry in http if not is_rollout_route(entry)]
    ours = {str(entry["name"]): entry for entry in http if is_rollout_route(entry)}
    return {**vs["spec"], "http": users}, ours, sorted(layers)


def _added_routes(vs: Object, wanted: Object, routing: Routing) -> Iterator[str]:
    """Sentences about our own routes."""
    now, then = (
        {str(e["name"]): e for e in entries_of(obj, "http") if is_own_route(e, routing.service)}
        for obj in (vs, wanted)
    )
    for name, entry in then.items():
        if name not in now:
            yield f"our route {name} was removed"
        elif now[name] != entry:
            yield f"our route {name} is not what this edit writes"
    for name in now:
        if name not in then:
            yield f"our route {name} has no place in this edit"


def _changed_entries(vs: Object, wanted: Object, layer: Layer) -> Iterator[str]:
    """Sentences about the user's entries that we divided."""
    written_in = namespace_of(vs)
    for section in SECTIONS:
        entries, later = (
            [one for one in entries_of(obj, section) if not is_own_route(one, layer.split.service)]
            for obj in (as_laid(vs, layer.split.service), as_laid(wanted, layer.split.service))
        )
        records = associate(entries, layer.records[section], layer.split, written_in)
        for index, (now, then) in enumerate(zip(entries, later, strict=True)):
            where = position(section, index, now)
            yield from _one_entry(now, then, records[index], where)
        missing = len(layer.records[section]) - sum(one is not None for one in records)
        if missing:
            yield f"{missing} of the {section} routes that this rollout divided cannot be found"


def _one_entry(now: Object, then: Object, record: EntryRecord | None, where: str) -> Iterator[str]:
    if record is None:
        if now != then:
            yield f"{where} sends to the previous version, and was not there before"
        return
    if record.name != str(now.get("name", "")):
        yield f"{where} was renamed: it was {record.name or 'without a name'}"
    if match_digest(now) != record.match:
        yield f"{where} has other match conditions than before"
    elif rest_digest(now) != record.rest and record.name == str(now.get("name", "")):
        yield f"{where} has other settings than before"
    if now.get("route") != then.get("route") or not as_written(now["route"], record.route):
        sends, should = _written(now), _written(then)
        detail = f"{sends}, where this edit has {should}" if sends != should else sends
        yield f"{where} has another route than we wrote: {detail}"


def _written(entry: Object) -> str:
    parts = []
    for one in entry.get("route") or []:
        destination = one.get("destination") or {}
        subset = destination.get("subset")
        target = str(destination.get("host", "")) + (f"/{subset}" if subset else "")
        weight = one.get("weight")
        parts.append(target if weight is None else f"{target} {weight}")
    return ", ".join(parts) or "nothing"
