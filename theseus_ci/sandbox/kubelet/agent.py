"""The kubelet as a whole: follows the pods of its node, and leaves no process behind."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
from pathlib import Path
from typing import Any

from theseus_ci.sandbox.client import ApiClient, ApiError, Informer, key_of
from theseus_ci.sandbox.kubeconfig import load_access
from theseus_ci.sandbox.kubelet.addresses import NoAddressLeftError, PodNetwork
from theseus_ci.sandbox.kubelet.config_source import ConfigSource
from theseus_ci.sandbox.kubelet.context import (
    HOST_ADDRESS,
    KUBELET_MARKER,
    Context,
    Settings,
)
from theseus_ci.sandbox.kubelet.events import Events
from theseus_ci.sandbox.kubelet.images import (
    CONFIG_MAP,
    KEY,
    NAMESPACE,
    ImageMapError,
    Images,
    parse_images,
)
from theseus_ci.sandbox.kubelet.log_server import (
    LogServer,
    LogSource,
    LogUnavailableError,
    self_signed,
)
from theseus_ci.sandbox.kubelet.node import Node
from theseus_ci.sandbox.kubelet.pod import Pod
from theseus_ci.sandbox.kubelet.scheduler import Scheduler
from theseus_ci.sandbox.processes import SANDBOX_MARKER, inherited_environment, kill_marked

log = logging.getLogger(__name__)

LEAVING_SECONDS = 1.0
"""What processes get to end by themselves when the kubelet is told to stop."""
REGISTER_RETRY_SECONDS = 0.2


class Kubelet:
    """`run` works until `stop` is called or a part of it fails."""

    def __init__(self, client: ApiClient, settings: Settings, server: str) -> None:
        self._client = client
        self._settings = settings
        self._events = Events(client, settings.node_name)
        self._images = Images()
        self._network = PodNetwork(settings.directory)
        self._context = Context(
            settings=settings,
            client=client,
            events=self._events,
            images=self._images,
            network=self._network,
            source=ConfigSource(client),
            environment=_common_environment(settings.directory, server),
        )
        self._log_server = LogServer(self.find_log)
        self._pods: dict[str, Pod] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._handled: set[str] = set()
        self._stop = asyncio.Event()
        self._node_lost = asyncio.Event()

    def stop(self) -> None:
        """Ask `run` to end the processes and return."""
        self._stop.set()

    async def run(self) -> None:
        """Raises whatever made a part of the kubelet fail."""
        pods_directory = self._settings.directory / "pods"
        pods_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        killed = kill_marked(KUBELET_MARKER, str(self._settings.directory))
        if killed:
            log.info("killed %d processes of an earlier kubelet", len(killed))
        tls = self_signed(HOST_ADDRESS) if self._settings.log_server_tls else None
        port = await self._log_server.start(HOST_ADDRESS, tls)
        scheme = "https" if tls else "http"
        node = Node(self._client, self._settings.node_name, port, scheme)
        await self._register(node)
        informer = Informer(self._client, "/api/v1/pods")
        nodes = Informer(self._client, "/api/v1/nodes")
        image_maps = Informer(
            self._client,
            f"/api/v1/namespaces/{NAMESPACE}/configmaps",
            fieldSelector=f"metadata.name={CONFIG_MAP}",
        )
        image_maps.on_change(self._on_image_map)
        nodes.on_change(self._on_node)
        parts = [
            asyncio.create_task(coroutine)
            for coroutine in (
                self._events.run(),
                image_maps.run(),
                nodes.run(),
                node.beat(),
                self._stay_registered(node),
                informer.run(),
                self._follow(informer, nodes, image_maps, pods_directory),
                self._stop.wait(),
            )
        ]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in parts:
                task.cancel()
            await self._leave()

    async def _register(self, node: Node) -> None:
        while not self._stop.is_set():
            try:
                await node.register()
                return
            except ApiError as error:
                log.warning("node not registered: %s", error)
                await asyncio.sleep(REGISTER_RETRY_SECONDS)

    async def _stay_registered(self, node: Node) -> None:
        """An API server that lost the node (it was emptied) learns of it again at once."""
        while True:
            await self._node_lost.wait()
            self._node_lost.clear()
            await self._register(node)

    def _on_node(self, kind: str, node: dict[str, Any]) -> None:
        if kind == "DELETED" and node["metadata"]["name"] == self._settings.node_name:
            self._node_lost.set()

    async def _follow(
        self, informer: Informer, nodes: Informer, image_maps: Informer, directory: Path
    ) -> None:
        """Once all is known: clear what belongs to no pod, then follow the pods, and schedule."""
        await asyncio.gather(informer.synced(), nodes.synced(), image_maps.synced())
        living = {pod["metadata"]["uid"] for pod in informer.objects.values()}
        for folder in directory.iterdir():
            if folder.name not in living:
                shutil.rmtree(folder, ignore_errors=True)
        informer.on_change(self._on_pod)
        name = self._settings.node_name
        log.info("node %s is ready", name)
        if self._settings.binds:
            await Scheduler(self._client, informer, nodes, self._events, name).run()
        await asyncio.Event().wait()

    # -- pods -------------------------------------------------------------------------------

    def _on_pod(self, kind: str, pod: dict[str, Any]) -> None:
        uid = pod["metadata"]["uid"]
        known = self._pods.get(uid)
        if kind == "DELETED":
            self._handled.discard(uid)
            if known is not None:
                known.vanished()
        elif pod["spec"].get("nodeName") != self._settings.node_name or uid in self._handled:
            return
        elif known is None:
            self._begin(pod)
        else:
            known.update(pod)

    def _begin(self, pod: dict[str, Any]) -> None:
        uid = pod["metadata"]["uid"]
        try:
            fresh = Pod(self._context, pod)
        except NoAddressLeftError as error:
            self._events.emit(pod, "Warning", "FailedCreatePodSandBox", str(error))
            return
        self._pods[uid] = fresh
        task = asyncio.create_task(fresh.run(), name=f"pod {key_of(pod)}")
        self._tasks[uid] = task
        task.add_done_callback(lambda task: self._ended(uid, task))
        fresh.update(pod)

    def _ended(self, uid: str, task: asyncio.Task[None]) -> None:
        del self._pods[uid], self._tasks[uid]
        self._handled.add(uid)
        if not task.cancelled() and task.exception() is not None:
            log.error("pod %s: given up", uid, exc_info=task.exception())

    def find_log(self, namespace: str, name: str, container: str, previous: bool) -> LogSource:
        """Raises LogUnavailableError."""
        for pod in self._pods.values():
            if key_of(pod.pod) == (namespace, name):
                return pod.find_log(container, previous=previous)
        raise LogUnavailableError(404, f'pod "{name}" not found in namespace "{namespace}"')

    def _on_image_map(self, kind: str, config_map: dict[str, Any]) -> None:
        if config_map["metadata"]["name"] != CONFIG_MAP:
            return
        text = "" if kind == "DELETED" else (config_map.get("data") or {}).get(KEY, "")
        try:
            self._images.replace(parse_images(text))
        except ImageMapError as error:  # the last good mapping stays in force
            self._events.emit(config_map, "Warning", "InvalidImages", str(error))

    # -- the end ----------------------------------------------------------------------------

    async def _leave(self) -> None:
        """End all processes; the API keeps the pods, for a kubelet that follows."""
        for pod in self._pods.values():
            pod.kill(signal.SIGTERM)
        running = list(self._tasks.values())
        ends = [asyncio.create_task(pod.processes_ended()) for pod in self._pods.values()]
        if ends:
            _, late = await asyncio.wait(ends, timeout=LEAVING_SECONDS)
            for task in late:
                task.cancel()
        for pod in self._pods.values():
            pod.kill(signal.SIGKILL)
        for pod_task in running:
            pod_task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        kill_marked(KUBELET_MARKER, str(self._settings.directory))
        await self._log_server.stop()
        self._network.close()


def _common_environment(directory: Path, server: str) -> dict[str, str]:
    """What each container gets beside what its pod says. `server`: the API server's address."""
    host, _, port = server.partition("://")[2].partition("/")[0].rpartition(":")
    return {
        **inherited_environment([SANDBOX_MARKER]),
        KUBELET_MARKER: str(directory),
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": port,
        "KUBERNETES_SERVICE_PORT_HTTPS": port,
        "KUBERNETES_PORT": f"tcp://{host}:{port}",
    }


async def run_kubelet(kubeconfig: Path, settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises KubeconfigError."""
    access = load_access(kubeconfig)
    loop = asyncio.get_running_loop()
    async with ApiClient(access) as client:
        kubelet = Kubelet(client, settings, access.server)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, kubelet.stop)
        await kubelet.run()
