"""Reading the protobuf bodies that kubectl's typed commands send (auth can-i, create, drain).

Only decoding: answers go out as JSON, which those clients accept. Field numbers come from
upstream's generated.proto files; the OpenAPI schema tells which messages are inlined in JSON.
Go writes fields without a pointer even when they are zero, and JSON leaves them out: empty strings
are dropped here, other zeros by `decoding`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from theseus_ci.sandbox.apiserver.errors import Object, bad_request
from theseus_ci.sandbox.apiserver.schema import definitions

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
MACHINERY = "io.k8s.apimachinery.pkg"
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MILLION, BILLION = 10**6, 10**9

Fields = list[tuple[int, Any]]


@cache
def _messages() -> dict[str, dict[str, list[str]]]:
    raw = files("theseus_ci.sandbox.apiserver.schemas").joinpath("protobuf.json").read_bytes()
    loaded: dict[str, dict[str, list[str]]] = msgspec.json.decode(raw)
    return loaded


@cache
def _definitions_by_kind() -> dict[tuple[str, str], str]:
    found = {}
    for name, raw in definitions().items():
        for kind in raw.get("x-kubernetes-group-version-kind", ()):
            group, version = kind["group"], kind["version"]
            found[f"{group}/{version}" if group else version, kind["kind"]] = name
    return found


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, int or bytes) in the order of the message."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        wire = tag & 7
        if wire == VARINT:
            value, position = _varint(data, position)
            yield tag >> 3, value
            continue
        if wire == BYTES:
            size, position = _varint(data, position)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if position + size > len(data):
            raise ValueError("unexpected end of message")
        yield tag >> 3, data[position : position + size]
        position += size


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _time(fields: Fields, *, micro: bool) -> str | None:
    values = dict(fields)
    if not values.get(1) and not values.get(2):
        return None
    instant = datetime.fromtimestamp(_signed(values.get(1, 0)), timezone.utc)
    text = instant.strftime("%Y-%m-%dT%H:%M:%S")
    if micro:
        text += f".{values.get(2, 0) * MILLION // BILLION:06d}"
    return text + "Z"


def _int_or_string(fields: Fields) -> int | str:
    values = dict(fields)
    if values.get(1):
        return bytes(values.get(3, b"")).decode()
    return _signed(values.get(2, 0))


def _special(kind: str, data: bytes) -> tuple[bool, Any]:
    """(whether the message has a JSON form of its own, that form)."""
    short = kind.rsplit(".", 1)[-1]
    if not kind.startswith(MACHINERY):
        return False, None
    fields = list(_fields(data))
    if short in ("Time", "MicroTime"):
        return True, _time(fields, micro=short == "MicroTime")
    if short == "Quantity":
        return True, bytes(dict(fields).get(1, b"0")).decode()
    if short == "IntOrString":
        return True, _int_or_string(fields)
    if short in ("FieldsV1", "RawExtension"):
        raw = bytes(dict(fields).get(1, b""))
        return True, msgspec.json.decode(raw) if raw else None
    return False, None


def _value(kind: str, raw: Any) -> Any:
    if kind == "string":
        return bytes(raw).decode()
    if kind == "bytes":
        return base64.b64encode(raw).decode()
    if kind == "bool":
        return bool(raw)
    if kind in ("int32", "int64"):
        return _signed(raw)
    special, value = _special(kind, raw)
    return value if special else _message(kind, raw)


def _message(kind: str, data: bytes) -> Object:
    known = _messages()[kind]
    named = definitions().get(kind, {}).get("properties", {})
    obj: Object = {}
    for number, raw in _fields(data):
        if str(number) not in known:
            continue
        name, field_kind, label = known[str(number)]
        if label == "map":
            entry = dict(_fields(raw))
            key = bytes(entry.get(1, b"")).decode()
            empty: Any = b"" if field_kind not in ("bool", "int32", "int64") else 0
            obj.setdefault(name, {})[key] = _value(field_kind, entry.get(2, empty))
            continue
        value = _value(field_kind, raw)
        if label == "repeated":
            obj.setdefault(name, []).append(value)
        elif name not in named and isinstance(value, dict):
            obj.update(value)
        elif value not in ("", None):
            obj[name] = value
    return obj


def decode(body: bytes) -> Object:
    """The object in a protobuf body; ApiError 400 when it cannot be read."""
    if not body.startswith(MAGIC):
        raise bad_request("provided data does not appear to be a protobuf message")
    try:
        envelope = dict(_fields(body[len(MAGIC) :]))
        meta = {number: raw.decode() for number, raw in _fields(envelope.get(1, b""))}
        identity = meta.get(1, ""), meta.get(2, "")
        name = _definitions_by_kind().get(identity)
        if name not in _messages():
            raise bad_request(f'no kind "{identity[1]}" is registered for version "{identity[0]}"')
        obj = _message(name, envelope.get(2, b""))
    except (IndexError, ValueError, KeyError, AttributeError) as problem:
        raise bad_request(f"unable to decode protobuf: {problem}") from problem
    return {"apiVersion": identity[0], "kind": identity[1], **obj}
