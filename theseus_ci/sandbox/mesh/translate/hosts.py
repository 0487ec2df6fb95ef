"""Host names as Istio compares them: short names, wildcards, gateway names.

A wildcard host is "*" or begins with "*."; comparisons are on strings, as in Istio, so that
"*.com" covers "*.example.com" and "shop.example.com".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache

DOMAIN = "cluster.local"


def is_wildcard(host: str) -> bool:
    return host.startswith("*")


def subset_of(host: str, other: str) -> bool:
    """Whether every name that `host` covers is covered by `other`."""
    if not is_wildcard(other):
        return host == other
    if is_wildcard(host):
        return len(host) >= len(other) and host[1:].endswith(other[1:])
    return host.endswith(other[1:])


def matches(host: str, other: str) -> bool:
    """Whether the two cover a name in common."""
    return subset_of(host, other) or subset_of(other, host)


def intersection(hosts: Iterable[str], others: Sequence[str]) -> list[str]:
    """What both cover, in the order of `hosts`: always the narrower name of a pair."""
    common: dict[str, None] = {}
    for host in hosts:
        for other in others:
            if subset_of(host, other):
                common[host] = None
            elif subset_of(other, host):
                common[other] = None
    return list(common)


def most_specific(host: str, candidates: Iterable[str]) -> str | None:
    """The candidate that equals `host`, else the longest wildcard among them that covers it."""
    wildcards = []
    for candidate in candidates:
        if candidate == host:
            return candidate
        if is_wildcard(candidate) and subset_of(host, candidate):
            wildcards.append(candidate)
    return min(wildcards, key=lambda name: (-len(name), name), default=None)


def service_host(name: str, namespace: str) -> str:
    return f"{name}.{namespace}.svc.{DOMAIN}"


@lru_cache(maxsize=10_000)
def resolve(host: str, namespace: str) -> str:
    """A name without a dot is a service in the object's own namespace; others stay as written."""
    if not host or host == "*" or "." in host or _is_address(host):
        return host
    return service_host(host, namespace)


def resolve_gateway(name: str, namespace: str) -> str:
    """NAMESPACE/NAME of a gateway as a VirtualService refers to it; "mesh" stays."""
    if name == "mesh":
        return name
    if "/" in name:
        owner, _, rest = name.partition("/")
        return f"{namespace if owner == '.' else owner}/{rest}"
    if "." in name:  # the old form NAME.NAMESPACE.svc.cluster.local
        short, owner = name.split(".")[:2]
        return f"{owner}/{short}"
    return f"{namespace}/{name}"


def gateway_server_hosts(hosts: Iterable[str], gateway_namespace: str, namespace: str) -> list[str]:
    """The hosts of a Gateway's server that VirtualServices of `namespace` may use."""
    usable = []
    for entry in hosts:
        owner, slash, host = entry.rpartition("/")
        owner = gateway_namespace if owner == "." else owner
        if not slash or owner in ("*", namespace):
            usable.append(host)
    return usable


def service_domains(name: str, namespace: str, client_namespace: str) -> list[str]:
    """Every name by which a client in `client_namespace` can call a service, without addresses."""
    full = service_host(name, namespace)
    short = [name] if namespace == client_namespace else []
    return [full, f"{full}.", *short, f"{name}.{namespace}.svc", f"{name}.{namespace}"]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
