"""The Node object and its heart-beat."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from typing import Any

from theseus_ci.sandbox.client import ApiClient, ApiError
from theseus_ci.sandbox.kubelet.clock import now_micro_text, now_text
from theseus_ci.sandbox.kubelet.context import HOST_ADDRESS

log = logging.getLogger(__name__)

SCHEME_ANNOTATION = "theseus-ci.io/kubelet-scheme"
"""Tells the sandbox's API server whether this node's log server speaks http or https."""
HEARTBEAT_SECONDS = 10.0
LEASE_SECONDS = 40
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID"),
    ("Ready", "True", "KubeletReady"),
)


class Node:
    """Registers the node, and again whenever the API has lost it."""

    def __init__(self, client: ApiClient, name: str, log_port: int, scheme: str) -> None:
        self._client = client
        self._name = name
        self._log_port = log_port
        self._scheme = scheme
        self._path = f"/api/v1/nodes/{name}"

    async def register(self) -> dict[str, Any]:
        """Create or update the node; returns it. Raises ApiError."""
        node = self._object()
        try:
            known = await self._client.get(self._path)
        except ApiError as error:
            if error.status != 404:
                raise
            known = await self._client.create("/api/v1/nodes", node)
        else:
            await self._client.patch(self._path, {"metadata": node["metadata"]})
        await self._client.patch(f"{self._path}/status", {"status": node["status"]})
        return known

    async def beat(self) -> None:
        """Renew the node's lease until cancelled: one small write in ten seconds."""
        while True:
            try:
                await self._renew()
            except ApiError as error:
                log.warning("heart-beat: %s", error)
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _renew(self) -> None:
        path = f"{_LEASES}/{self._name}"
        try:
            await self._client.patch(path, {"spec": {"renewTime": now_micro_text()}})
            return
        except ApiError as error:
            if error.status != 404:
                raise
        await self.register()  # a lease that is gone means a new or emptied API server
        await self._ensure_namespace()
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": "kube-node-lease"},
            "spec": {
                "holderIdentity": self._name,
                "leaseDurationSeconds": LEASE_SECONDS,
                "renewTime": now_micro_text(),
            },
        }
        await self._client.create(_LEASES, lease)

    async def _ensure_namespace(self) -> None:
        namespace = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "kube-node-lease"},
        }
        try:
            await self._client.create("/api/v1/namespaces", namespace)
        except ApiError as error:
            if error.status != 409:
                raise

    def _object(self) -> dict[str, Any]:
        now = now_text()
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024
        capacity = {"cpu": str(os.cpu_count() or 1), "memory": f"{memory}Ki", "pods": "1000"}
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": self._name,
                "labels": {
                    "kubernetes.io/hostname": self._name,
                    "kubernetes.io/os": "linux",
                    # Deprecated, yet set by every kubelet and selected by older manifests:
                    "beta.kubernetes.io/arch": _architecture(),
                    "beta.kubernetes.io/os": "linux",
                    "kubernetes.io/arch": _architecture(),
                },
                "annotations": {SCHEME_ANNOTATION: self._scheme},
            },
            "status": {
                "capacity": capacity,
                "allocatable": capacity,
                "conditions": [
                    {
                        "type": kind,
                        "status": status,
                        "reason": reason,
                        "message": "pods run as local processes" if kind == "Ready" else "",
                        "lastHeartbeatTime": now,
                        "lastTransitionTime": now,
                    }
                    for kind, status, reason in _CONDITIONS
                ],
                "addresses": [
                    {"type": "InternalIP", "address": HOST_ADDRESS},
                    {"type": "Hostname", "address": self._name},
                ],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": self._log_port}},
                "nodeInfo": _node_info(),
            },
        }


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def _node_info() -> dict[str, str]:
    return {
        "machineID": "",
        "systemUUID": "",
        "bootID": "",
        "kernelVersion": platform.release(),
        "osImage": "theseus-ci sandbox",
        "containerRuntimeVersion": "process://1",
        "kubeletVersion": "v1.36.0",
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": _architecture(),
    }
