"""Kubernetes Events: how the mesh tells an object's owner, in `kubectl describe`, what is wrong."""

from __future__ import annotations

import asyncio
import logging
import uuid
from datetime import datetime, timezone
from typing import Any

from theseus_ci.sandbox.client import ApiClient, ApiError

log = logging.getLogger(__name__)

COMPONENT = "sandbox-mesh"
MESSAGE_LIMIT = 1024
"""Kubernetes refuses longer messages."""


class EventRecorder:
    """Writes events one after another, in the background: nobody waits for them."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def warn(self, obj: dict[str, Any], reason: str, message: str) -> None:
        """Record a Warning on an object, and log it. `reason` is one word in CamelCase."""
        metadata = obj["metadata"]
        log.warning("%s %s/%s: %s", obj["kind"], metadata["namespace"], metadata["name"], message)
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        if len(message) > MESSAGE_LIMIT:
            message = message[: MESSAGE_LIMIT - 1] + "…"
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{metadata['name']}.{uuid.uuid4().hex[:16]}",
                "namespace": metadata["namespace"],
            },
            "involvedObject": {
                "apiVersion": obj["apiVersion"],
                "kind": obj["kind"],
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata.get("uid", ""),
                "resourceVersion": metadata.get("resourceVersion", ""),
            },
            "type": "Warning",
            "reason": reason,
            "message": message,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": COMPONENT,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        self._queue.put_nowait(event)

    async def run(self) -> None:
        """Write what is recorded, until cancelled. An event that cannot be written is logged."""
        while True:
            event = await self._queue.get()
            namespace = event["metadata"]["namespace"]
            try:
                await self._client.create(f"/api/v1/namespaces/{namespace}/events", event)
            except ApiError as error:
                log.warning("event %s not written: %s", event["metadata"]["name"], error)
