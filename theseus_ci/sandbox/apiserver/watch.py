"""Watching a collection: what a watcher is told, in which order, and when it has to start anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import msgspec

from theseus_ci.sandbox.apiserver.errors import (
    ApiError,
    Object,
    expired,
    forbidden_field,
    invalid,
    too_large_version,
)
from theseus_ci.sandbox.apiserver.store import (
    ADDED,
    DELETED,
    MODIFIED,
    Change,
    HistoryGoneError,
    Store,
    Stored,
)
from theseus_ci.sandbox.apiserver.verbs import Target

BOOKMARK, ERROR = "BOOKMARK", "ERROR"
BOOKMARK_INTERVAL = 60.0
INITIAL_EVENTS_END = "k8s.io/initial-events-end"
BACKLOG = 10_000

Matcher = Callable[[Stored], bool]


@dataclass(frozen=True)
class WatchOptions:
    """`version` is None when the watcher starts with the present state. Times are in seconds."""

    version: int | None
    bookmarks: bool
    initial_events: bool
    until_now: bool
    timeout: float


@dataclass(frozen=True)
class View:
    """Which objects a watcher sees, and how they and bookmarks are written."""

    matches: Matcher
    encode: Callable[[Stored], bytes]
    bookmark: Callable[[Object], bytes]


def line(kind: str, encoded: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + encoded + b"}\n"


def seen_by(change: Change, matches: Matcher) -> tuple[str, Stored] | None:
    """What `change` means to a watcher whose selection is `matches`: (event type, object)."""
    before = change.previous is not None and matches(change.previous)
    if change.type == DELETED:
        return (DELETED, change.stored) if before else None
    after = matches(change.stored)
    if after:
        return (MODIFIED if before else ADDED), change.stored
    if before and change.previous is not None:
        metadata = {**change.previous.obj["metadata"]}
        metadata["resourceVersion"] = str(change.stored.version)
        last = {**change.previous.obj, "metadata": metadata}
        return DELETED, Stored(last, change.stored.version)
    return None


def check_parameters(target: Target, query: dict[str, str]) -> None:
    """ApiError 422 for combinations that the real server refuses."""
    match, initial = query.get("resourceVersionMatch", ""), query.get("sendInitialEvents", "")
    causes = []
    if initial and match != "NotOlderThan":
        detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        causes.append(forbidden_field("resourceVersionMatch", detail))
    if match and not initial:
        detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        causes.append(forbidden_field("resourceVersionMatch", detail))
    if causes:
        raise invalid("meta.k8s.io", "ListOptions", "", causes)


class Watcher:
    """One watch: an asynchronous iterator over chunks of encoded lines."""

    def __init__(self, store: Store, target: Target, options: WatchOptions, view: View) -> None:
        self._store = store
        self._target = target
        self._options = options
        self._view = view
        self._queue: asyncio.Queue[Change | None] = asyncio.Queue()

    def stop(self) -> None:
        """End the watch soon, as if its time were over."""
        self._queue.put_nowait(None)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Everything this watcher is to be told, until its time is over."""
        collection = self._store.collection(self._target.resource.key)
        collection.listeners.add(self._queue.put_nowait)
        try:
            try:
                yield b"".join(self._start())
            except ApiError as problem:
                yield line(ERROR, msgspec.json.encode(problem.status))
                return
            async for chunk in self._live():
                yield chunk
        finally:
            collection.listeners.discard(self._queue.put_nowait)

    def _start(self) -> Iterator[bytes]:
        options, store = self._options, self._store
        key = self._target.resource.key
        if options.version is not None and options.version > store.version:
            raise too_large_version(options.version, store.version)
        if options.until_now:
            objects = store.collection(key).objects
            for name in sorted(objects):
                if self._view.matches(objects[name]):
                    yield line(ADDED, self._view.encode(objects[name]))
            if options.initial_events and options.bookmarks:
                yield self._marked({INITIAL_EVENTS_END: "true"})
        elif options.version is not None:
            try:
                missed = store.since(key, options.version)
            except HistoryGoneError:
                oldest = store.collection(key).forgotten
                text = f"too old resource version: {options.version} ({oldest})"
                raise expired(text) from None
            for change in missed:
                yield from self._told(change)

    def _told(self, change: Change) -> Iterator[bytes]:
        told = seen_by(change, self._view.matches)
        if told is not None:
            yield line(told[0], self._view.encode(told[1]))

    def _marked(self, annotations: dict[str, str]) -> bytes:
        metadata: Object = {"resourceVersion": str(self._store.version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        return line(BOOKMARK, self._view.bookmark(metadata))

    async def _live(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._options.timeout
        mark = loop.time() + BOOKMARK_INTERVAL
        while (now := loop.time()) < end:
            try:
                change = await asyncio.wait_for(self._queue.get(), min(mark, end) - now)
            except asyncio.TimeoutError:
                mark = loop.time() + BOOKMARK_INTERVAL
                if self._options.bookmarks and self._queue.empty():
                    yield self._marked({})
                continue
            if self._queue.qsize() > BACKLOG:
                return
            lines: list[bytes] = []
            while change is not None:
                lines += self._told(change)
                if self._queue.empty():
                    break
                change = self._queue.get_nowait()
            if lines:
                yield b"".join(lines)
            if change is None:
                return
