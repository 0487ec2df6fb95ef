"""The mesh as a whole: watches, two proxies, and the file that tells where they are."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from theseus_ci.sandbox.client import ApiClient, Informer
from theseus_ci.sandbox.mesh.bootstrap import LOOPBACK, Files, bootstrap, listener
from theseus_ci.sandbox.mesh.delivery import Delivery
from theseus_ci.sandbox.mesh.endpoints import EndpointServer
from theseus_ci.sandbox.mesh.envoy import POLL_SECONDS, Envoy, MeshError, reserve_port
from theseus_ci.sandbox.mesh.events import EventRecorder
from theseus_ci.sandbox.mesh.intake import PATHS, Intake
from theseus_ci.sandbox.mesh.pipeline import Change, Pipeline
from theseus_ci.sandbox.mesh.translate import (
    GATEWAY_PROXY,
    Proxy,
    Snapshot,
    parse_duration,
    translate,
)

log = logging.getLogger(__name__)

Object = dict[str, Any]

SETTINGS_NAMESPACE, SETTINGS_NAME = "istio-system", "sandbox-mesh"
SETTINGS_PATH = f"/api/v1/namespaces/{SETTINGS_NAMESPACE}/configmaps"
ADDRESS_FILE = "mesh.json"
LISTEN_SECONDS = 30.0


@dataclass(frozen=True)
class ProxyOptions:
    port: int
    delay: float
    """Seconds from an event to its effect."""


@dataclass(frozen=True)
class Options:
    directory: Path
    gateway: ProxyOptions
    sidecar: ProxyOptions
    client_namespace: str = "default"
    client_labels: Mapping[str, str] | None = None
    concurrency: int = 2
    access_log: bool = False


@dataclass(frozen=True)
class RunningProxy:
    """One proxy of the mesh and everything that serves it."""

    kind: str
    port: int
    envoy: Envoy
    endpoints: EndpointServer
    delivery: Delivery
    pipeline: Pipeline
    held: socket.socket


class Mesh:
    """Gateway and sidecar, following the API server behind `client`; see `run`."""

    def __init__(self, options: Options, client: ApiClient, session: aiohttp.ClientSession) -> None:
        self._options = options
        self._client = client
        self._session = session
        self._events = EventRecorder(client)
        self._objects: dict[str, Informer] = {}
        self._proxies: list[RunningProxy] = []
        self._ready = False

    async def run(self) -> None:
        """Serve until cancelled. Raises MeshError when it cannot be started."""
        address_file = self._options.directory / ADDRESS_FILE
        address_file.unlink(missing_ok=True)
        background = Background()
        background.start(self._serve(background))
        try:
            await background.failed()
        finally:
            address_file.unlink(missing_ok=True)
            await background.cancel()
            for proxy in self._proxies:
                await proxy.endpoints.stop()
                proxy.held.close()

    async def _serve(self, background: Background) -> None:
        await self._start_proxies(background)
        await self._follow(background)
        for proxy in self._proxies:
            await _confirm(proxy)
        await asyncio.gather(*(proxy.pipeline.start() for proxy in self._proxies))
        self._ready = True
        self._publish()
        await asyncio.gather(*(proxy.pipeline.run() for proxy in self._proxies))

    async def _start_proxies(self, background: Background) -> None:
        options = self._options
        sidecar = Proxy("sidecar", options.client_namespace, options.client_labels or {})
        for proxy, settings in ((GATEWAY_PROXY, options.gateway), (sidecar, options.sidecar)):
            running = await self._prepare(proxy, settings)
            self._proxies.append(running)
            background.start(running.envoy.run(self._session))

    async def _prepare(self, proxy: Proxy, settings: ProxyOptions) -> RunningProxy:
        """Everything up to the start of the Envoy."""
        held = reserve_port(settings.port)
        port = int(held.getsockname()[1])
        files = Files(self._options.directory.absolute() / proxy.kind)
        endpoints = EndpointServer()
        await endpoints.start()
        envoy = Envoy(
            proxy.kind,
            files,
            configure=partial(bootstrap, files, endpoints_port=endpoints.port),
            concurrency=self._options.concurrency,
            on_start=self._publish,
        )
        delivery = Delivery(envoy, endpoints, self._session)
        delivery.prepare(
            translate(Snapshot(), proxy),
            listener(proxy, port, files, access_log=self._options.access_log),
        )
        pipeline = Pipeline(
            proxy, delivery, files, delay=settings.delay, refused=partial(self._refused, proxy)
        )
        return RunningProxy(proxy.kind, port, envoy, endpoints, delivery, pipeline, held)

    async def _follow(self, background: Background) -> None:
        """Begin to watch; returns when everything that exists was submitted to the pipelines."""
        intake = Intake(self._submit, self._events)
        settings = Informer(self._client, SETTINGS_PATH)
        self._objects = {kind: Informer(self._client, path) for kind, path in PATHS.items()}
        background.start(self._events.run())
        for informer in (settings, *self._objects.values()):
            background.start(informer.run())
        for informer in (settings, *self._objects.values()):
            await informer.synced()
        settings.on_change(self._take_settings)
        for kind, informer in self._objects.items():
            informer.on_change(partial(intake.take, kind))

    def _submit(self, change: Change) -> None:
        for proxy in self._proxies:
            proxy.pipeline.submit(change)

    def _refused(self, proxy: Proxy, change: Change, reason: str) -> None:
        """An Envoy does not accept what an object was translated to."""
        obj = self._objects[change.kind].objects.get(change.key)
        message = f"the {proxy.kind}'s Envoy refuses it: {reason}"
        if obj is None:  # gone since, or its removal was refused
            log.error("%s %s/%s: %s", change.kind, *change.key, message)
        else:
            self._events.warn(obj, "RejectedByEnvoy", message)

    def _take_settings(self, event: str, obj: Object) -> None:
        """The ConfigMap's delays, or the command line's where it has none."""
        if obj["metadata"]["name"] != SETTINGS_NAME:
            return
        data = {} if event == "DELETED" else obj.get("data") or {}
        options = {"gateway": self._options.gateway, "sidecar": self._options.sidecar}
        for proxy in self._proxies:
            key = f"{proxy.kind}Delay"
            delay = options[proxy.kind].delay
            if key in data:
                try:
                    delay = parse_duration(data[key])
                except ValueError as error:
                    self._events.warn(obj, "InvalidSetting", f"data.{key}: {error}")
            proxy.pipeline.delay = delay

    def _publish(self) -> None:
        """Tell where the proxies are, once they serve; again when an admin port has changed."""
        if not self._ready:
            return
        content = {}
        for proxy in self._proxies:
            content[proxy.kind] = f"http://{LOOPBACK}:{proxy.port}"
            content[f"{proxy.kind}Admin"] = proxy.envoy.admin
        target = self._options.directory / ADDRESS_FILE
        fresh = target.with_suffix(".new")
        fresh.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        fresh.replace(target)


async def _confirm(proxy: RunningProxy) -> None:
    """Wait until the proxy accepts connections; raises MeshError when it will not."""
    if reason := await proxy.delivery.confirm_start():
        raise MeshError(f"{proxy.kind}: Envoy refuses to start: {reason}")
    deadline = time.monotonic() + LISTEN_SECONDS
    while True:  # Envoy opens the listener only after it has the routes
        try:
            _, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
        except OSError as error:
            if time.monotonic() > deadline:
                raise MeshError(f"{proxy.kind}: Envoy does not listen: {error}") from error
            await asyncio.sleep(POLL_SECONDS)
        else:
            writer.close()
            await writer.wait_closed()
            return


class Background:
    """Tasks that belong together: when one fails, whoever waits in `failed` hears of it."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    async def failed(self) -> None:
        """Wait for the first task to end, and raise what ended it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def cancel(self) -> None:
        """End all tasks and wait until they have cleaned up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
