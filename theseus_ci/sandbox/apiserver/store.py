"""The objects, one version counter, and each collection's recent history.

Objects in the store are never changed in place: whoever holds one may read it for as long as it
likes. Everything happens in one event loop, so a read followed by a write without an `await`
between them is atomic.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from theseus_ci.sandbox.apiserver.kinds import Key

Object = dict[str, Any]
Name = tuple[str, str]

ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"


@dataclass(frozen=True)
class Stored:
    """An object at one version. `obj` must not be changed; `copy()` gives one that may be."""

    obj: Object
    version: int

    @cached_property
    def encoded(self) -> bytes:
        return msgspec.json.encode(self.obj)

    @cached_property
    def bare(self) -> bytes:
        """As an item of a typed list, which says apiVersion and kind once for all."""
        return msgspec.json.encode(
            {name: value for name, value in self.obj.items() if name not in ("apiVersion", "kind")}
        )

    def copy(self) -> Object:
        duplicate: Object = msgspec.json.decode(self.encoded)
        return duplicate


@dataclass(frozen=True)
class Change:
    """One write: its type, the object after it (for a deletion: as it was last) and before."""

    type: str
    name: Name
    stored: Stored
    previous: Stored | None


@dataclass
class Collection:
    """All objects of one resource by (namespace, name), and what happened to them lately.

    `forgotten` is the version of the newest change that is no longer in `history`.
    """

    objects: dict[Name, Stored] = field(default_factory=dict)
    history: deque[Change] = field(default_factory=deque)
    forgotten: int = 0
    listeners: set[Callable[[Change], None]] = field(default_factory=set)


class HistoryGoneError(Exception):
    """The version asked for lies before the kept history."""


class Store:
    """Every collection. `version` is the version of the newest write."""

    def __init__(self, history: int = 5000) -> None:
        self.version = 1
        self._history = history
        self._collections: dict[Key, Collection] = {}

    def collection(self, key: Key) -> Collection:
        return self._collections.setdefault(key, Collection())

    def get(self, key: Key, name: Name) -> Stored | None:
        return self.collection(key).objects.get(name)

    def put(self, key: Key, name: Name, obj: Object) -> Stored:
        """Create or replace; stamps the new resourceVersion into `obj`, which the store keeps."""
        collection = self.collection(key)
        previous = collection.objects.get(name)
        stored = self._stamped(obj)
        collection.objects[name] = stored
        change = Change(MODIFIED if previous else ADDED, name, stored, previous)
        self._record(collection, change)
        return stored

    def delete(self, key: Key, name: Name) -> Stored:
        """Remove an object that exists; returns its last state at the version of the deletion."""
        collection = self.collection(key)
        previous = collection.objects.pop(name)
        metadata = dict(previous.obj["metadata"])
        stored = self._stamped({**previous.obj, "metadata": metadata})
        self._record(collection, Change(DELETED, name, stored, previous))
        return stored

    def drop(self, key: Key) -> None:
        """Forget a whole collection whose kind is no longer served."""
        for name in list(self.collection(key).objects):
            self.delete(key, name)

    def _stamped(self, obj: Object) -> Stored:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        return Stored(obj, self.version)

    def _record(self, collection: Collection, change: Change) -> None:
        collection.history.append(change)
        while len(collection.history) > self._history:
            collection.forgotten = collection.history.popleft().stored.version
        for listener in list(collection.listeners):
            listener(change)

    def since(self, key: Key, version: int) -> list[Change]:
        """The changes after `version`, oldest first; HistoryGoneError when some are not kept."""
        collection = self.collection(key)
        if version < collection.forgotten:
            raise HistoryGoneError
        newer = []
        for change in reversed(collection.history):
            if change.stored.version <= version:
                break
            newer.append(change)
        return newer[::-1]

    def snapshot(self, key: Key, version: int) -> dict[Name, Stored]:
        """The collection as it was at `version`; HistoryGoneError when that cannot be told."""
        objects = dict(self.collection(key).objects)
        for change in reversed(self.since(key, version)):
            if change.previous is None:
                objects.pop(change.name, None)
            else:
                objects[change.name] = change.previous
        return objects
