"""Events, as `kubectl describe` and `kubectl get events` show them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from theseus_ci.sandbox.client import ApiClient, ApiError
from theseus_ci.sandbox.kubelet.clock import now_text

log = logging.getLogger(__name__)

REMEMBERED = 1000
MOST_WAITING = 1000
REPEAT_SECONDS = 5.0
"""A repeated event's count is written at most this often: a failing probe must not load the API."""


@dataclass
class _Known:
    name: str
    count: int
    written: float


class Events:
    """Writes events in the background, counting repetitions instead of piling them up."""

    def __init__(self, client: ApiClient, host: str) -> None:
        self._client = client
        self._host = host
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue(MOST_WAITING)
        self._known: OrderedDict[tuple[str, ...], _Known] = OrderedDict()

    def emit(
        self,
        involved: dict[str, Any],
        kind: str,
        reason: str,
        message: str,
        *,
        field_path: str = "",
        component: str = "kubelet",
    ) -> None:
        """Report on an object; kind is "Normal" or "Warning". Never blocks, and drops a flood."""
        log.info("%s %s: %s", involved["metadata"]["name"], reason, message)
        about = {
            "apiVersion": involved.get("apiVersion", "v1"),
            "kind": involved.get("kind", "Pod"),
            "name": involved["metadata"]["name"],
            "uid": involved["metadata"].get("uid", ""),
        }
        if "namespace" in involved["metadata"]:
            about["namespace"] = involved["metadata"]["namespace"]
        if field_path:
            about["fieldPath"] = field_path
        event = {
            "involvedObject": about,
            "type": kind,
            "reason": reason,
            "message": message[:1024],
            "source": {"component": component, "host": self._host},
            "reportingComponent": component,
            "reportingInstance": self._host,
        }
        try:
            self._waiting.put_nowait(event)
        except asyncio.QueueFull:
            log.warning("event dropped: %s %s", reason, message)

    async def run(self) -> None:
        """Write events until cancelled."""
        while True:
            event = await self._waiting.get()
            try:
                await self._write(event)
            except ApiError as error:
                log.warning("event not written: %s", error)

    async def _write(self, event: dict[str, Any]) -> None:
        about = event["involvedObject"]
        identity = (about["uid"], about.get("fieldPath", ""), event["reason"], event["message"])
        namespace = about.get("namespace", "default")
        path = f"/api/v1/namespaces/{namespace}/events"
        known = self._known.get(identity)
        if known is not None:
            known.count += 1
            if time.monotonic() - known.written >= REPEAT_SECONDS and await self._repeat(
                path, known
            ):
                known.written = time.monotonic()
            return
        name = f"{about['name']}.{time.time_ns():x}"
        now = now_text()
        whole = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            **event,
        }
        await self._client.create(path, whole)
        self._known[identity] = _Known(name, 1, time.monotonic())
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    async def _repeat(self, path: str, known: _Known) -> bool:
        change = {"count": known.count, "lastTimestamp": now_text()}
        try:
            await self._client.patch(f"{path}/{known.name}", change)
        except ApiError as error:
            if error.status != 404:  # expired: the next occurrence starts a new one
                raise
        return True
