"""What cannot be derived from an edited object, kept in an annotation on that object.

The record is written in the same request as the edit and needs none of our own state. It holds,
for each entry whose destinations we divided, how to find the entry again (the user may have moved
or changed it) and what its route was. Each service whose rollout is under way has one of its own:
a layer. Layers are peeled off and laid again in the order of their keys.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from theseus_ci.errors import StateError
from theseus_ci.mesh.naming import ANNOTATION_DOMAIN, annotation_name, digest
from theseus_ci.mesh.routing import ServiceHost, Split
from theseus_ci.mesh.shares import RouteRecord, shape
from theseus_ci.model import Object

SECTIONS = ("http", "tcp", "tls")
_SCHEMA = 1
_PREFIX = ANNOTATION_DOMAIN + "undo."
_SURE = 2  # the least likeness by which an entry is taken for the one recorded


class EntryRecord(msgspec.Struct, frozen=True):
    """One entry: by what it is found again, and its route's record."""

    name: str
    match: str  # digest of its match blocks
    rest: str  # digest of everything but match and route
    route: RouteRecord

    @classmethod
    def of(cls, entry: Object, route: RouteRecord) -> EntryRecord:
        return cls(str(entry.get("name", "")), match_digest(entry), rest_digest(entry), route)


class Layer(msgspec.Struct):
    """One rollout's part in a VirtualService."""

    split: Split
    rollout: str
    no_annotations: bool  # the object had none before
    base: str = ""  # digest of the spec without any rollout's part, at this rollout's last edit
    records: dict[str, list[EntryRecord]] = msgspec.field(
        default_factory=lambda: {section: [] for section in SECTIONS}
    )


def match_digest(entry: Object) -> str:
    return digest(entry.get("match"))


def rest_digest(entry: Object) -> str:
    return digest({key: value for key, value in entry.items() if key not in ("match", "route")})


def read_layers(obj: Object) -> dict[str, Layer]:
    """The layers recorded on a VirtualService, by service key, in the order of their keys.

    Raises StateError when a record cannot be read: undoing by guess could lose requests.
    """
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    layers = {}
    for name, text in annotations.items():
        if name.startswith(_PREFIX):
            try:
                layer = _decode(json.loads(text))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise StateError(
                    f"annotation {name} of {describe(obj)} cannot be read: {error!r}",
                    remedy="restore the object from the backup that begin recorded",
                ) from error
            layers[layer.split.service.key] = layer
    return dict(sorted(layers.items()))


def drop_layers(obj: Object) -> None:
    """Take the records off the object, with the annotations map if it was ours."""
    metadata = obj.get("metadata") or {}
    annotations = metadata.get("annotations")
    if not annotations:
        return
    created = any(layer.no_annotations for layer in read_layers(obj).values())
    for name in [name for name in annotations if name.startswith(_PREFIX)]:
        del annotations[name]
    if created and not annotations:
        del metadata["annotations"]


def write_layers(obj: Object, layers: dict[str, Layer]) -> None:
    """Put the records on an object that has none."""
    if not layers:
        return
    metadata = obj.setdefault("metadata", {})
    created = "annotations" not in metadata or metadata["annotations"] is None
    if created:
        metadata["annotations"] = {}
    for _, layer in sorted(layers.items()):
        layer.no_annotations = created
        text = json.dumps(_encode(layer), separators=(",", ":"), ensure_ascii=False)
        metadata["annotations"][annotation_name("undo", layer.split.service)] = text


def describe(obj: Object) -> str:
    """`VirtualService bookinfo/reviews`, for messages."""
    metadata = obj.get("metadata") or {}
    return f"{obj.get('kind', 'object')} {metadata.get('namespace')}/{metadata.get('name')}"


