"""The programs that make up a sandbox: how each is run, and how to tell that it works."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from theseus_ci.sandbox.client import ApiClient, ApiError
from theseus_ci.sandbox.kubeconfig import KubeconfigError
from theseus_ci.sandbox.kubelet.images import CONFIG_MAP, KEY, NAMESPACE
from theseus_ci.sandbox.layout import Layout, read_json
from theseus_ci.sandbox.processes import python_command
from theseus_ci.sandbox.settings import REAL, Settings

NODE_NAME = "sandbox"
API_SERVER, CONTROLLERS, KUBELET, MESH = "apiserver", "controllers", "kubelet", "mesh"
NAMES = (API_SERVER, CONTROLLERS, KUBELET, MESH)
_PROBE_PATH = "/apis/apps/v1/namespaces/kube-system/replicasets"
_PROBE_NAME = "sandbox-controllers-work"
_LABELS = {"app": _PROBE_NAME}

Check = Callable[[], Awaitable[bool]]


@dataclass(frozen=True)
class Component:
    """`works`: asks once whether it does its job now; it may raise ApiError."""

    name: str
    command: list[str]
    works: Check


def components(layout: Layout, settings: Settings) -> list[Component]:
    """All of them; the API server, which starts first, comes first.

    Raises UsageError when programs of a real control plane are not there.
    """
    if settings.control_plane == REAL:
        from theseus_ci.sandbox.real.components import real_components  # noqa: PLC0415 - rarely

        return real_components(layout, settings, Checks(layout))
    return _sandbox_components(layout, settings)


def _sandbox_components(layout: Layout, settings: Settings) -> list[Component]:
    checks = Checks(layout)
    kubeconfig = ("--kubeconfig", str(layout.kubeconfig))
    directory = ("--directory", str(layout.directory))

    def command(name: str, *arguments: str) -> list[str]:
        return python_command(f"theseus_ci.sandbox.{name}", *arguments)

    return [
        Component(
            API_SERVER,
            command(API_SERVER, *directory, "--port", str(settings.api_port)),
            checks.api_server,
        ),
        Component(
            CONTROLLERS,
            command(
                CONTROLLERS, *kubeconfig, "--hpa-stabilization", as_text(settings.hpa_stabilization)
            ),
            checks.controllers,
        ),
        Component(
            KUBELET,
            command(
                KUBELET,
                *kubeconfig,
                *("--directory", str(layout.kubelet)),
                *("--node-name", NODE_NAME),
                *("--crash-back-off", as_text(settings.crash_back_off)),
            ),
            checks.kubelet,
        ),
        Component(
            MESH,
            command(
                MESH,
                *kubeconfig,
                *directory,
                *("--gateway-port", str(settings.gateway_port)),
                *("--sidecar-port", str(settings.sidecar_port)),
                *("--gateway-delay", as_text(settings.gateway_delay)),
                *("--sidecar-delay", as_text(settings.sidecar_delay)),
                *("--client-namespace", settings.client_namespace),
            ),
            checks.mesh,
        ),
    ]


def as_text(seconds: float) -> str:
    """A duration as the programs' options take it."""
    return f"{round(seconds * 1000)}ms"


class Checks:
    """Each asks for the work itself, not for a sign of life."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    async def api_server(self) -> bool:
        if not self._layout.kubeconfig.exists():
            return False
        async with self._client() as client:
            await client.get("/api/v1/namespaces/kube-system")
            return await client.is_healthy()  # else a real controller manager gives up after 10 s

    async def controllers(self) -> bool:
        """A ReplicaSet that wants no pods gets its status."""
        async with self._client() as client:
            path = f"{_PROBE_PATH}/{_PROBE_NAME}"
            try:
                found = await client.get(path)
            except ApiError as error:
                if error.status != 404:
                    raise
                await client.create(_PROBE_PATH, _probe_replica_set())
                return False
            observed = (found.get("status") or {}).get("observedGeneration", 0)
            if observed < found["metadata"].get("generation", 1):
                return False
            await client.delete(path)
            return True

    async def kubelet(self) -> bool:
        async with self._client() as client:
            node = await client.get(f"/api/v1/nodes/{NODE_NAME}")
        conditions = {item["type"]: item["status"] for item in node["status"]["conditions"]}
        return conditions.get("Ready") == "True"

    async def mesh(self) -> bool:
        """Both Envoys answer, with whatever status."""
        addresses = read_json(self._layout.mesh)
        if not {"gateway", "sidecar"} <= addresses.keys():
            return False
        timeout = aiohttp.ClientTimeout(total=2)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session:
                for proxy in ("gateway", "sidecar"):
                    async with session.get(addresses[proxy], allow_redirects=False) as answer:
                        await answer.read()
        except (aiohttp.ClientError, asyncio.TimeoutError):
            return False
        return True

    async def metrics(self) -> bool:
        """What autoscalers ask for is served through the API server."""
        async with self._client() as client:
            await client.list("/apis/metrics.k8s.io/v1beta1/nodes")
        return True

    def _client(self) -> ApiClient:
        try:
            return ApiClient.from_kubeconfig(self._layout.kubeconfig)
        except KubeconfigError as error:
            raise ApiError(0, "Unreachable", str(error)) from error


async def install_images(layout: Layout, text: str) -> None:
    """Write the mapping of images to commands for the kubelet. Raises ApiError."""
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CONFIG_MAP, "namespace": NAMESPACE},
        "data": {KEY: text},
    }
    async with ApiClient.from_kubeconfig(layout.kubeconfig) as client:
        try:
            await client.create(path, config_map)
        except ApiError as error:
            if error.status != 409:
                raise


def _probe_replica_set() -> dict[str, object]:
    container = {"name": "none", "image": "none"}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": _PROBE_NAME, "namespace": "kube-system"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": _LABELS},
            "template": {"metadata": {"labels": _LABELS}, "spec": {"containers": [container]}},
        },
    }
