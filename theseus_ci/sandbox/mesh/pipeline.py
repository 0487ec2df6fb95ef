"""One proxy's view of the cluster: every change reaches it a little after it happened.

A real control plane gathers changes and sends them some time later, to each proxy at its own
pace. So each proxy here applies a change its own delay after it was seen, in order; changes that
have come due by then go in one push, and later ones never hold up earlier ones.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from theseus_ci.sandbox.mesh.bootstrap import Files
from theseus_ci.sandbox.mesh.delivery import Delivery
from theseus_ci.sandbox.mesh.envoy import MeshError
from theseus_ci.sandbox.mesh.translate import Configuration, Proxy, Snapshot, translate
from theseus_ci.sandbox.mesh.validator import envoys_objection, find_faulty

log = logging.getLogger(__name__)

Object = dict[str, Any]
Key = tuple[str, str]

COLLECTIONS = {
    "Service": "services",
    "EndpointSlice": "endpoint_slices",
    "Pod": "pods",
    "VirtualService": "virtual_services",
    "DestinationRule": "destination_rules",
    "Gateway": "gateways",
}
SUSPECTS = ("VirtualService", "DestinationRule")
"""Whose content goes into Envoy's configuration nearly as written."""
CONFIGURATION = (*SUSPECTS, "Gateway")
ISOLATION_ROUNDS = 3
RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class Change:
    """An object as it is now, or None when it is gone."""

    kind: str
    key: Key
    obj: Object | None


Refused = Callable[[Change, str], None]


class Pipeline:
    """Applies changes to one proxy. `refused` hears of changes that its Envoy does not accept."""

    def __init__(
        self, proxy: Proxy, delivery: Delivery, files: Files, *, delay: float, refused: Refused
    ) -> None:
        self.delay = delay
        self._proxy = proxy
        self._delivery = delivery
        self._files = files
        self._refused = refused
        self._objects: dict[str, dict[Key, Object]] = {kind: {} for kind in COLLECTIONS}
        self._accepted: dict[str, dict[Key, Object]] = {kind: {} for kind in SUSPECTS}
        self._queue: deque[tuple[float, Change]] = deque()
        self._arrived = asyncio.Event()
        self._last_due = 0.0

    def submit(self, change: Change) -> None:
        """Apply this change once the delay has passed."""
        self._last_due = max(self._last_due, time.monotonic() + self.delay)
        self._queue.append((self._last_due, change))
        self._arrived.set()

    async def start(self) -> None:
        """Apply what was submitted so far, at once: what exists at the beginning."""
        existing = [change for _, change in self._queue]
        self._queue.clear()
        await self._apply(existing)

    async def run(self) -> None:
        """Apply each change when it is due, until cancelled."""
        while True:
            if not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
            wait = self._queue[0][0] - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            now = time.monotonic()
            due = []
            while self._queue and self._queue[0][0] <= now:
                due.append(self._queue.popleft()[1])
            if due:
                await self._apply(due)

    async def _apply(self, changes: Sequence[Change]) -> None:
        """Push these changes; what Envoy refuses stays as it was, so that the rest comes in."""
        undo = [self._set(change) for change in changes]
        for _ in range(ISOLATION_ROUNDS):
            reason = await self._deliver(self._configuration(self._objects))
            if reason is None:
                self._accepted = {kind: dict(self._objects[kind]) for kind in SUSPECTS}
                return
            faulty = await find_faulty(self._suspects(), self._objection)
            if not faulty:
                break
            for change, why in faulty:
                self._refused(change, why)
                accepted = self._accepted[change.kind].get(change.key)
                # the very version that was accepted may be faulty now that more refers to it
                fallback = None if accepted is change.obj else accepted
                self._set(Change(change.kind, change.key, fallback))
        for before in reversed(undo):
            self._set(before)
        for change in changes:
            if change.kind in CONFIGURATION:
                self._refused(change, f"refused together with what changed beside it: {reason}")
        if reason := await self._deliver(self._configuration(self._objects)):
            log.error("%s: what was in force is refused: %s", self._proxy.kind, reason)

    def _suspects(self) -> list[Change]:
        """All objects that may be to blame; delegates behind what delegates to them."""
        found = [
            Change(kind, key, obj)
            for kind in SUSPECTS
            for key, obj in sorted(self._objects[kind].items())
        ]
        return sorted(found, key=_is_delegate)

    async def _objection(self, suspects: Sequence[Change]) -> str | None:
        """What Envoy has against these, beside everything that is not suspected."""
        objects = {kind: {} if kind in SUSPECTS else view for kind, view in self._objects.items()}
        for suspect in suspects:
            if suspect.obj is not None:
                objects[suspect.kind] = {**objects[suspect.kind], suspect.key: suspect.obj}
        return await envoys_objection(self._configuration(objects), self._proxy, self._files)

    def _set(self, change: Change) -> Change:
        """Apply to the view; returns the change that undoes it."""
        collection = self._objects[change.kind]
        before = Change(change.kind, change.key, collection.pop(change.key, None))
        if change.obj is not None:
            collection[change.key] = change.obj
        return before

    def _configuration(self, objects: Mapping[str, Mapping[Key, Object]]) -> Configuration:
        view = {COLLECTIONS[kind]: dict(found) for kind, found in objects.items()}
        return translate(Snapshot(**view), self._proxy)

    async def _deliver(self, configuration: Configuration) -> str | None:
        while True:
            try:
                return await self._delivery.push(configuration)
            except MeshError as error:
                log.warning("%s; trying again", error)
                await asyncio.sleep(RETRY_SECONDS)


def _is_delegate(change: Change) -> bool:
    assert change.obj is not None
    return change.kind == "VirtualService" and not change.obj["spec"].get("hosts")
