"""A namespace that is deleted is emptied first, and then let go."""

from __future__ import annotations

import asyncio

from theseus_ci.sandbox.client import ApiClient, ApiError, Key, Object, items_of, key_of
from theseus_ci.sandbox.controllers.events import Recorder
from theseus_ci.sandbox.controllers.inventory import Inventory
from theseus_ci.sandbox.controllers.workqueue import WorkQueue

FINALIZER = "kubernetes"
LOOK_AGAIN_SECONDS = (1.0, 120.0)
"""For what no informer tells, such as Events; the pause doubles from the first to the second."""


class NamespaceController:
    """Queue keys are ("", NAMESPACE)."""

    def __init__(self, client: ApiClient, inventory: Inventory) -> None:
        self.queue = WorkQueue("namespace", self.sync)
        self.recorder = Recorder(client, "namespace-controller")
        self._client = client
        self._inventory = inventory
        self._terminating: dict[str, int] = {}  # how often we have looked in vain
        inventory.listen(self._changed)

    async def sync(self, key: Key) -> None:
        path = f"/api/v1/namespaces/{key[1]}"
        try:
            namespace = await self._client.get(path)
        except ApiError as error:
            if error.status == 404:
                self._terminating.pop(key[1], None)
                return
            raise
        if not _awaits_us(namespace):
            return
        # The second look is the answer to the first: most objects go at once.
        if await self._empty(key[1]) and await self._empty(key[1]):
            self.queue.add_after(key, self._pause(key[1]))
            return
        finalizers = [name for name in namespace["spec"]["finalizers"] if name != FINALIZER]
        done = {**namespace, "spec": {**namespace["spec"], "finalizers": finalizers}}
        await self._client.replace(f"{path}/finalize", done)

    def _changed(self, change: str, obj: Object) -> None:
        namespace, name = key_of(obj)
        if obj.get("kind") == "Namespace" and not namespace and _awaits_us(obj):
            self._terminating.setdefault(name, 0)
            self.queue.add(("", name))
        elif obj.get("kind") == "Namespace" and change == "DELETED":
            self._terminating.pop(name, None)
        elif namespace in self._terminating and not self._inventory.population[namespace]:
            self.queue.add(("", namespace))

    def _pause(self, namespace: str) -> float:
        tries = self._terminating.get(namespace, 0)
        self._terminating[namespace] = tries + 1
        first, longest = LOOK_AGAIN_SECONDS
        return float(min(longest, first * 2 ** min(tries, 10)))

    async def _empty(self, namespace: str) -> int:
        """Delete what is in the namespace; returns how many objects were still there."""
        left = 0
        kinds = [kind for kind in self._inventory.types() if kind.namespaced]
        places = [(kind.prefix, kind.plural) for kind in kinds]
        for prefix, plural in [*places, ("/api/v1", "events")]:
            path = f"{prefix}/namespaces/{namespace}/{plural}"
            try:
                objects = items_of(await self._client.get(path))
            except ApiError as error:
                if error.status == 404:  # its definition has gone meanwhile
                    continue
                raise
            left += len(objects)
            waiting = [obj for obj in objects if "deletionTimestamp" not in obj["metadata"]]
            await asyncio.gather(*[self._delete(path, obj) for obj in waiting])
        return left

    async def _delete(self, path: str, obj: Object) -> None:
        await self._client.delete(f"{path}/{obj['metadata']['name']}", propagation="Background")


def _awaits_us(namespace: Object) -> bool:
    finalizers = namespace["spec"].get("finalizers") or []
    return "deletionTimestamp" in namespace["metadata"] and FINALIZER in finalizers
