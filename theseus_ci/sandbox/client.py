"""A small asyncio client of the Kubernetes API, for the sandbox's own processes.

It speaks only what the API itself specifies, so that controllers, kubelet and mesh built on it run
unchanged against the sandbox's API server and against a real kube-apiserver.

Objects are plain dictionaries as in the API. Every failure, also of the connection, is an
`ApiError`: a caller that retries needs one except clause.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

from theseus_ci.sandbox.api_errors import ApiError, error_from, error_of_status, unreachable
from theseus_ci.sandbox.kubeconfig import Access, KubeconfigError, load_access

__all__ = [
    "JSON_PATCH",
    "MERGE_PATCH",
    "STRATEGIC_PATCH",
    "ApiClient",
    "ApiError",
    "Informer",
    "Key",
    "Object",
    "Objects",
    "items_of",
    "key_of",
]

log = logging.getLogger(__name__)

MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"

REQUEST_SECONDS = 30.0
"""No request but a watch may take longer: a hung server must not hang a controller."""
CLOSE_SECONDS = 2.0
"""How long closing a client waits for requests whose callers were cancelled."""
WATCH_SECONDS = (240, 480)
"""The server ends a watch after a time drawn from this range, and the client takes it up again."""
BACKOFF_SECONDS = (0.1, 5.0)
"""First and longest pause of an informer whose server cannot be reached."""

Object = dict[str, Any]
Objects = list[Object]  # inside ApiClient the name `list` is a method
Key = tuple[str, str]
ChangeCallback = Callable[[str, Object], None]


class ApiClient:
    """Requests to one API server; use as an async context manager.

    When the server cannot be reached or no longer knows us, the kubeconfig is read again: a server
    that was set up anew has another port and other certificates.
    """

    def __init__(self, access: Access, kubeconfig: Path | None = None) -> None:
        self._access = access
        self._kubeconfig = kubeconfig
        self._session: aiohttp.ClientSession | None = None
        self._retired: list[aiohttp.ClientSession] = []
        self._pending: set[asyncio.Task[Object]] = set()

    @classmethod
    def from_kubeconfig(cls, path: Path) -> ApiClient:
        """Use the file's current context; raises KubeconfigError."""
        return cls(load_access(path), path)

    async def __aenter__(self) -> ApiClient:
        self._session = _session(self._access)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pending:
            await asyncio.wait(self._pending, timeout=CLOSE_SECONDS)
        sessions, self._retired = self._retired, []
        if self._session is not None:
            sessions.append(self._session)
            self._session = None
        for session in sessions:
            await session.close()

    async def is_healthy(self) -> bool:
        """Whether the API server says that all of it has started. Raises ApiError."""
        async with self._exchange("GET", "/healthz") as answer:
            return await answer.read() == b"ok"

    async def get(self, path: str, **query: str) -> Object:
        """The object at `path`, or the whole list object of a collection."""
        return await self._request("GET", path, query=query)

    async def list(self, path: str, **query: str) -> Objects:
        """The collection's items, each with the apiVersion and kind that lists leave out."""
        return items_of(await self.get(path, **query))

    async def create(self, path: str, obj: Object) -> Object:
        """POST to a collection, or to a subresource such as `pods/NAME/eviction`."""
        return await self._request("POST", path, body=obj)

    async def replace(self, path: str, obj: Object) -> Object:
        """PUT; refused with 409 when `obj` carries a resourceVersion that is no longer current."""
        return await self._request("PUT", path, body=obj)

    async def patch(self, path: str, patch: object, *, content_type: str = MERGE_PATCH) -> Object:
        return await self._request("PATCH", path, body=patch, content_type=content_type)

    async def delete(
        self,
        path: str,
        *,
        grace_seconds: int | None = None,
        uid: str | None = None,
        propagation: str | None = None,
    ) -> None:
        """Delete; an object that is already gone is fine.

        With `uid`, another object of that name is left alone (409). `propagation` is "Background",
        "Foreground" or "Orphan".
        """
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if propagation is not None:
            options["propagationPolicy"] = propagation
        try:
            await self._request("DELETE", path, body=options)
        except ApiError as error:
            if error.status != 404:
                raise

    async def watch(self, path: str, **query: str) -> AsyncIterator[tuple[str, Object]]:
        """Events of one watch request as (type, object), until the server ends it.

        Raises ApiError for a refusal, for an ERROR event (410 when the resourceVersion is too
        old) and for a lost connection.
        """
        seconds = random.randint(*WATCH_SECONDS)
        asked = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=REQUEST_SECONDS, sock_read=seconds + REQUEST_SECONDS
        )
        parameters = {**asked, **query}
        async with self._exchange("GET", path, params=parameters, timeout=timeout) as answer:
            async for line in _lines(answer.content):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise error_of_status(event["object"])
                yield event["type"], event["object"]

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("ApiClient is used outside its 'async with'")
        return self._session

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
    ) -> Object:
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = {} if data is None else {"Content-Type": content_type}
        # Once sent, a request is seen through, even when its caller is cancelled meanwhile.
        call = self._perform(method, path, params=query, data=data, headers=headers)
        task = asyncio.get_running_loop().create_task(call)
        self._pending.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Object]) -> None:
        self._pending.discard(task)
        if not task.cancelled():
            task.exception()  # its caller may be gone: then nobody else asks for it

    async def _perform(self, method: str, path: str, **options: Any) -> Object:
        async with self._exchange(method, path, **options) as answer:
            parsed = json.loads(await answer.read())
        if not isinstance(parsed, dict):
            raise ApiError(answer.status, "Invalid", f"{method} {path}: not an object")
        return parsed

    @contextlib.asynccontextmanager
    async def _exchange(
        self, method: str, path: str, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request; whatever goes wrong with it, in the body too, becomes an ApiError."""
        url = self._access.server + path
        try:
            async with self._open().request(method, url, **options) as answer:
                try:
                    if answer.status >= 400:
                        raise error_from(answer.status, answer.reason, await answer.read())
                    yield answer
                finally:
                    # Left early: a graceful end of TLS would outlast the event loop.
                    if answer.connection is not None and answer.connection.transport is not None:
                        answer.connection.transport.abort()
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
            # ValueError: no JSON, since the connection broke or this is no API server.
            self._reload()
            raise unreachable(method, path, error) from error
        except ApiError as error:
            if error.status == 401:
                self._reload()
            raise

    def _reload(self) -> None:
        """Take up what the kubeconfig says now. Requests under way end on the old session."""
        if self._kubeconfig is None or self._session is None:
            return
        try:
            access = load_access(self._kubeconfig)
        except KubeconfigError as error:
            log.debug("keeping the old access: %s", error)
            return
        if access != self._access:
            self._access = access
            self._retired.append(self._session)
            self._session = _session(access)


class Informer:
    """A live local copy of one collection, kept by a list and then a watch.

    `objects` maps (namespace, name) to the newest object seen ("" for cluster-scoped ones). Treat
    the objects as read-only: they are shared with every callback.
    """

    def __init__(self, client: ApiClient, path: str, **query: str) -> None:
        self.objects: dict[Key, Object] = {}
        self.path = path
        self._client = client
        self._query = query
        self._callbacks: list[ChangeCallback] = []
        self._synced = asyncio.Event()
        self._version = 0
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def on_change(self, callback: ChangeCallback) -> None:
        """Call back with "ADDED", "MODIFIED" or "DELETED" and the object, in the event loop.

        What is already known is reported as ADDED at once. A callback must not block.
        """
        self._callbacks.append(callback)
        for obj in list(self.objects.values()):
            callback("ADDED", obj)

    async def synced(self) -> None:
        """Wait for the first complete list."""
        await self._synced.wait()

    async def reached(self, version: str, seconds: float = REQUEST_SECONDS) -> bool:
        """Wait until `objects` reflects a write that returned this resourceVersion.

        False when it still does not after `seconds`. (Versions of one resource can be compared as
        numbers; the API guarantees it.)
        """
        return await self.until(lambda: self._version >= int(version), seconds)

    async def until(self, condition: Callable[[], bool], seconds: float = REQUEST_SECONDS) -> bool:
        """Wait until `condition` holds, asking after each change; False after `seconds`."""
        if condition():
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (condition, future)
        self._waiters.append(waiter)
        try:
            await asyncio.wait_for(future, seconds)
        except asyncio.TimeoutError:
            return False
        finally:
            self._waiters.remove(waiter)
        return True

    async def run(self) -> None:
        """Follow the collection until cancelled, whatever becomes of the server."""
        first, longest = BACKOFF_SECONDS
        pause = first
        now = asyncio.get_running_loop().time
        while True:
            begun = now()
            try:
                await self._follow(await self._list())
            except ApiError as error:
                if error.status == 410:
                    log.info("%s: listing anew: %s", self.path, error.message)
                else:
                    log.warning("%s: %s", self.path, error)
                if now() - begun > longest:  # it worked for a while: not the same trouble
                    pause = first
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(longest, pause * 2)

    async def _list(self) -> str:
        """Make `objects` equal to the server's collection; returns its resourceVersion."""
        answer = await self._client.get(self.path, **self._query)
        fresh = {key_of(obj): obj for obj in items_of(answer)}
        for key in [key for key in self.objects if key not in fresh]:
            self._report("DELETED", self.objects.pop(key))
        for key, obj in fresh.items():
            self._store(key, obj)
        version = str(answer["metadata"]["resourceVersion"])
        self._advance(version)
        self._synced.set()
        return version

    async def _follow(self, version: str) -> None:
        """Apply events from `version` on; returns never, raises ApiError when a list is due."""
        while True:
            async for kind, obj in self._client.watch(
                self.path, resourceVersion=version, **self._query
            ):
                version = obj["metadata"]["resourceVersion"]
                if kind == "DELETED":
                    self.objects.pop(key_of(obj), None)
                    self._report("DELETED", obj)
                elif kind != "BOOKMARK":
                    self._store(key_of(obj), obj)
                self._advance(version)
            await asyncio.sleep(BACKOFF_SECONDS[0])  # a server that ends each watch at once

    def _store(self, key: Key, obj: Object) -> None:
        known = self.objects.get(key)
        if known is not None and known["metadata"]["uid"] != obj["metadata"]["uid"]:
            self._report("DELETED", self.objects.pop(key))  # its end was missed during an outage
            known = None
        if known is None:
            self.objects[key] = obj
            self._report("ADDED", obj)
        elif known["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
            self.objects[key] = obj
            self._report("MODIFIED", obj)

    def _advance(self, version: str) -> None:
        self._version = int(version)
        for condition, future in self._waiters:
            if not future.done() and condition():
                future.set_result(None)

    def _report(self, kind: str, obj: Object) -> None:
        for callback in self._callbacks:
            callback(kind, obj)


def key_of(obj: Object) -> Key:
    """(namespace, name); the namespace of a cluster-scoped object is ""."""
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def items_of(answer: Object) -> Objects:
    """The items of a list object, with apiVersion and kind filled in where they are missing."""
    kind = str(answer.get("kind", "")).removesuffix("List")
    filled = {"apiVersion": answer.get("apiVersion", ""), "kind": kind}
    return [{**filled, **item} for item in answer.get("items") or []]


def _session(access: Access) -> aiohttp.ClientSession:
    headers = {"Accept": "application/json", "User-Agent": "theseus-ci-sandbox"}
    if access.token is not None:
        headers["Authorization"] = f"Bearer {access.token}"
    tls: ssl.SSLContext | bool = access.tls or True
    return aiohttp.ClientSession(
        headers=headers,
        connector=aiohttp.TCPConnector(ssl=tls),
        timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
    )


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length: an object may be larger than the reader's own line limit."""
    rest = bytearray()
    async for chunk in stream.iter_any():
        rest += chunk
        while (end := rest.find(b"\n")) >= 0:
            line = bytes(rest[:end])
            del rest[: end + 1]
            if line.strip():
                yield line
    if rest.strip():
        yield bytes(rest)
