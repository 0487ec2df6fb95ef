"""Server-side apply, and the ownership records that every other write leaves for it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from theseus_ci.sandbox.apiserver import fieldsets
from theseus_ci.sandbox.apiserver.errors import ApiError, Object, bad_request
from theseus_ci.sandbox.apiserver.fieldsets import MISSING, FieldSet, Path
from theseus_ci.sandbox.apiserver.schema import Node

UPGRADING_MANAGER = "kubectl"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True)
class Writer:
    """Who writes: one managedFields entry belongs to each."""

    manager: str
    operation: str
    api_version: str
    subresource: str = ""


@dataclass(frozen=True)
class Record:
    """What one writer owns, and since when (RFC 3339)."""

    writer: Writer
    time: str
    fields: FieldSet = field(repr=False)

    def as_entry(self) -> Object:
        entry: Object = {
            "manager": self.writer.manager,
            "operation": self.writer.operation,
            "apiVersion": self.writer.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fieldsets.encode(self.fields),
        }
        if self.writer.subresource:
            entry["subresource"] = self.writer.subresource
        return entry

    def title(self) -> str:
        text = f'"{self.writer.manager}"'
        if self.writer.subresource:
            text += f' with subresource "{self.writer.subresource}"'
        if self.writer.operation == "Update":
            text += f" using {self.writer.api_version}"
        return text


def records(obj: Object) -> list[Record]:
    """The ownership records of an object."""
    return [
        Record(
            Writer(
                entry.get("manager", ""),
                entry.get("operation", ""),
                entry.get("apiVersion", ""),
                entry.get("subresource", ""),
            ),
            entry.get("time", ""),
            frozenset(fieldsets.decode(entry.get("fieldsV1") or {})),
        )
        for entry in obj["metadata"].get("managedFields") or []
        if entry
    ]


def _store(obj: Object, kept: list[Record]) -> None:
    entries = [record.as_entry() for record in kept if record.fields]
    if entries:
        obj["metadata"]["managedFields"] = entries
    else:
        obj["metadata"].pop("managedFields", None)


def track_update(
    before: Object | None, after: Object, node: Node, writer: Writer, now: str
) -> None:
    """Record in `after` that `writer` owns what differs from `before`.

    Unless the request itself rewrote them (as kubectl does when it moves from client-side to
    server-side apply), the records of `before` are carried over.
    """
    given = after["metadata"].get("managedFields")
    if given == [{}]:
        after["metadata"].pop("managedFields")
        return
    if before is not None and (not given or writer.subresource):
        after["metadata"]["managedFields"] = before["metadata"].get("managedFields") or []
    touched, gone = fieldsets.changed(before or {"metadata": {}}, after, node)
    if before is None and not after.get("status"):
        touched -= {("f:status",)}
    if not touched and not gone:
        if not after["metadata"].get("managedFields"):
            after["metadata"].pop("managedFields", None)
        return
    kept, mine = [], Record(writer, now, frozenset())
    for record in records(after):
        if record.writer == writer:
            mine = record
        else:
            kept.append(replace(record, fields=record.fields - touched - gone))
    fields = (mine.fields | touched) - gone
    if fields != mine.fields:
        mine = replace(mine, fields=fields, time=now)
    _store(after, [*kept, mine])


def merge(live: Any, applied: Any, node: Node, *, root: bool = False) -> Any:
    """`live` with everything that `applied` says, lists merged as the schema tells."""
    if isinstance(applied, dict) and isinstance(live, dict) and not node.atomic_map:
        result = dict(live)
        for name, value in applied.items():
            child = fieldsets.child_node(node, name, root=root)
            result[name] = merge(live.get(name), value, child)
        return result
    if isinstance(applied, list) and isinstance(live, list):
        if node.list_keys:
            return _merge_associative(live, applied, node)
        if node.is_set:
            return [*live, *(item for item in applied if item not in live)]
    return applied


def _merge_associative(live: list[Any], applied: list[Any], node: Node) -> list[Any]:
    result = list(live)
    places = {fieldsets.key_step(item, node.list_keys): index for index, item in enumerate(result)}
    for item in applied:
        step = fieldsets.key_step(item, node.list_keys)
        if step in places:
            result[places[step]] = merge(result[places[step]], item, node.items)
        else:
            places[step] = len(result)
            result.append(item)
    return result


def _conflicts(
    live: Object, applied: Object, fields: FieldSet, others: list[Record]
) -> list[tuple[Record, Path]]:
    found = []
    for record in others:
        for path in sorted(record.fields & fields):
            if path[-1][0] != "f":
                continue
            current = fieldsets.lookup(live, path)
            if current is not MISSING and current != fieldsets.lookup(applied, path):
                found.append((record, path))
    return found


def _conflict_error(found: list[tuple[Record, Path]]) -> ApiError:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {record.title()}",
            "field": fieldsets.written(path),
        }
        for record, path in found
    ]
    if len(causes) == 1:
        what = f"1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        by_manager: dict[str, list[str]] = {}
        for record, path in found:
            by_manager.setdefault(record.title(), []).append(fieldsets.written(path))
        groups = [
            f"conflicts with {title}:\n" + "\n".join(f"- {path}" for path in paths)
            for title, paths in by_manager.items()
        ]
        what = f"{len(causes)} conflicts: " + "\n".join(groups)
    message = f"Apply failed with {what}"
    return ApiError(409, "Conflict", message, details={"causes": causes})


def _last_applied(live: Object, node: Node) -> FieldSet:
    """What kubectl's client-side apply set and nobody changed since: kubectl may take that over."""
    text = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    try:
        obj = msgspec.json.decode(text or "null")
    except msgspec.DecodeError:
        return frozenset()
    if not isinstance(obj, dict):
        return frozenset()
    now = fieldsets.leaf_values(live, node)
    then = fieldsets.leaf_values(obj, node)
    return frozenset(path for path, value in then.items() if now.get(path) == value)


