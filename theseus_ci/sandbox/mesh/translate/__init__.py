"""Istio's objects translated to Envoy's configuration: pure functions, no input and no output.

`refusals` says which fields of an object the sandbox cannot translate; `translate` turns a
snapshot of the others into what one proxy has to be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from theseus_ci.sandbox.mesh.translate.clusters import Cluster, clusters
from theseus_ci.sandbox.mesh.translate.fields import refusals
from theseus_ci.sandbox.mesh.translate.gateway import gateway_virtual_hosts, selects
from theseus_ci.sandbox.mesh.translate.policies import parse_duration
from theseus_ci.sandbox.mesh.translate.sidecar import sidecar_virtual_hosts
from theseus_ci.sandbox.mesh.translate.snapshot import GATEWAY_PROXY, Proxy, Snapshot

__all__ = [
    "GATEWAY_PROXY",
    "Cluster",
    "Configuration",
    "Proxy",
    "Snapshot",
    "parse_duration",
    "refusals",
    "selects",
    "translate",
]

ROUTE_TABLE = "http"
MAX_DIRECT_RESPONSE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Configuration:
    """What one proxy is told: an Envoy RouteConfiguration, and its clusters by name."""

    routes: dict[str, Any]
    clusters: dict[str, Cluster]


def translate(snapshot: Snapshot, proxy: Proxy) -> Configuration:
    """Translate objects that `refusals` found nothing against."""
    at_gateway = proxy.kind == "gateway"
    virtual_hosts = gateway_virtual_hosts if at_gateway else sidecar_virtual_hosts
    routes = {
        "name": ROUTE_TABLE,
        "virtual_hosts": virtual_hosts(snapshot, proxy),
        # a route to a subset that does not exist answers 503, and hinders no other route
        "validate_clusters": False,
        "ignore_port_in_host_matching": at_gateway,
        "max_direct_response_body_size_bytes": MAX_DIRECT_RESPONSE_BYTES,
    }
    return Configuration(routes, clusters(snapshot, proxy))
