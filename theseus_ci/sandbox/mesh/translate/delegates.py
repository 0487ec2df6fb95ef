"""VirtualServices that delegate: an entry of the root stands for the entries of another one.

A delegate has no hosts of its own. Each of its entries inherits what it leaves open from the
root's entry, and counts only where its match conditions narrow those of the root.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from theseus_ci.sandbox.mesh.translate import hosts

Json = dict[str, Any]
Key = tuple[str, str]

INHERITED = (
    "rewrite",
    "directResponse",
    "timeout",
    "retries",
    "fault",
    "mirror",
    "mirrorPercent",
    "mirrorPercentage",
    "corsPolicy",
    "mirrors",
    "headers",
)
STRING_CONDITIONS = ("uri", "scheme", "method", "authority")
NAMED_CONDITIONS = ("headers", "withoutHeaders", "queryParams")


def merge_delegates(virtual_services: Mapping[Key, Json]) -> dict[Key, Json]:
    """The VirtualServices that have hosts, with their delegates' entries in place.

    An entry whose delegate does not exist, or is not exported to the root's namespace, is dropped.
    """
    roots = {key: obj for key, obj in virtual_services.items() if obj["spec"].get("hosts")}
    return {key: _merged(key[0], obj, virtual_services) for key, obj in roots.items()}


def _merged(namespace: str, root: Json, virtual_services: Mapping[Key, Json]) -> Json:
    entries = root["spec"].get("http") or []
    if not any(entry.get("delegate") for entry in entries):
        return root
    out: list[Json] = []
    for entry in entries:
        if not entry.get("delegate"):
            out.append(entry)
            continue
        owner = entry["delegate"].get("namespace") or namespace
        delegate = virtual_services.get((owner, entry["delegate"]["name"]))
        if delegate is not None and _serves(delegate, owner, namespace):
            for inner in delegate["spec"].get("http") or []:
                merged = _merge_entry(_resolved(entry, namespace), _resolved(inner, owner))
                out += [merged] if merged is not None else []
    return {**root, "spec": {**root["spec"], "http": out}}


def _serves(delegate: Json, owner: str, namespace: str) -> bool:
    spec = delegate["spec"]
    targets = [owner if each == "." else each for each in spec.get("exportTo") or ["*"]]
    return not spec.get("hosts") and ("*" in targets or namespace in targets)


def _resolved(entry: Json, namespace: str) -> Json:
    """The entry with every name in full: it will stand in another namespace's object."""

    def destination(value: Json) -> Json:
        return {**value, "host": hosts.resolve(value["host"], namespace)}

    def within(value: Json) -> Json:
        return {**value, "destination": destination(value["destination"])}

    def match(value: Json) -> Json:
        bound = [hosts.resolve_gateway(each, namespace) for each in value.get("gateways") or []]
        return {**value, "gateways": bound}

    out = dict(entry)
    for field in ("route", "mirrors"):
        if entry.get(field):
            out[field] = [within(each) for each in entry[field]]
    if entry.get("mirror"):
        out["mirror"] = destination(entry["mirror"])
    if entry.get("match"):
        out["match"] = [match(each) for each in entry["match"]]
    return out


def _merge_entry(root: Json, inner: Json) -> Json | None:
    """The delegate's entry as seen through the root's; None where their conditions conflict."""
    matches = _merge_matches(root.get("match") or [], inner.get("match") or [])
    if matches is None:
        return None
    out = {**inner, "match": matches, "name": _joined(root.get("name"), inner.get("name"))}
    for field in INHERITED:
        if inner.get(field) in (None, []) and root.get(field) is not None:
            out[field] = root[field]
    return out


def _merge_matches(root: list[Json], inner: list[Json]) -> list[Json] | None:
    if not root or not inner:
        return inner or root
    out: list[Json] = []
    for narrow in inner:
        found = [_merge_match(wide, narrow) for wide in root if not _conflict(wide, narrow)]
        if not found:
            return None
        out += found
    return out


def _merge_match(root: Json, inner: Json) -> Json:
    out = {field: value for field, value in root.items() if value not in (None, [])}
    out.pop("ignoreUriCase", None)
    out.update({field: value for field, value in inner.items() if value not in (None, [])})
    out["name"] = _joined(root.get("name"), inner.get("name"))
    for field in (*NAMED_CONDITIONS, "sourceLabels"):
        both = {**(root.get(field) or {}), **(inner.get(field) or {})}
        if both:
            out[field] = both
    return out


def _joined(root: str | None, inner: str | None) -> str:
    return "-".join(name for name in (root, inner) if name)


def _conflict(root: Json, inner: Json) -> bool:
    """Whether the delegate's conditions reach beyond the root's."""
    for field in STRING_CONDITIONS:
        if _string_conflict(root.get(field), inner.get(field)):
            return True
    for field in NAMED_CONDITIONS:
        wide = root.get(field) or {}
        for name, narrow in (inner.get(field) or {}).items():
            if _string_conflict(wide.get(name), narrow):
                return True
    if bool(root.get("ignoreUriCase")) != bool(inner.get("ignoreUriCase")):
        return True
    if root.get("port") and inner.get("port") and root["port"] != inner["port"]:
        return True
    labels = root.get("sourceLabels") or {}
    for name, value in (inner.get("sourceLabels") or {}).items():
        if labels.get(name, value) != value:
            return True
    wide_gateways, gateways = root.get("gateways") or [], inner.get("gateways") or []
    return bool(wide_gateways) and not set(gateways) <= set(wide_gateways)


def _string_conflict(root: Json | None, inner: Json | None) -> bool:
    if root is None or inner is None:
        return False
    if inner.get("regex"):
        return True
    if root.get("exact"):
        return bool(inner.get("exact") != root["exact"])
    narrow = str(inner.get("prefix") or inner.get("exact") or "")
    return not root.get("prefix") or not narrow.startswith(root["prefix"])