def _sync_last_applied(merged: Object, applied: Object) -> None:
    """Keep the annotation of client-side apply in step, for those who go back to it."""
    annotations = merged["metadata"].get("annotations") or {}
    if not annotations.get(LAST_APPLIED):
        return
    metadata = dict(applied["metadata"])
    own = {k: v for k, v in (metadata.pop("annotations", None) or {}).items() if k != LAST_APPLIED}
    if own:
        metadata["annotations"] = own
    text = fieldsets.json_text({**applied, "metadata": metadata}) + "\n"
    merged["metadata"]["annotations"] = {**annotations, LAST_APPLIED: text}


def _owned_below(path: Path, others: list[Record]) -> bool:
    depth = len(path)
    return any(owned[:depth] == path for record in others for owned in record.fields)


def apply(
    live: Object | None, applied: Object, node: Node, writer: Writer, now: str, *, force: bool
) -> Object:
    """The object after an apply, records included; ApiError 409 on conflicts without `force`."""
    if applied["metadata"].get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    fields = fieldsets.leaves(applied, node)
    if live is None:
        created = {**applied, "metadata": dict(applied["metadata"])}
        _store(created, [Record(writer, now, fields)])
        return created
    mine, others = Record(writer, now, frozenset()), []
    for record in records(live):
        if record.writer == writer:
            mine = record
        else:
            others.append(record)
    found = _conflicts(live, applied, fields, others)
    if writer.manager == UPGRADING_MANAGER:
        known = _last_applied(live, node)
        force = force or all(path in known for _, path in found)
    if found and not force:
        raise _conflict_error(found)
    for loser, path in found:
        place = next(i for i, record in enumerate(others) if record.writer == loser.writer)
        others[place] = replace(others[place], fields=others[place].fields - {path})
    merged = merge(live, applied, node, root=True)
    for path in sorted(mine.fields - fields, key=len):
        if not _owned_below(path, others):
            merged = fieldsets.remove(merged, path)
    merged["metadata"] = dict(merged["metadata"])
    if writer.manager == UPGRADING_MANAGER:
        _sync_last_applied(merged, applied)
    if fields != mine.fields:
        mine = Record(writer, now, fields)
    _store(merged, [*others, mine])
    return dict(merged)
