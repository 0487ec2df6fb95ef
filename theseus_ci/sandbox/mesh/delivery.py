"""Telling one Envoy a configuration, in Istio's order, and knowing that it has it.

First the clusters (those no longer wanted go now, while routes may still name them: that is how a
real mesh loses requests when subset and route are removed together), then their endpoints, then,
once Envoy's own admin interface shows all that, the routes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Any

import aiohttp

from theseus_ci.sandbox.mesh.bootstrap import (
    API,
    CLUSTERS_SUBSCRIPTION,
    LISTENERS_SUBSCRIPTION,
    ROUTES_SUBSCRIPTION,
    endpoint_source,
)
from theseus_ci.sandbox.mesh.endpoints import Addresses, EndpointServer
from theseus_ci.sandbox.mesh.envoy import Envoy, MeshError
from theseus_ci.sandbox.mesh.translate import Configuration
from theseus_ci.sandbox.mesh.watched_file import POLL_SECONDS, WatchedFile

Json = dict[str, Any]

log = logging.getLogger(__name__)

ENDPOINT_SECONDS = 10.0
ROUTE_TYPE = f"{API}.config.route.v3.RouteConfiguration"
CLUSTER_TYPE = f"{API}.config.cluster.v3.Cluster"


class Delivery:
    """One Envoy's configuration; one `push` at a time."""

    def __init__(
        self, envoy: Envoy, endpoints: EndpointServer, session: aiohttp.ClientSession
    ) -> None:
        files = envoy.files
        self._envoy = envoy
        self._endpoints = endpoints
        self._session = session
        self._listener_file = WatchedFile(files.listeners, LISTENERS_SUBSCRIPTION, envoy, session)
        self._cluster_file = WatchedFile(files.clusters, CLUSTERS_SUBSCRIPTION, envoy, session)
        self._route_file = WatchedFile(files.routes, ROUTES_SUBSCRIPTION, envoy, session)
        self._clusters: dict[str, Json] | None = None
        self._addresses: dict[str, Addresses] = {}
        self._routes: Json | None = None

    def prepare(self, empty: Configuration, listener: Json) -> None:
        """Leave a first configuration, without clusters, for an Envoy about to start."""
        self._envoy.files.prepare()
        self._cluster_file.write([])
        self._route_file.write([{"@type": ROUTE_TYPE, **empty.routes}])
        self._listener_file.write([listener])

    async def confirm_start(self) -> str | None:
        """Wait until what `prepare` left is in force; returns Envoy's reason if it refuses."""
        for file in (self._cluster_file, self._listener_file, self._route_file):
            if reason := await file.verdict():
                return reason
        return None

    async def push(self, wanted: Configuration) -> str | None:
        """Deliver what differs; returns Envoy's reason if it refuses.

        Refused routes leave the previous ones in force. Raises MeshError when Envoy does not say
        in time what it made of it: the files are in place all the same.
        """
        addresses = {name: each.endpoints for name, each in wanted.clusters.items()}
        configs = {name: each.config for name, each in wanted.clusters.items()}
        new = {name for name in addresses if self._addresses.get(name) != addresses[name]}
        gone = self._addresses.keys() - addresses.keys()
        self._addresses = addresses
        self._endpoints.set(addresses)
        if configs != self._clusters:
            known = self._clusters or {}
            new |= {name for name in configs if known.get(name) != configs[name]}
            self._clusters = None  # until Envoy took all of them, the next push must send all again
            if reason := await self._cluster_file.update(_cluster_resources(configs)):
                return reason
            self._clusters = configs
            self._endpoints.forget(gone)
        await self._until_known({name: addresses[name] for name in new})
        if wanted.routes == self._routes:
            return None
        self._routes = None
        if reason := await self._route_file.update([{"@type": ROUTE_TYPE, **wanted.routes}]):
            return reason
        self._routes = wanted.routes
        return None

    async def _until_known(self, wanted: dict[str, Addresses]) -> None:
        """Wait until Envoy has these clusters, with exactly these endpoints.

        After ENDPOINT_SECONDS it goes on without them, as a control plane does that never asks:
        one cluster that Envoy is slow to take must not hold up every later change.
        """
        deadline = time.monotonic() + ENDPOINT_SECONDS
        pause, longest = POLL_SECONDS
        missing = set(wanted)
        problem = ""
        while missing:
            try:
                known = _known_endpoints(
                    await self._envoy.fetch(self._session, "/clusters?format=json")
                )
                missing = {name for name in missing if known.get(name) != set(wanted[name])}
            except MeshError as error:
                problem = f": {error}"
            if missing:
                if time.monotonic() > deadline:
                    names = ", ".join(sorted(missing))
                    log.warning(
                        "%s: Envoy lacks endpoints of %s%s", self._envoy.name, names, problem
                    )
                    return
                await asyncio.sleep(pause)
                pause = min(longest, pause * 1.5)


def _cluster_resources(configs: dict[str, Json]) -> list[Json]:
    source = {"eds_config": endpoint_source()}
    return [
        {"@type": CLUSTER_TYPE, **config, "eds_cluster_config": source}
        for config in configs.values()
    ]


def _known_endpoints(clusters: Json) -> dict[str, set[tuple[str, int]]]:
    found: dict[str, set[tuple[str, int]]] = {}
    for cluster in clusters.get("cluster_statuses") or []:
        found[cluster["name"]] = set(_addresses(cluster.get("host_statuses") or []))
    return found


def _addresses(hosts: Iterable[Json]) -> Iterable[tuple[str, int]]:
    for host in hosts:
        address = host["address"]["socket_address"]
        yield address["address"], address["port_value"]
