"""Garbage collection: what belongs to an object goes with it, in the way the deletion asked for.

- background: the owner is gone; its dependents are deleted after it.
- foreground: the owner waits, terminating, until the dependents that block it are gone.
- orphan: the dependents are cut loose before the owner goes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from theseus_ci.sandbox.client import ApiClient, ApiError, Key, Object
from theseus_ci.sandbox.controllers.events import Recorder
from theseus_ci.sandbox.controllers.inventory import Inventory, describe
from theseus_ci.sandbox.controllers.workqueue import WorkQueue

log = logging.getLogger(__name__)

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


class GarbageCollector:
    """Queue keys are ("uid", UID)."""

    def __init__(self, client: ApiClient, inventory: Inventory) -> None:
        self.queue = WorkQueue("garbage-collector", self.sync)
        self.recorder = Recorder(client, "garbage-collector")
        self._inventory = inventory
        inventory.listen(self._changed)

    async def sync(self, key: Key) -> None:
        obj = self._inventory.objects.get(key[1])
        if obj is None:
            return
        if "deletionTimestamp" not in obj["metadata"]:
            await self._check_owners(obj)
            return
        finalizers = obj["metadata"].get("finalizers") or []
        if ORPHAN in finalizers:
            await self._cut_loose(obj)
        elif FOREGROUND in finalizers:
            await self._delete_before(obj)

    def _changed(self, change: str, obj: Object) -> None:
        meta = obj["metadata"]
        owners = [reference["uid"] for reference in meta.get("ownerReferences") or []]
        if change == "DELETED":
            self._enqueue(dep["metadata"]["uid"] for dep in self._inventory.dependents(meta["uid"]))
            self._enqueue(owner for owner in owners if self._waits(owner))
        elif owners or "deletionTimestamp" in meta:
            self._enqueue([meta["uid"]])

    def _enqueue(self, uids: Iterable[str]) -> None:
        for uid in uids:
            self.queue.add(("uid", uid))

    def _waits(self, uid: str) -> bool:
        """Whether the object is there but terminating until its dependents are gone."""
        obj = self._inventory.objects.get(uid)
        if obj is None or "deletionTimestamp" not in obj["metadata"]:
            return False
        return FOREGROUND in (obj["metadata"].get("finalizers") or [])

    async def _check_owners(self, obj: Object) -> None:
        """Delete what no owner holds any more; else drop the references to owners that are gone."""
        meta = obj["metadata"]
        references = meta.get("ownerReferences") or []
        held, waiting = [], []
        for reference in references:
            if self._waits(reference["uid"]):
                waiting.append(reference)
            elif await self._holds(reference, meta.get("namespace", "")):
                held.append(reference)
        if not references or len(held) == len(references):
            return
        if held:
            await self._set(obj, "ownerReferences", held)
            return
        has_dependents = bool(self._inventory.dependents(meta["uid"]))
        propagation = "Foreground" if waiting and has_dependents else "Background"
        if ORPHAN in (meta.get("finalizers") or []):
            propagation = "Orphan"
        resource = self._inventory.resource_of(meta["uid"])
        if resource is None:
            return
        log.info("deleting %s, whose owners are gone", describe(obj))
        try:
            await resource.delete(obj, propagation=propagation)
        except ApiError as error:
            if error.status != 409:  # another object has its name: ours is gone
                raise

    async def _holds(self, reference: Object, namespace: str) -> bool:
        if reference["uid"] in self._inventory.objects:
            return True
        exists = await self._inventory.exists(reference, namespace)
        return exists is None or exists  # of a kind unknown to us nothing can be said

    async def _delete_before(self, owner: Object) -> None:
        """Foreground: make the dependents go, and let the owner go after the blocking ones."""
        dependents = self._inventory.dependents(owner["metadata"]["uid"])
        self._enqueue(dependent["metadata"]["uid"] for dependent in dependents)
        if not any(_blocks(dependent, owner) for dependent in dependents):
            await self._drop_finalizer(owner, FOREGROUND)

    async def _cut_loose(self, owner: Object) -> None:
        uid = owner["metadata"]["uid"]
        for dependent in self._inventory.dependents(uid):
            references = dependent["metadata"].get("ownerReferences") or []
            rest = [reference for reference in references if reference["uid"] != uid]
            await self._set(dependent, "ownerReferences", rest)
        await self._drop_finalizer(owner, ORPHAN)

    async def _drop_finalizer(self, obj: Object, name: str) -> None:
        finalizers = obj["metadata"].get("finalizers") or []
        await self._set(obj, "finalizers", [other for other in finalizers if other != name])

    async def _set(self, obj: Object, field: str, values: list[Object] | list[str]) -> None:
        """Replace a list in the metadata, on the version it was computed from."""
        meta = obj["metadata"]
        patch = {"metadata": {field: values or None, "resourceVersion": meta["resourceVersion"]}}
        resource = self._inventory.resource_of(meta["uid"])
        if resource is None:
            return
        try:
            await resource.patch(obj, patch)
        except ApiError as error:
            if error.status != 404:
                raise


def _blocks(dependent: Object, owner: Object) -> bool:
    return any(
        reference["uid"] == owner["metadata"]["uid"] and reference.get("blockOwnerDeletion")
        for reference in dependent["metadata"].get("ownerReferences") or []
    )
