"""A reference interpreter of VirtualService routing: a request in, what happens to it out.

Written from Istio's rules alone and sharing nothing with the code under test: entries in order,
match blocks of an entry are alternatives, what is in a block must all hold, regular expressions
match the whole value, and a sole destination gets everything whatever its weight.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

Target = tuple[str, str]  # full host, subset or ""
Distribution = dict[Target, Fraction]


@dataclass(frozen=True)
class Request:
    path: str = "/"
    method: str = "GET"
    authority: str = "shop.example.com"
    scheme: str = "http"
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    port: int = 80
    gateway: str = "mesh"
    source_labels: dict[str, str] = field(default_factory=dict)
    source_namespace: str = "shop"

    def having(self, **headers: str) -> Request:
        added = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.with_headers(added)

    def with_headers(self, added: dict[str, str]) -> Request:
        return Request(**{**self.__dict__, "headers": {**self.headers, **added}})


@dataclass(frozen=True)
class Outcome:
    """Which entry took the request, where it goes, and the answer's headers for each target."""

    index: int
    name: str
    targets: Distribution
    answers: dict[Target, dict[str, str]]
    entry: dict[str, Any]


def route(vs: dict[str, Any], request: Request) -> Outcome | None:
    namespace = vs["metadata"]["namespace"]
    for index, entry in enumerate(vs["spec"].get("http") or []):
        blocks = entry.get("match") or [{}]
        if any(matches(block, request) for block in blocks):
            return outcome(entry, index, namespace)
    return None


def outcome(entry: dict[str, Any], index: int, namespace: str) -> Outcome:
    destinations = entry.get("route") or []
    weights = [int(one.get("weight") or 0) for one in destinations]
    if len(destinations) == 1:
        weights = [1]
    targets: dict[Target, Fraction] = defaultdict(Fraction)
    answers: dict[Target, dict[str, str]] = {}
    for one, weight in zip(destinations, weights, strict=True):
        if weight:
            key = target(one["destination"], namespace)
            targets[key] += Fraction(weight, sum(weights))
            answers[key] = _response_headers(entry) | _response_headers(one)
    if not destinations:
        answers[("", "")] = _response_headers(entry)
    return Outcome(index, str(entry.get("name", "")), dict(targets), answers, entry)


def _response_headers(holder: dict[str, Any]) -> dict[str, str]:
    return dict(((holder.get("headers") or {}).get("response") or {}).get("set") or {})


def target(destination: dict[str, Any], namespace: str) -> Target:
    host = destination["host"]
    full = host if "." in host else f"{host}.{namespace}.svc.cluster.local"
    return full, destination.get("subset") or ""


def matches(block: dict[str, Any], request: Request) -> bool:
    if "uri" in block and not _uri(block, request.path):
        return False
    plain = {
        "method": request.method,
        "authority": request.authority,
        "scheme": request.scheme,
    }
    if any(key in block and not _string(block[key], value) for key, value in plain.items()):
        return False
    if "port" in block and block["port"] != request.port:
        return False
    return (
        _origin(block, request)
        and _named(block.get("headers"), request.headers)
        and _named(block.get("queryParams"), request.query)
        and not any(
            _string(condition, _lower(request.headers).get(name.lower()))
            for name, condition in (block.get("withoutHeaders") or {}).items()
        )
    )


def _origin(block: dict[str, Any], request: Request) -> bool:
    if block.get("gateways"):
        return request.gateway in block["gateways"]
    labels = block.get("sourceLabels") or {}
    if any(request.source_labels.get(key) != value for key, value in labels.items()):
        return False
    return bool(block.get("sourceNamespace", request.source_namespace) == request.source_namespace)


def _uri(block: dict[str, Any], path: str) -> bool:
    condition = block["uri"]
    if block.get("ignoreUriCase"):
        path = path.lower()
        condition = {kind: value.lower() for kind, value in condition.items()}
    return _string(condition, path)


def _named(conditions: dict[str, Any] | None, values: dict[str, str]) -> bool:
    known = _lower(values)
    return all(
        _string(condition, known.get(name.lower()))
        for name, condition in (conditions or {}).items()
    )


def _lower(values: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in values.items()}


def _string(condition: dict[str, str] | None, value: str | None) -> bool:
    if value is None:
        return False
    if not condition or condition.get("regex") == "*":
        return True
    if "exact" in condition:
        return value == condition["exact"]
    if "prefix" in condition:
        return value.startswith(condition["prefix"])
    return re.fullmatch(condition["regex"], value) is not None
