"""Envoy clusters: one per service port, and one per subset of a DestinationRule."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from theseus_ci.sandbox import network
from theseus_ci.sandbox.mesh.translate import hosts
from theseus_ci.sandbox.mesh.translate.policies import envoy_duration
from theseus_ci.sandbox.mesh.translate.routes import cluster_name
from theseus_ci.sandbox.mesh.translate.snapshot import (
    ROOT_NAMESPACE,
    Endpoint,
    Port,
    Proxy,
    Service,
    Snapshot,
)

log = logging.getLogger(__name__)

Json = dict[str, Any]

CONNECT_TIMEOUT = "10s"
UNLIMITED = 2**32 - 1
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
LB_POLICIES = {
    "LEAST_CONN": "LEAST_REQUEST",
    "RANDOM": "RANDOM",
    "ROUND_ROBIN": "ROUND_ROBIN",
}
POLICY_PARTS = ("connectionPool", "outlierDetection", "loadBalancer", "tls")


@dataclass(frozen=True)
class Cluster:
    """A cluster without the source of its endpoints, and the (address, port) pairs to serve it."""

    config: Json
    endpoints: tuple[tuple[str, int], ...]


def clusters(snapshot: Snapshot, proxy: Proxy) -> dict[str, Cluster]:
    """All clusters by name. Endpoints are folded to where they really listen."""
    rules = _Rules(snapshot, proxy)
    out: dict[str, Cluster] = {}
    for service in snapshot.registry.values():
        rule = rules.of(service)
        for port in service.ports:
            if port.protocol == "udp":
                continue
            endpoints = snapshot.endpoints.get((service.host, port.name), [])
            name = cluster_name(service.host, port.number)
            policy = _for_port(rule.policy, port)[0]
            out[name] = Cluster(_config(name, port, policy), _served(endpoints))
            for subset in rule.subsets:
                name = cluster_name(service.host, port.number, subset["name"])
                merged = _subset_policy(policy, subset.get("trafficPolicy"), port)
                members = _labelled(endpoints, subset.get("labels") or {})
                out[name] = Cluster(_config(name, port, merged), _served(members))
    return out


@dataclass(frozen=True)
class _Rule:
    """DestinationRules of one host in one namespace, merged."""

    policy: Json | None
    subsets: tuple[Json, ...]


class _Rules:
    """Which DestinationRule counts for a service, as one proxy sees it.

    The client's own namespace comes first, then the service's, then the mesh's root; in each the
    rule with the most specific host. Rules of one host add up: all subsets, the oldest's policy.
    """

    def __init__(self, snapshot: Snapshot, proxy: Proxy) -> None:
        self._proxy = proxy
        visible = snapshot.visible(snapshot.destination_rules, proxy.namespace)
        self._by_namespace: dict[str, dict[str, list[Json]]] = {}
        for rule in visible:
            namespace = rule["metadata"]["namespace"]
            host = hosts.resolve(rule["spec"]["host"], namespace)
            self._by_namespace.setdefault(namespace, {}).setdefault(host, []).append(rule["spec"])

    def of(self, service: Service) -> _Rule:
        namespaces = [service.namespace, ROOT_NAMESPACE]
        if self._proxy.namespace != ROOT_NAMESPACE:
            namespaces.insert(0, self._proxy.namespace)
        for namespace in namespaces:
            here = self._by_namespace.get(namespace, {})
            host = hosts.most_specific(service.host, here)
            if host is not None:
                return _merge(here[host])
        return _Rule(None, ())


def _merge(specs: Iterable[Json]) -> _Rule:
    policy: Json | None = None
    subsets: dict[str, Json] = {}
    for spec in specs:
        policy = policy if policy is not None else spec.get("trafficPolicy")
        for subset in spec.get("subsets") or []:
            subsets.setdefault(subset["name"], subset)
    return _Rule(policy, tuple(subsets.values()))


def _for_port(policy: Json | None, port: Port) -> tuple[Json | None, bool]:
    """(the policy for a port, whether it is one of its own): it replaces the rest as a whole."""
    for setting in (policy or {}).get("portLevelSettings") or []:
        if (setting.get("port") or {}).get("number") == port.number:
            return {part: setting.get(part) for part in POLICY_PARTS}, True
    return policy, False


def _subset_policy(policy: Json | None, subset: Json | None, port: Port) -> Json | None:
    if subset is None:
        return policy
    own, port_level = _for_port(subset, port)
    if policy is None or own is None:
        return own
    merged = {part: policy.get(part) for part in POLICY_PARTS}
    for part in POLICY_PARTS:
        if own.get(part) is not None or port_level:
            merged[part] = own.get(part)
    return merged


def _labelled(endpoints: Iterable[Endpoint], labels: Mapping[str, str]) -> Iterator[Endpoint]:
    for endpoint in endpoints:
        if all(endpoint.labels.get(name) == value for name, value in labels.items()):
            yield endpoint


def _served(endpoints: Iterable[Endpoint]) -> tuple[tuple[str, int], ...]:
    found = (_folded(endpoint.address, endpoint.port) for endpoint in endpoints)
    return tuple(address for address in found if address is not None)


@lru_cache(maxsize=10_000)
def _folded(address: str, port: int) -> tuple[str, int] | None:
    """Where a pod's port is really served; None outside the sandbox, where nothing may go."""
    host, number = network.fold(address, port)
    if ipaddress.ip_address(host).is_loopback:
        return host, number
    log.warning("endpoint %s:%d is outside the sandbox: left out", address, port)
    return None


