"""A client sidecar's route table: VirtualServices bound to the mesh, and every service without one.

A real sidecar has a listener per service port. Here one listener takes all of them, so the port
is in the host name: `reviews:9080` is exactly the route table of port 9080, and `reviews` alone
stands for the service's port 80, or else its first HTTP port.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from theseus_ci.sandbox.mesh.translate import hosts
from theseus_ci.sandbox.mesh.translate.routes import (
    Context,
    cluster_name,
    default_route,
    virtual_service_routes,
)
from theseus_ci.sandbox.mesh.translate.snapshot import Port, Proxy, Service, Snapshot

Json = dict[str, Any]

HTTP_PORT = 80
"""Where Istio also serves VirtualService hosts that are no service of the cluster."""

UNKNOWN_HOST: Json = {
    "name": "block_all",
    "domains": ["*"],
    "routes": [{"name": "block_all", "match": {"prefix": "/"}, "direct_response": {"status": 502}}],
}
"""Istio's answer under outbound policy REGISTRY_ONLY: nothing ever leaves the sandbox."""


class _Table:
    """Virtual hosts under construction; a domain belongs to the first that claims it."""

    def __init__(self) -> None:
        self.virtual_hosts: dict[str, Json] = {}
        self._domains: set[str] = set()

    def add(self, name: str, domains: Iterable[str], routes: list[Json]) -> None:
        if name in self.virtual_hosts:
            return
        fresh = []
        for domain in (domain.lower() for domain in domains):
            if domain not in self._domains:
                self._domains.add(domain)
                fresh.append(domain)
        if fresh:
            self.virtual_hosts[name] = {
                "name": name,
                "domains": fresh,
                "routes": routes,
                "include_request_attempt_count": True,
            }

    def finish(self) -> list[Json]:
        out = [self.virtual_hosts[name] for name in sorted(self.virtual_hosts)]
        return out if "*" in self._domains else [*out, UNKNOWN_HOST]


def sidecar_virtual_hosts(snapshot: Snapshot, proxy: Proxy) -> list[Json]:
    """Envoy virtual hosts for all services and mesh-bound VirtualServices that `proxy` sees."""
    bound = [
        service
        for service in snapshot.visible(snapshot.routing, proxy.namespace)
        if "mesh" in (service["spec"].get("gateways") or ["mesh"])
    ]
    registry = snapshot.registry
    numbers = {port.number for service in registry.values() for port in service.ports if port.http}
    owners = _wildcard_owners(bound, registry)
    table = _Table()
    for number in sorted(numbers | {HTTP_PORT}, key=lambda each: (each != HTTP_PORT, each)):
        _add_port(table, bound, owners, Context(proxy, registry, "mesh", number))
    return table.finish()


def _add_port(
    table: _Table,
    bound: list[Json],
    owners: Mapping[str, Json],
    context: Context,
) -> None:
    """What a real sidecar's listener of one port would hold."""
    number, registry, proxy = context.port, context.services, context.proxy
    here = {
        host: service
        for host, service in registry.items()
        if any(port.number == number and port.http for port in service.ports)
    }
    routed: set[str] = set()
    for virtual_service in bound:
        services, others = _split_hosts(virtual_service, here, registry, owners)
        if not services and (number != HTTP_PORT or not others):
            continue
        routes = virtual_service_routes(virtual_service, context)
        if not routes:
            continue
        for host in others if number == HTTP_PORT else []:
            # ":80" on a wildcard would be a suffix of its own; the plain name is what clients send
            names = [host] if hosts.is_wildcard(host) else [host, f"{host}:{number}"]
            table.add(f"{host}:{number}", names, routes)
        for service in services:
            routed.add(service.host)
            table.add(f"{service.host}:{number}", _domains(service, number, proxy), routes)
    for host, service in here.items():
        if host not in routed:
            route = default_route(cluster_name(host, number))
            table.add(f"{host}:{number}", _domains(service, number, proxy), [route])


def _split_hosts(
    virtual_service: Json,
    here: Mapping[str, Service],
    registry: Mapping[str, Service],
    owners: Mapping[str, Json],
) -> tuple[list[Service], list[str]]:
    """(services of this port that a VirtualService rules, its hosts that are no services)."""
    services: list[Service] = []
    others: list[str] = []
    namespace = virtual_service["metadata"]["namespace"]
    for given in virtual_service["spec"]["hosts"]:
        host = hosts.resolve(given, namespace).lower()
        if not hosts.is_wildcard(host):
            if host in here:
                services.append(here[host])
            elif host not in registry:
                others.append(host)
            continue
        covered = [name for name in registry if hosts.subset_of(name, host)]
        services += [
            here[name] for name in covered if name in here and owners.get(name) is virtual_service
        ]
        if not covered:
            others.append(host)
    return services, others


def _wildcard_owners(bound: list[Json], registry: Mapping[str, Service]) -> dict[str, Json]:
    """For each service host the VirtualService with the most specific host for it."""
    claims: dict[str, Json] = {}
    for virtual_service in bound:
        namespace = virtual_service["metadata"]["namespace"]
        for host in virtual_service["spec"]["hosts"]:
            claims.setdefault(hosts.resolve(host, namespace).lower(), virtual_service)
    if not any(hosts.is_wildcard(host) for host in claims):
        return {}
    owners = {}
    for name in registry:
        claim = hosts.most_specific(name, claims)
        if claim is not None:
            owners[name] = claims[claim]
    return owners


def _domains(service: Service, number: int, proxy: Proxy) -> list[str]:
    names = hosts.service_domains(service.name, service.namespace, proxy.namespace)
    names += [f"[{each}]" if ":" in each else each for each in service.addresses]
    with_port = [f"{name}:{number}" for name in names]
    return names + with_port if _main_port(service.ports) == number else with_port


def _main_port(ports: tuple[Port, ...]) -> int | None:
    numbers = [port.number for port in ports if port.http]
    return HTTP_PORT if HTTP_PORT in numbers else next(iter(numbers), None)
