"""A cluster in which writes stay in memory and pods are ready at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager

import msgspec

from theseus_ci.errors import AlreadyExists, StaleObject
from theseus_ci.model import Object, Objects, clone
from theseus_ci.ports import Cluster

Key = tuple[str, str, str]
OWN_RECORDS = frozenset({"Lease", "ConfigMap"})


class Change(msgspec.Struct, frozen=True):
    """One object before and after; None where it does not exist."""

    kind: str
    namespace: str
    name: str
    before: Object | None
    after: Object | None


class DryCluster:
    """Cluster port over a real one that is only read."""

    def __init__(self, real: Cluster) -> None:
        self._real = real
        self._written: dict[Key, Object | None] = {}
        self._versions = itertools.count(1)
        self.changes: list[Change] = []

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        key = (kind, namespace, name)
        if key in self._written:
            return clone(self._written[key])
        return self._real.get(kind, namespace, name)

    def list(
        self, kind: str, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> Objects:
        if fields.startswith("metadata.name=") and namespace is not None:
            found = self.get(kind, namespace, fields.partition("=")[2])
            return [found] if found is not None else []
        listed = self._real.list(kind, namespace, labels=labels, fields=fields)
        return [obj for obj in listed if not self._is_gone(kind, obj)]

    def create(self, obj: Object, *, dry_run: bool = False) -> Object:
        if dry_run:
            return self._real.create(obj, dry_run=True)
        key = _key(obj)
        if self.get(*key) is not None:
            raise AlreadyExists(f"{obj['kind']} {key[1]}/{key[2]} exists")
        return self._write(key, None, obj)

    def replace(self, obj: Object, *, dry_run: bool = False) -> Object:
        if dry_run:
            return self._real.replace(obj, dry_run=True)
        key = _key(obj)
        before = self.get(*key)
        if before is None:
            raise StaleObject(f"{obj['kind']} {key[1]}/{key[2]} is gone")
        return self._write(key, before, obj)

    def patch(self, obj: Object, change: Object, *, dry_run: bool = False) -> Object:
        """Only begin patches, and only to see what would come of it."""
        return self._real.patch(obj, change, dry_run=True)

    def delete(self, obj: Object) -> None:
        key = _key(obj)
        before = self.get(*key)
        if before is not None:
            self._written[key] = None
            self._record(key, before, None)

    def watch(
        self, kind: str, namespace: str, *, labels: str = "", fields: str = "", timeout: float
    ) -> Iterator[Objects]:
        yield self.list(kind, namespace, labels=labels, fields=fields)

    def within(self, seconds: float) -> AbstractContextManager[None]:
        return self._real.within(seconds)

    def _write(self, key: Key, before: Object | None, obj: Object) -> Object:
        stored = clone(obj)
        metadata = stored["metadata"]
        metadata["resourceVersion"] = f"dry-{next(self._versions)}"
        metadata.setdefault("uid", f"dry-{key[0]}-{key[2]}")
        if key[0] == "Deployment":
            replicas = stored["spec"].get("replicas", 1)
            stored["status"] = {
                "observedGeneration": metadata.get("generation", 0),
                "replicas": replicas,
                "updatedReplicas": replicas,
                "availableReplicas": replicas,
                "readyReplicas": replicas,
            }
        if key[0] == "HorizontalPodAutoscaler":
            self._scale(key[1], stored)
        self._written[key] = stored
        self._record(key, before, stored)
        return clone(stored)

    def _scale(self, namespace: str, hpa: Object) -> None:
        """An autoscaler has its target at its minimum at once."""
        target = self.get("Deployment", namespace, hpa["spec"]["scaleTargetRef"]["name"])
        if target is None:
            return
        minimum = hpa["spec"].get("minReplicas", 1)
        for part, keys in (("spec", ("replicas",)), ("status", ("replicas", "readyReplicas"))):
            for name in keys:
                target.setdefault(part, {})[name] = minimum
        self._written[_key(target)] = target

    def _record(self, key: Key, before: Object | None, after: Object | None) -> None:
        if key[0] not in OWN_RECORDS or not key[2].startswith("theseus-"):
            self.changes.append(Change(*key, clone(before), clone(after)))

    def _is_gone(self, kind: str, obj: Object) -> bool:
        namespace, name = obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
        if (kind, namespace, name) in self._written:
            return self._written[kind, namespace, name] is None
        if kind != "Pod":
            return False
        return any(
            after is None and owner[0] == "Deployment" and name.startswith(f"{owner[2]}-")
            for owner, after in self._written.items()
        )


def _key(obj: Object) -> Key:
    metadata = obj["metadata"]
    return obj["kind"], metadata.get("namespace", ""), metadata["name"]
