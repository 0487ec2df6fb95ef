"""The gateway's route table: VirtualServices bound to Gateways that select the ingress gateway.

One listener serves every HTTP server of all those Gateways, whatever port they name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from theseus_ci.sandbox.mesh.translate import hosts
from theseus_ci.sandbox.mesh.translate.matches import is_catch_all
from theseus_ci.sandbox.mesh.translate.routes import Context, virtual_service_routes
from theseus_ci.sandbox.mesh.translate.snapshot import Proxy, Snapshot

Json = dict[str, Any]

BLACK_HOLE: Json = {"name": "blackhole", "domains": ["*"], "routes": []}
"""Envoy answers 404 where no route matches."""


def gateway_virtual_hosts(snapshot: Snapshot, proxy: Proxy) -> list[Json]:
    """One Envoy virtual host per host name; several VirtualServices' routes in order of age.

    A VirtualService that reaches a host through several servers is taken at the first.
    """
    found: dict[str, list[Json]] = {}
    taken: set[tuple[str, str, str]] = set()
    services = snapshot.visible(snapshot.routing, proxy.namespace)
    for name, namespace, server in _servers(snapshot, proxy):
        context = Context(proxy, snapshot.registry, name, server["port"]["number"])
        for service in services:
            common = _common_hosts(service, name, namespace, server)
            routes = virtual_service_routes(service, context) if common else []
            owner = service["metadata"]
            for host in common if routes else []:
                key = (host, owner["namespace"], owner["name"])
                if key not in taken:
                    taken.add(key)
                    found.setdefault(host, []).extend(routes)
    if not found:
        return [BLACK_HOLE]
    return [
        {
            "name": host,
            "domains": [host],
            "routes": sorted(routes, key=lambda route: is_catch_all(route["match"])),
            "include_request_attempt_count": True,
        }
        for host, routes in sorted(found.items())
    ]


def selects(gateway: Json, proxy: Proxy) -> bool:
    """Whether a Gateway is meant for this proxy's pods; an empty selector takes all."""
    selector = (gateway.get("spec") or {}).get("selector") or {}
    return all(proxy.labels.get(name) == value for name, value in selector.items())


def _servers(snapshot: Snapshot, proxy: Proxy) -> Iterator[tuple[str, str, Json]]:
    """(NAMESPACE/NAME, namespace, server), oldest Gateway first."""
    for gateway in snapshot.visible(snapshot.gateways, proxy.namespace):
        if selects(gateway, proxy):
            metadata = gateway["metadata"]
            for server in gateway["spec"].get("servers") or []:
                name = f"{metadata['namespace']}/{metadata['name']}"
                yield name, metadata["namespace"], server


def _common_hosts(service: Json, gateway: str, gateway_namespace: str, server: Json) -> list[str]:
    """The hosts that a VirtualService has at a Gateway's server; none if it is not bound to it."""
    namespace = service["metadata"]["namespace"]
    bound = service["spec"].get("gateways") or ["mesh"]
    if gateway not in [hosts.resolve_gateway(name, namespace) for name in bound]:
        return []
    usable = hosts.gateway_server_hosts(server["hosts"], gateway_namespace, namespace)
    wanted = [hosts.resolve(host, namespace) for host in service["spec"]["hosts"]]
    return [host.lower() for host in hosts.intersection(usable, wanted)]
