"""Binds pending pods to the one node there is."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from theseus_ci.sandbox.client import ApiClient, ApiError, Informer, key_of
from theseus_ci.sandbox.kubelet.events import Events

log = logging.getLogger(__name__)

DEFAULT_SCHEDULER = "default-scheduler"
RETRY_SECONDS = 1.0


class Scheduler:
    """Every pod fits, unless its nodeSelector asks for a label that the node lacks."""

    def __init__(
        self, client: ApiClient, pods: Informer, nodes: Informer, events: Events, node_name: str
    ) -> None:
        self._client = client
        self._pods = pods
        self._nodes = nodes
        self._events = events
        self._node_name = node_name
        self._pending: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self._refused: set[str] = set()
        pods.on_change(self._on_pod)
        nodes.on_change(lambda kind, node: self._retry_refused())

    async def run(self) -> None:
        """Bind until cancelled."""
        while True:
            key = await self._pending.get()
            pod = self._pods.objects.get(key)
            if pod is None or not _waits(pod):
                continue
            try:
                await self._schedule(pod)
            except ApiError as error:
                if error.status in {404, 409}:  # gone, or bound by someone else
                    continue
                log.warning("pod %s/%s not bound: %s", *key, error)
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self._pending.put_nowait, key)

    def _on_pod(self, kind: str, pod: dict[str, Any]) -> None:
        if kind == "DELETED":
            self._refused.discard(pod["metadata"]["uid"])
        elif _waits(pod) and pod["metadata"]["uid"] not in self._refused:
            self._pending.put_nowait(key_of(pod))

    def _retry_refused(self) -> None:
        for key, pod in self._pods.objects.items():
            if pod["metadata"]["uid"] in self._refused:
                self._pending.put_nowait(key)

    async def _schedule(self, pod: dict[str, Any]) -> None:
        namespace, name = key_of(pod)
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        if not self._fits(pod):
            await self._refuse(pod, path)
            return
        await self._client.create(
            f"{path}/binding",
            {
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": name, "namespace": namespace, "uid": pod["metadata"]["uid"]},
                "target": {"apiVersion": "v1", "kind": "Node", "name": self._node_name},
            },
        )
        self._refused.discard(pod["metadata"]["uid"])
        text = f"Successfully assigned {namespace}/{name} to {self._node_name}"
        self._events.emit(pod, "Normal", "Scheduled", text, component=DEFAULT_SCHEDULER)

    def _fits(self, pod: dict[str, Any]) -> bool:
        node = self._nodes.objects.get(("", self._node_name))
        if node is None or (node.get("spec") or {}).get("unschedulable"):
            return False
        labels = node["metadata"].get("labels") or {}
        selector = pod["spec"].get("nodeSelector") or {}
        return all(labels.get(key) == value for key, value in selector.items())

    async def _refuse(self, pod: dict[str, Any], path: str) -> None:
        if pod["metadata"]["uid"] in self._refused:
            return
        self._refused.add(pod["metadata"]["uid"])
        text = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
        self._events.emit(pod, "Warning", "FailedScheduling", text, component=DEFAULT_SCHEDULER)
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": text,
        }
        await self._client.patch(f"{path}/status", {"status": {"conditions": [condition]}})


def _waits(pod: dict[str, Any]) -> bool:
    spec, metadata = pod["spec"], pod["metadata"]
    return not (
        spec.get("nodeName")
        or metadata.get("deletionTimestamp")
        or spec.get("schedulingGates")
        or spec.get("schedulerName", DEFAULT_SCHEDULER) != DEFAULT_SCHEDULER
    )
