"""A live picture of all objects in the cluster, by uid, and of who depends on whom.

One informer for each resource the server has; custom resources come and go with their
definitions.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from functools import partial

from theseus_ci.sandbox.client import ApiClient, ApiError, Key, Object, key_of
from theseus_ci.sandbox.controllers.controller import Workloads
from theseus_ci.sandbox.controllers.discovery import ResourceType, discover, group_of
from theseus_ci.sandbox.controllers.resource import Resource
from theseus_ci.sandbox.controllers.workqueue import WorkQueue

log = logging.getLogger(__name__)

COMPLETE_SECONDS = 30.0
DISCOVERY: Key = ("", "discovery")
DEFINITIONS = ("apiextensions.k8s.io", "customresourcedefinitions")

Listener = Callable[[str, Object], None]


class Inventory:
    """Objects by uid. `listen` is called after the picture has been brought up to date."""

    def __init__(self, client: ApiClient, workloads: Workloads) -> None:
        self.queue = WorkQueue("discovery", self._discover)
        self.objects: dict[str, Object] = {}
        self.population: Counter[str] = Counter()  # objects by namespace
        self._types_of: dict[str, ResourceType] = {}
        self._dependents: dict[str, set[str]] = {}
        self._client = client
        self._shared = {resource.informer.path: resource for resource in workloads.all()}
        self._resources: dict[ResourceType, Resource] = {}
        self._tasks: dict[ResourceType, asyncio.Task[None]] = {}
        self._listeners: list[Listener] = []
        self._discovered = asyncio.Event()

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    async def start(self) -> None:
        """Discover the resources, and return once each has been listed."""
        self.queue.add(DISCOVERY)
        self.queue.start()
        await self._discovered.wait()
        listed = [resource.informer.synced() for resource in self._resources.values()]
        try:
            await asyncio.wait_for(asyncio.gather(*listed), COMPLETE_SECONDS)
        except asyncio.TimeoutError:
            log.warning("not every resource can be listed; going on with those that can")

    async def stop(self) -> None:
        await self.queue.stop()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def types(self) -> list[ResourceType]:
        return list(self._resources)

    def resource_of(self, uid: str) -> Resource | None:
        """Where the object of that uid is read and written; None when it has gone meanwhile."""
        kind = self._types_of.get(uid)
        return self._resources.get(kind) if kind else None

    def dependents(self, uid: str) -> list[Object]:
        return [self.objects[dependent] for dependent in self._dependents.get(uid, ())]

    async def exists(self, reference: Object, namespace: str) -> bool | None:
        """Ask the server whether the owner named by a reference is there; None: unknown kind.

        The picture here may lack an owner that was created a moment ago, so its absence alone
        proves nothing.
        """
        for kind, resource in self._resources.items():
            if (kind.group, kind.kind) == (group_of(reference), reference["kind"]):
                try:
                    owner = await resource.read(
                        namespace if kind.namespaced else "", reference["name"]
                    )
                except ApiError as error:
                    if error.status == 404:
                        return False
                    raise
                return bool(owner["metadata"]["uid"] == reference["uid"])
        return None

    async def _discover(self, _: Key) -> None:
        found = await discover(self._client)
        for gone in [kind for kind in self._resources if kind not in found]:
            self._forget(gone)
        for fresh in [kind for kind in found if kind not in self._resources]:
            self._follow(fresh)
        self._discovered.set()

    def _follow(self, kind: ResourceType) -> None:
        path = f"{kind.prefix}/{kind.plural}"
        shared = self._shared.get(path)
        resource = shared or Resource(self._client, kind.prefix, kind.plural)
        self._resources[kind] = resource
        resource.informer.on_change(partial(self._changed, kind))
        if shared is None:
            self._tasks[kind] = asyncio.get_running_loop().create_task(resource.informer.run())

    def _forget(self, kind: ResourceType) -> None:
        resource = self._resources.pop(kind)
        task = self._tasks.pop(kind, None)
        if task is not None:
            task.cancel()
        for obj in list(resource.informer.objects.values()):
            self._changed(kind, "DELETED", obj)

    def _changed(self, kind: ResourceType, change: str, obj: Object) -> None:
        uid = obj["metadata"]["uid"]
        before = self.objects.get(uid)
        for owner in _owners(before) - _owners(obj if change != "DELETED" else None):
            self._dependents[owner].discard(uid)
            if not self._dependents[owner]:
                del self._dependents[owner]
        namespace = obj["metadata"].get("namespace", "")
        self.population[namespace] += (change != "DELETED") - (before is not None)
        if change == "DELETED":
            self.objects.pop(uid, None)
            self._types_of.pop(uid, None)
        else:
            self.objects[uid] = obj
            self._types_of[uid] = kind
            for owner in _owners(obj):
                self._dependents.setdefault(owner, set()).add(uid)
        if (kind.group, kind.plural) == DEFINITIONS:
            self.queue.add_after(DISCOVERY, 0.2)
        for listener in self._listeners:
            listener(change, obj)


def _owners(obj: Object | None) -> set[str]:
    references = obj["metadata"].get("ownerReferences") or [] if obj else []
    return {str(reference["uid"]) for reference in references}


def describe(obj: Object) -> str:
    """For logs: Kind namespace/name."""
    return f"{obj['kind']} {'/'.join(part for part in key_of(obj) if part)}"
