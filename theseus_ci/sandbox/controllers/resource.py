"""One kind of object: its informer, and writes that return once the informer has seen them.

A controller that acts on an old copy creates a pod twice. Kubernetes' own controllers keep
"expectations" against that; here a sync simply does not go on before its own writes are visible
to it. Syncs of other keys go on meanwhile.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

from theseus_ci.sandbox.client import ApiClient, Informer, Key, Object


class Resource:
    """Objects of one resource in all namespaces: Resource(client, "/api/v1", "pods")."""

    def __init__(self, client: ApiClient, prefix: str, plural: str) -> None:
        self.prefix = prefix
        self.plural = plural
        self.informer = Informer(client, f"{prefix}/{plural}")
        self._client = client

    def path(self, namespace: str, name: str | None = None, sub: str | None = None) -> str:
        """The collection of a namespace ("" for the cluster's), an object, or a subresource."""
        base = f"{self.prefix}/namespaces/{namespace}" if namespace else self.prefix
        return "/".join(part for part in (base, self.plural, name, sub) if part)

    def get(self, key: Key) -> Object | None:
        """A copy of the cached object, to be changed at will."""
        return copy.deepcopy(self.informer.objects.get(key))

    def cached(self, namespace: str) -> Iterator[Object]:
        """The cached objects of a namespace themselves: not to be changed."""
        return (obj for key, obj in list(self.informer.objects.items()) if key[0] == namespace)

    async def read(self, namespace: str, name: str) -> Object:
        """The object as the server has it now."""
        return await self._client.get(self.path(namespace, name))

    async def create(self, obj: Object) -> Object:
        path = self.path(obj["metadata"].get("namespace", ""))
        return await self._seen(await self._client.create(path, obj))

    async def update(self, obj: Object, sub: str | None = None) -> Object:
        """Replace the object, or its subresource `sub`; 409 when it is not the newest."""
        meta = obj["metadata"]
        path = self.path(meta.get("namespace", ""), meta["name"], sub)
        return await self._seen(await self._client.replace(path, obj))

    async def patch(self, obj: Object, patch: Object) -> Object:
        """Merge the patch into this very object; 404 or 409 when another has taken its name."""
        meta = obj["metadata"]
        changed = {**patch, "metadata": {**patch.get("metadata", {}), "uid": meta["uid"]}}
        path = self.path(meta.get("namespace", ""), meta["name"])
        return await self._seen(await self._client.patch(path, changed))

    async def delete(self, obj: Object, *, propagation: str | None = None) -> None:
        """Delete this very object, and return when it is seen terminating or gone."""
        meta = obj["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        await self._client.delete(self.path(*key), uid=meta["uid"], propagation=propagation)

        def seen() -> bool:
            cached = self.informer.objects.get(key)
            return (
                cached is None
                or cached["metadata"]["uid"] != meta["uid"]
                or "deletionTimestamp" in cached["metadata"]
            )

        await self.informer.until(seen)

    async def _seen(self, obj: Object) -> Object:
        await self.informer.reached(obj["metadata"]["resourceVersion"])
        return obj
