"""What Istio's validating webhook refuses and the definitions of its kinds let pass.

Not all of it: what people and releases can get wrong in the kinds that a release edits. The
contract tests ask the real webhook the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Spec = dict[str, Any]

SUBSET_NAME = re.compile(r"[a-zA-Z0-9](?:[-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?")
ACTS = ("redirect", "directResponse")
ON_THE_WIRE = {"directResponse": "direct_response"}


def refusal(plural: str, spec: Spec) -> str:
    """Why Istio does not take it, in its words; empty when it does."""
    rules = {"virtualservices": _virtual_service, "destinationrules": _destination_rule}
    problems = list(rules[plural](spec)) if plural in rules else []
    if len(problems) < 2:
        return "".join(problems)
    listed = "\n\t".join(f"* {problem}" for problem in problems)
    return f"{len(problems)} errors occurred:\n\t{listed}\n\n"


def _virtual_service(spec: Spec) -> Iterator[str]:
    hosts, gateways = spec.get("hosts") or [], spec.get("gateways") or []
    if not hosts:
        for name, what in (("gateways", "gateways"), ("tls", "tls route"), ("tcp", "tcp route")):
            if spec.get(name):
                yield f"delegate virtual service must have no {what} specified"
    if "*" in hosts and (not gateways or "mesh" in gateways):
        yield "wildcard host * is not allowed for virtual services bound to the mesh gateway"
    else:
        yield from _duplicates(hosts)
    if not any(spec.get(name) for name in ("http", "tcp", "tls")):
        yield "http, tcp or tls must be provided in virtual service"
    for route in spec.get("http") or []:
        yield from _conflicts(route, delegate=not hosts)
        yield from _destinations(route.get("route") or [])
    for protocol in ("tls", "tcp"):
        for route in spec.get(protocol) or []:
            yield from _destinations(route.get("route") or [])


def _destination_rule(spec: Spec) -> Iterator[str]:
    seen: set[str] = set()
    for subset in spec.get("subsets") or []:
        name = subset.get("name", "")
        if name in seen:
            yield f"duplicate subset names: {name}"
        seen.add(name)
        yield from _subset_name(name)


def _duplicates(hosts: list[str]) -> Iterator[str]:
    for index, host in enumerate(hosts):
        for other in hosts[index + 1 :]:
            if _same(host, other):
                yield f"duplicate hosts in virtual service: {host} & {other}"


def _same(host: str, other: str) -> bool:
    """Equal, or one of them a wildcard that covers the other."""
    short, long = sorted((host, other), key=len)
    if short.startswith("*"):
        return long.removeprefix("*").endswith(short[1:])
    return host == other or (long.startswith("*") and short.endswith(long[1:]))


def _conflicts(route: Spec, *, delegate: bool) -> Iterator[str]:
    """An entry does one thing."""
    name = route.get("name", "")
    if route.get("delegate") and not delegate:
        for part in ("redirect", "route"):
            if route.get(part):
                yield f"root HTTP route {name} must not specify {part}"
        return
    if route.get("delegate"):
        yield "delegate HTTP route cannot contain delegate"
    act = next((one for one in ACTS if route.get(one) is not None), "")
    if act:
        wire = ON_THE_WIRE.get(act, act)
        for part, which in (("route", "route"), ("fault", "route"), ("rewrite", "route rule")):
            if route.get(part):
                yield f"HTTP {which} cannot contain both {part} and {wire}"
        if act == "redirect" and route.get("directResponse") is not None:
            yield "HTTP route rule cannot contain both direct_response and redirect"
    elif not route.get("route"):
        yield "HTTP route, redirect or direct_response is required"


def _destinations(destinations: list[Spec]) -> Iterator[str]:
    total = 0
    for entry in destinations:
        subset, weight = (entry.get("destination") or {}).get("subset"), int(entry.get("weight", 0))
        if subset:
            yield from _subset_name(subset)
        if weight < 0:
            yield f"weight {weight} < 0"
        total += weight
    if len(destinations) > 1 and total == 0:
        yield "total destination weight = 0"


def _subset_name(name: str) -> Iterator[str]:
    if not name:
        yield "subset name cannot be empty"
    elif not SUBSET_NAME.fullmatch(name):
        yield f"subset name is invalid: {name}"
