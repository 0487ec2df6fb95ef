"""A request that reaches a given entry of a VirtualService, where one can be derived."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from theseus_ci.mesh.matching import Condition, UndecidableError, accepts, simplest
from theseus_ci.mesh.virtual_service import entries_of
from theseus_ci.model import Object


class Sample(msgspec.Struct, frozen=True):
    """What to send. `authority` is "" when any Host header that the object serves will do."""

    path: str
    method: str
    headers: Mapping[str, str]
    authority: str = ""


def sample_request(vs: Object, index: int) -> Sample | None:
    """A request that http entry `index` takes and no entry before it does.

    Conditions on where a request comes from (gateways, source labels, port) are not looked at:
    an entrypoint that cannot reach the entry will not show it. None when no block of the entry
    says enough.
    """
    entries = entries_of(vs, "http")
    for block in entries[index].get("match") or [{}]:
        for sample in _candidates(block):
            try:
                before = any(
                    takes(earlier, sample)
                    for entry in entries[:index]
                    for earlier in entry.get("match") or [{}]
                )
                if not before and takes(block, sample):
                    return sample
            except UndecidableError:
                continue
    return None


def _candidates(block: Condition) -> Iterator[Sample]:
    query = {name: _value(condition) for name, condition in _pairs(block, "queryParams")}
    headers = {name.lower(): _value(condition) for name, condition in _pairs(block, "headers")}
    method = _value(block["method"]) if "method" in block else "GET"
    authority = _value(block["authority"]) if "authority" in block else ""
    if None in (*query.values(), *headers.values(), method, authority):
        return
    written = "&".join(f"{name}={value}" for name, value in query.items())
    sent = {name: str(value) for name, value in headers.items()}
    for path in _paths(block):
        full = f"{path}?{written}" if written else path
        yield Sample(full, str(method), sent, str(authority))


def _paths(block: Condition) -> Iterator[str]:
    """Paths for the block's uri; some further ones, in case an earlier entry takes the first."""
    if "uri" not in block:
        yield from ("/", "/theseus")
        return
    uri = simplest(block["uri"])
    if "exact" in uri:
        yield uri["exact"]
    elif "prefix" in uri:
        prefix = uri["prefix"]
        yield prefix
        yield prefix.rstrip("/") + "/"
        yield prefix.rstrip("/") + "/theseus"
    elif not uri:
        yield from ("/", "/theseus")


def _value(condition: Condition | None) -> str | None:
    plain = simplest(condition or {})
    if "exact" in plain:
        return str(plain["exact"])
    if "prefix" in plain:
        return str(plain["prefix"])
    return None if plain else "1"


def _pairs(block: Condition, key: str) -> list[tuple[str, Condition]]:
    return list((block.get(key) or {}).items())


def takes(block: Condition, sample: Sample) -> bool:
    """Whether the block's conditions on path, method, Host and headers hold for the request.

    Raises UndecidableError for an expression that cannot be evaluated here.
    """
    path, _, written = sample.path.partition("?")
    query = dict(pair.split("=", 1) for pair in written.split("&")) if written else {}
    checks = [("uri", path), ("method", sample.method)]
    if sample.authority:
        checks.append(("authority", sample.authority))
    for key, value in checks:
        if key in block and not _holds(block, key, value):
            return False
    present = all(
        name.lower() in sample.headers and accepts(condition or {}, sample.headers[name.lower()])
        for name, condition in _pairs(block, "headers")
    )
    asked = all(
        name in query and accepts(condition or {}, query[name])
        for name, condition in _pairs(block, "queryParams")
    )
    absent = not any(
        name.lower() in sample.headers and accepts(condition or {}, sample.headers[name.lower()])
        for name, condition in _pairs(block, "withoutHeaders")
    )
    return present and asked and absent


def _holds(block: Condition, key: str, value: str) -> bool:
    condition = block[key]
    if key == "uri" and block.get("ignoreUriCase"):
        value = value.lower()
        condition = {kind: str(text).lower() for kind, text in condition.items()}
    return accepts(condition, value)
