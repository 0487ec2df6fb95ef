"""Envoy's source of endpoints: REST discovery, answered when there is something new to say.

Each cluster of an Envoy asks with one request, which names the version it has, and waits. The
answer comes when the version differs: at once for a new cluster, else with the next change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from aiohttp import web

Json = dict[str, Any]
Addresses = tuple[tuple[str, int], ...]

TYPE = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


class EndpointServer:
    """Holds the endpoints of one proxy's clusters and hands them out on loopback."""

    def __init__(self) -> None:
        self._assignments: dict[str, tuple[int, Addresses]] = {}
        self._versions = 0
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/v3/discovery:endpoints", self._discover)
        # a cluster that Envoy drops closes its connection: its request must not wait on
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, backlog=1024, shutdown_timeout=0)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def set(self, assignments: Mapping[str, Addresses]) -> None:
        """Make these the endpoints, and answer the clusters for which that is news."""
        for name, addresses in assignments.items():
            known = self._assignments.get(name)
            if known is None or known[1] != addresses:
                self._versions += 1
                self._assignments[name] = (self._versions, addresses)
                self._wake(name)

    def forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._assignments.pop(name, None)

    async def _discover(self, request: web.Request) -> web.Response:
        name, has = await _asked(request)
        while (known := self._assignments.get(name)) is None or str(known[0]) == has:
            await self._news(name)
        version, addresses = known
        body = {
            "version_info": str(version),
            "type_url": TYPE,
            "resources": [{"@type": TYPE, **_assignment(name, addresses)}],
        }
        return web.json_response(body)

    async def _news(self, name: str) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(name, [])
        waiting.append(future)
        try:
            await future
        finally:
            waiting.remove(future)
            if not waiting:
                self._waiting.pop(name, None)

    def _wake(self, name: str) -> None:
        for future in self._waiting.get(name, []):
            if not future.done():
                future.set_result(None)


class _Request(msgspec.Struct):
    """What counts of a discovery request: Envoy describes itself at length in the rest."""

    resource_names: list[str]
    version_info: str = ""


async def _asked(request: web.Request) -> tuple[str, str]:
    """(cluster, version it has), keeping nothing of the body, which is some 100 kB, in memory."""
    try:
        asked = msgspec.json.decode(await request.content.read(), type=_Request)
        return asked.resource_names[0], asked.version_info
    except (msgspec.DecodeError, IndexError) as error:
        raise web.HTTPBadRequest(text=str(error)) from error


def _assignment(name: str, addresses: Addresses) -> Json:
    endpoints = [
        {
            "endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}},
            "load_balancing_weight": 1,
        }
        for host, port in addresses
    ]
    localities = [{"lb_endpoints": endpoints}] if endpoints else []
    return {"cluster_name": name, "endpoints": localities}