def _config(name: str, port: Port, policy: Json | None) -> Json:
    policy = policy or {}
    pool = policy.get("connectionPool") or {}
    tcp, http = pool.get("tcp") or {}, pool.get("http") or {}
    config: Json = {
        "name": name,
        "type": "EDS",
        "connect_timeout": envoy_duration(tcp.get("connectTimeout") or CONNECT_TIMEOUT),
        "lb_policy": LB_POLICIES.get(
            (policy.get("loadBalancer") or {}).get("simple", ""), "LEAST_REQUEST"
        ),
        "common_lb_config": {},
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": tcp.get("maxConnections") or UNLIMITED,
                    "max_pending_requests": http.get("http1MaxPendingRequests") or UNLIMITED,
                    "max_requests": http.get("http2MaxRequests") or UNLIMITED,
                    "max_retries": http.get("maxRetries") or UNLIMITED,
                }
            ]
        },
    }
    if options := _protocol_options(port, tcp, http):
        config["typed_extension_protocol_options"] = {HTTP_OPTIONS: options}
    if (outliers := policy.get("outlierDetection")) is not None:
        config["outlier_detection"] = _outlier_detection(outliers)
        # Envoy would send to ejected endpoints once fewer than half are left
        threshold = outliers.get("minHealthPercent") or 0
        config["common_lb_config"] = {"healthy_panic_threshold": {"value": threshold}}
    return config


def _protocol_options(port: Port, tcp: Json, http: Json) -> Json:
    common: Json = {}
    idle = http.get("idleTimeout") or tcp.get("idleTimeout")
    if idle:
        common["idle_timeout"] = envoy_duration(idle)
    if http.get("maxRequestsPerConnection"):
        common["max_requests_per_connection"] = http["maxRequestsPerConnection"]
    if tcp.get("maxConnectionDuration"):
        common["max_connection_duration"] = envoy_duration(tcp["maxConnectionDuration"])
    if not common and not port.http2:
        return {}
    protocol = "http2_protocol_options" if port.http2 else "http_protocol_options"
    return {
        "@type": f"type.googleapis.com/{HTTP_OPTIONS}",
        "common_http_protocol_options": common,
        "explicit_http_config": {protocol: {}},
    }


def _outlier_detection(outliers: Json) -> Json:
    out: Json = {"enforcing_success_rate": 0}
    counts = {
        "consecutive5xxErrors": ("consecutive_5xx", "enforcing_consecutive_5xx"),
        "consecutiveGatewayErrors": (
            "consecutive_gateway_failure",
            "enforcing_consecutive_gateway_failure",
        ),
    }
    for field, (count, enforcing) in counts.items():
        value = outliers.get(field)
        if value is not None:
            out[count] = value
            out[enforcing] = 100 if value else 0
    for field, target in (("interval", "interval"), ("baseEjectionTime", "base_ejection_time")):
        if outliers.get(field):
            out[target] = envoy_duration(outliers[field])
    if outliers.get("maxEjectionPercent"):
        out["max_ejection_percent"] = outliers["maxEjectionPercent"]
    if outliers.get("splitExternalLocalOriginErrors"):
        out["split_external_local_origin_errors"] = True
        out["enforcing_local_origin_success_rate"] = 0
        if outliers.get("consecutiveLocalOriginFailures"):
            out["consecutive_local_origin_failure"] = outliers["consecutiveLocalOriginFailures"]
            out["enforcing_consecutive_local_origin_failure"] = 100
    return out
