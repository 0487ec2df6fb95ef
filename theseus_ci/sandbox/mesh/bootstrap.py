"""What an Envoy is started with, and its one listener; everything else it learns while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from theseus_ci.sandbox.mesh.translate import ROUTE_TABLE, Proxy

Json = dict[str, Any]

LOOPBACK = "127.0.0.1"
ENDPOINT_SOURCE = "sandbox-endpoints"
STAT_PREFIX = "sandbox"
API = "type.googleapis.com/envoy"
LONG_POLL_SECONDS = 86_400

ROUTES_SUBSCRIPTION = f"http.{STAT_PREFIX}.rds.{ROUTE_TABLE}"
CLUSTERS_SUBSCRIPTION = "cluster_manager.cds"
LISTENERS_SUBSCRIPTION = "listener_manager.lds"
"""Under these names Envoy counts what became of each file it was given."""


@dataclass(frozen=True)
class Files:
    """Where one proxy's files are; each of the three that Envoy watches in a folder of its own."""

    directory: Path

    @property
    def listeners(self) -> Path:
        return self.directory / "listeners" / "listeners.json"

    @property
    def clusters(self) -> Path:
        return self.directory / "clusters" / "clusters.json"

    @property
    def routes(self) -> Path:
        return self.directory / "routes" / "routes.json"

    @property
    def bootstrap(self) -> Path:
        return self.directory / "bootstrap.json"

    @property
    def admin_address(self) -> Path:
        return self.directory / "admin-address"

    @property
    def log(self) -> Path:
        return self.directory / "envoy.log"

    @property
    def access_log(self) -> Path:
        return self.directory / "access.log"

    def prepare(self) -> None:
        for watched in (self.listeners, self.clusters, self.routes):
            watched.parent.mkdir(parents=True, exist_ok=True)


def bootstrap(files: Files, admin_port: int, endpoints_port: int) -> Json:
    """Envoy's static configuration; an admin port of 0 lets the kernel choose."""
    return {
        "admin": {"address": _address(admin_port)},
        "dynamic_resources": {
            "lds_config": _file_source(files.listeners),
            "cds_config": _file_source(files.clusters),
        },
        "static_resources": {
            "clusters": [
                {
                    "name": ENDPOINT_SOURCE,
                    "type": "STATIC",
                    "connect_timeout": "5s",
                    # each cluster waits for its endpoints on a connection of its own
                    "circuit_breakers": {
                        "thresholds": [
                            {
                                "max_connections": 100_000,
                                "max_pending_requests": 100_000,
                                "max_requests": 100_000,
                            }
                        ]
                    },
                    "load_assignment": {
                        "cluster_name": ENDPOINT_SOURCE,
                        "endpoints": [
                            {"lb_endpoints": [{"endpoint": {"address": _address(endpoints_port)}}]}
                        ],
                    },
                }
            ]
        },
        "layered_runtime": {
            "layers": [
                {
                    "name": "sandbox",
                    "static_layer": {"re2.max_program_size.error_level": 32768},
                }
            ]
        },
    }


def endpoint_source() -> Json:
    """Where a cluster asks for its endpoints.

    Not a file: Envoy spends an inotify instance on every file of every cluster, and an ordinary
    user has 128 of them; with the 129th Envoy aborts.
    """
    return {
        "resource_api_version": "V3",
        "initial_fetch_timeout": "0s",
        "api_config_source": {
            "api_type": "REST",
            "transport_api_version": "V3",
            "cluster_names": [ENDPOINT_SOURCE],
            "refresh_delay": "0.002s",
            "request_timeout": f"{LONG_POLL_SECONDS}s",
        },
    }


def listener(proxy: Proxy, port: int, files: Files, *, access_log: bool) -> Json:
    """The proxy's HTTP listener on loopback, set up as Istio sets up that kind of proxy."""
    manager: Json = {
        "@type": f"{API}.extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "stat_prefix": STAT_PREFIX,
        "codec_type": "AUTO",
        "server_name": "istio-envoy" if proxy.kind == "gateway" else "envoy",
        "use_remote_address": proxy.kind == "gateway",
        "normalize_path": True,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "stream_idle_timeout": "0s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "rds": {"route_config_name": ROUTE_TABLE, "config_source": _file_source(files.routes)},
        "http_filters": [
            _filter("fault", "fault.v3.HTTPFault"),
            _filter("cors", "cors.v3.Cors"),
            _filter("router", "router.v3.Router"),
        ],
    }
    if access_log:
        manager["access_log"] = [
            {
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": f"{API}.extensions.access_loggers.file.v3.FileAccessLog",
                    "path": str(files.access_log),
                },
            }
        ]
    return {
        "@type": f"{API}.config.listener.v3.Listener",
        "name": proxy.kind,
        "address": _address(port),
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }


def _filter(name: str, type_name: str) -> Json:
    return {
        "name": f"envoy.filters.http.{name}",
        "typed_config": {"@type": f"{API}.extensions.filters.http.{type_name}"},
    }


def _address(port: int) -> Json:
    return {"socket_address": {"address": LOOPBACK, "port_value": port}}


def _file_source(path: Path) -> Json:
    return {
        "resource_api_version": "V3",
        "initial_fetch_timeout": "0s",
        "path_config_source": {
            "path": str(path),
            "watched_directory": {"path": str(path.parent)},
        },
    }