def associate(
    entries: Sequence[Object], records: Sequence[EntryRecord], split: Split, written_in: str
) -> list[EntryRecord | None]:
    """For each entry the record that was made of it, as far as one can be told.

    First the entries that are as we left them, in order; then by likeness the entries that name
    one of our subsets, so that a moved, renamed or changed entry still finds its record.
    """
    seen = [_Seen.of(entry) for entry in entries]
    found: list[EntryRecord | None] = [None] * len(entries)
    waiting: dict[_Seen, deque[int]] = {}
    for position, record in enumerate(records):
        waiting.setdefault(_Seen.expected(record), deque()).append(position)
    for index, entry in enumerate(seen):
        if waiting.get(entry):
            found[index] = records[waiting[entry].popleft()]
    left = sorted(position for positions in waiting.values() for position in positions)
    open_entries = [
        index
        for index, record in enumerate(found)
        if record is None and _names_subset(entries[index], split, written_in)
    ]
    ranked = sorted(
        (-seen[index].likeness(records[position]), abs(index - position), index, position)
        for index in open_entries
        for position in left
        if seen[index].likeness(records[position]) >= _SURE
    )
    used: set[int] = set()
    for _, _, index, position in ranked:
        if found[index] is None and position not in used:
            found[index] = records[position]
            used.add(position)
    return found


class _Seen(msgspec.Struct, frozen=True):
    """What an entry is recognised by."""

    name: str
    match: str
    rest: str
    shape: str
    weights: tuple[int | None, ...]

    @classmethod
    def of(cls, entry: Object) -> _Seen:
        route = entry.get("route") or []
        weights = tuple(one.get("weight") for one in route)
        name = str(entry.get("name", ""))
        return cls(name, match_digest(entry), rest_digest(entry), shape(route), weights)

    @classmethod
    def expected(cls, record: EntryRecord) -> _Seen:
        """The entry as we left it."""
        route = record.route
        return cls(record.name, record.match, record.rest, route.shape, route.wrote)

    def likeness(self, record: EntryRecord) -> int:
        points = 4 if self.name and self.name == record.name else 0
        points += 2 if self.match == record.match else 0
        points += 2 if self.shape == record.route.shape else 0
        return points + (1 if self.rest == record.rest else 0)


def _names_subset(entry: Object, split: Split, written_in: str) -> bool:
    return any(
        split.mine(one.get("destination") or {}, written_in)
        and (one.get("destination") or {}).get("subset")
        in {split.previous, split.candidate} - {None}
        for one in entry.get("route") or []
    )


def _encode(layer: Layer) -> Object:
    split = layer.split
    encoded: dict[str, Any] = {
        "v": _SCHEMA,
        "service": [split.service.name, split.service.namespace, split.service.cluster_domain],
        "rollout": layer.rollout,
        "previous": [split.previous, split.previous_owned],
        "candidate": [split.candidate, split.candidate_owned],
        "weight": split.weight,
        "replaces": sorted(split.replaces),
        "base": layer.base,
        "noAnnotations": layer.no_annotations,
    }
    for section, records in layer.records.items():
        if records:
            encoded[section] = [_encode_entry(record) for record in records]
    return encoded


def _encode_entry(record: EntryRecord) -> list[Any]:
    route = record.route
    return [
        [record.name, record.match, record.rest],
        [route.kinds, list(route.subsets), list(route.was), list(route.wrote), route.shape],
    ]


def _decode(encoded: Object) -> Layer:
    if encoded["v"] != _SCHEMA:
        raise ValueError(f"schema {encoded['v']}, this program reads {_SCHEMA}")
    name, namespace, domain = encoded["service"]
    split = Split(
        service=ServiceHost(name, namespace, domain),
        previous=encoded["previous"][0],
        previous_owned=encoded["previous"][1],
        candidate=encoded["candidate"][0],
        candidate_owned=encoded["candidate"][1],
        weight=encoded["weight"],
        replaces=frozenset(encoded["replaces"]),
    )
    return Layer(
        split=split,
        rollout=encoded["rollout"],
        no_annotations=encoded["noAnnotations"],
        base=encoded["base"],
        records={
            section: [_decode_entry(one) for one in encoded.get(section, [])]
            for section in SECTIONS
        },
    )


def _decode_entry(encoded: list[Any]) -> EntryRecord:
    (name, match, rest), (kinds, subsets, was, wrote, seen) = encoded
    route = RouteRecord(kinds, tuple(subsets), tuple(was), tuple(wrote), seen)
    return EntryRecord(name, match, rest, route)
