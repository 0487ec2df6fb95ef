"""Events: the story `kubectl describe` tells.

They are sent beside the work and may be lost; no sync waits for one or fails with one. The same
story told again raises the count of the Event that is there.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict

from theseus_ci.sandbox.client import ApiClient, ApiError, Object
from theseus_ci.sandbox.controllers.conditions import now, timestamp

log = logging.getLogger(__name__)

REMEMBERED = 1000
"""How many Events may still be counted up; older ones are told anew."""


class Recorder:
    """Writes Events in the name of one component."""

    def __init__(self, client: ApiClient, component: str) -> None:
        self._client = client
        self._component = component
        self._told: OrderedDict[tuple[str, str, str], Object] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def normal(self, obj: Object, reason: str, message: str) -> None:
        self._send(obj, "Normal", reason, message)

    def warning(self, obj: Object, reason: str, message: str) -> None:
        self._send(obj, "Warning", reason, message)

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _send(self, obj: Object, kind: str, reason: str, message: str) -> None:
        story = (obj["metadata"]["uid"], reason, message)
        known = self._told.get(story)
        if known is None:
            event = self._told[story] = self._event(obj, kind, reason, message)
            if len(self._told) > REMEMBERED:
                self._told.popitem(last=False)
        else:
            event = known
            event["count"] += 1
            event["lastTimestamp"] = timestamp(now())
        task = asyncio.get_running_loop().create_task(self._write(story, event, known is None))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, story: tuple[str, str, str], event: Object, fresh: bool) -> None:
        namespace = event["metadata"]["namespace"]
        path = f"/api/v1/namespaces/{namespace}/events"
        try:
            if fresh:
                await self._client.create(path, event)
            else:
                changed = {key: event[key] for key in ("count", "lastTimestamp")}
                await self._client.patch(f"{path}/{event['metadata']['name']}", changed)
        except ApiError as error:
            self._told.pop(story, None)
            log.debug("event %s for %s is lost: %s", story[1], story[0], error)

    def _event(self, obj: Object, kind: str, reason: str, message: str) -> Object:
        meta = obj["metadata"]
        moment = timestamp(now())
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "namespace": meta.get("namespace") or "default",
                "name": f"{meta['name']}.{secrets.token_hex(8)}",
            },
            "involvedObject": {
                "apiVersion": obj["apiVersion"],
                "kind": obj["kind"],
                "namespace": meta.get("namespace", ""),
                "name": meta["name"],
                "uid": meta["uid"],
                "resourceVersion": meta["resourceVersion"],
            },
            "type": kind,
            "reason": reason,
            "message": message[:1024],
            "count": 1,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": "",
        }
