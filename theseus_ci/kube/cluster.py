"""The kubernetes client behind the Cluster port.

Requests that fail for a passing reason (no connection, 429, 5xx) are repeated with back-off until
a deadline. That is safe for writes as well: a replacement is conditioned on a resourceVersion, a
deletion on a uid, and a creation that had succeeded answers AlreadyExists the second time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import urllib3.exceptions
from kubernetes.dynamic.exceptions import DynamicApiError

from theseus_ci.clock import SystemClock
from theseus_ci.errors import (
    CannotKnow,
    ClusterUnavailable,
    StaleObject,
    TheseusError,
    UnknownKind,
    UsageError,
)
from theseus_ci.kinds import KINDS, Kind
from theseus_ci.kube.connect import Connection
from theseus_ci.kube.errors import translate
from theseus_ci.model import Object, Objects

MERGE_PATCH = "application/merge-patch+json"
REFUSALS = frozenset({401, 403})  # of a watch: it would be refused again
TRANSIENT = frozenset({429, 500, 502, 503, 504})
FIRST_BACK_OFF_SECONDS = 0.2
LONGEST_BACK_OFF_SECONDS = 5.0
SHORTEST_REQUEST_SECONDS = 0.1
Request = Callable[[], urllib3.BaseHTTPResponse]


class KubernetesCluster:
    """Cluster port over HTTPS; every error is one of theseus_ci.errors or kube.errors."""

    def __init__(
        self,
        connection: Connection,
        clock: SystemClock,
        *,
        request_seconds: float = 10.0,
        retry_seconds: float = 30.0,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._request_seconds = request_seconds
        self._retry_seconds = retry_seconds
        self._until = math.inf

    def hurry(self, seconds: float) -> None:
        """From now on, all requests together have at most `seconds`."""
        self._until = self._clock.monotonic() + seconds

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        before = self._until
        self._until = min(before, self._clock.monotonic() + seconds)
        try:
            yield
        finally:
            self._until = before

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        entry = KINDS[kind]
        what = f"read {kind} {namespace}/{name}"
        return self._object(
            self._call("get", entry.path(namespace, name), entry, what, absent_is_fine=True), kind
        )

    def list(
        self, kind: str, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> Objects:
        return self._list(kind, namespace, labels, fields)[0]

    def create(self, obj: Object, *, dry_run: bool = False) -> Object:
        kind, namespace, name = _identity(obj)
        entry = _entry(kind, obj)
        what = f"create {kind} {namespace}/{name}"
        made = self._call("post", entry.path(namespace), entry, what, obj, dry_run=dry_run)
        return self._present(made, kind, what)

    def replace(self, obj: Object, *, dry_run: bool = False) -> Object:
        kind, namespace, name = _identity(obj)
        entry = _entry(kind, obj)
        what = f"update {kind} {namespace}/{name}"
        made = self._call("put", entry.path(namespace, name), entry, what, obj, dry_run=dry_run)
        return self._present(made, kind, what)

    def patch(self, obj: Object, change: Object, *, dry_run: bool = False) -> Object:
        kind, namespace, name = _identity(obj)
        entry = _entry(kind, obj)
        what = f"patch {kind} {namespace}/{name}"
        made = self._call(
            "patch", entry.path(namespace, name), entry, what, change, dry_run=dry_run
        )
        return self._present(made, kind, what)

    def delete(self, obj: Object) -> None:
        kind, namespace, name = _identity(obj)
        entry = _entry(kind, obj)
        metadata = obj["metadata"]
        conditions = {key: metadata[key] for key in ("uid", "resourceVersion") if metadata.get(key)}
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": conditions,
        }
        what = f"delete {kind} {namespace}/{name}"
        self._call("delete", entry.path(namespace, name), entry, what, body, absent_is_fine=True)

    def watch(
        self, kind: str, namespace: str, *, labels: str = "", fields: str = "", timeout: float
    ) -> Iterator[Objects]:
        deadline = self._clock.monotonic() + timeout
        pause = FIRST_BACK_OFF_SECONDS
        while True:
            items, version = self._list(kind, namespace, labels, fields)
            known = {item["metadata"]["uid"]: item for item in items}
            yield list(known.values())
            remaining = deadline - self._clock.monotonic()
            if remaining <= 0:
                return
            heard = False
            for event in self._events(kind, namespace, labels, fields, version, remaining):
                heard = True
                obj = event["object"]
                if event["type"] == "DELETED":
                    known.pop(obj["metadata"]["uid"], None)
                else:
                    known[obj["metadata"]["uid"]] = {**obj, "kind": kind}
                yield list(known.values())
            remaining = deadline - self._clock.monotonic()
            if remaining <= 0:
                return
            if heard:
                pause = FIRST_BACK_OFF_SECONDS
                continue
            self._clock.pause(min(pause, remaining))  # refused or cut: not to be asked for at once
            pause = min(pause * 2, LONGEST_BACK_OFF_SECONDS)

    def _events(
        self, kind: str, namespace: str, labels: str, fields: str, version: str, seconds: float
    ) -> Iterator[dict[str, Any]]:
        """Changes after `version`; ends when the server ends the watch or the history is gone."""
        entry = KINDS[kind]
        try:
            request = self._request(
                "get",
                entry.path(namespace),
                watch="true",
                resource_version=version,
                label_selector=labels or None,
                field_selector=fields or None,
                timeout_seconds=max(1, math.ceil(seconds)),
                query_params=[],
                header_params={},
                _request_timeout=(self._request_seconds, seconds + self._request_seconds),
            )
            response = self._clock.wait_for(request)
        except DynamicApiError as error:
            if error.status in REFUSALS:
                raise self._failure(
                    error,
                    f"watch {entry.plural} in {namespace}",
                    entry,
                    "watch",
                    entry.path(namespace),
                ) from error
            return
        except urllib3.exceptions.HTTPError:
            return
        try:
            for line in self._lines(response):
                event = json.loads(line)
                if event.get("type") not in ("ADDED", "MODIFIED", "DELETED"):
                    return
                yield event
        finally:
            response.close()

    def _lines(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        pending = b""
        chunks = response.stream(65536, decode_content=True)
        while True:
            try:
                chunk = self._clock.wait_for(lambda: next(chunks, b""))
            except (urllib3.exceptions.HTTPError, OSError):
                return
            except TheseusError:
                with suppress(ValueError, RuntimeError):  # it has ended in this very moment
                    response.shutdown()  # the thread that reads holds what `close` needs
                raise
            if not chunk:
                return
            *lines, pending = (pending + chunk).split(b"\n")
            yield from filter(None, lines)

    def _list(
        self, kind: str, namespace: str | None, labels: str, fields: str
    ) -> tuple[Objects, str]:
        entry = KINDS[kind]
        what = f"list {entry.plural} in {namespace or 'all namespaces'}"
        query = {"label_selector": labels or None, "field_selector": fields or None}
        answer = self._call("get", entry.path(namespace), entry, what, verb="list", query=query)
        if answer is None:
            raise UnknownKind(f"{what}: the cluster does not serve {entry.api_version} {kind}")
        items = [
            {**item, "apiVersion": entry.api_version, "kind": kind} for item in answer["items"]
        ]
        return items, str(answer["metadata"].get("resourceVersion", ""))

    def _call(
        self,
        method: str,
        path: str,
        kind: Kind,
        what: str,
        body: Object | None = None,
        *,
        verb: str = "",
        query: dict[str, Any] | None = None,
        dry_run: bool = False,
        absent_is_fine: bool = False,
    ) -> dict[str, Any] | None:
        """The decoded answer; None when absent and that is fine (or a list of an unknown kind)."""
        verb = verb or {"post": "create", "put": "update"}.get(method, method)
        deadline = min(self._clock.monotonic() + self._retry_seconds, self._until)
        back_off = FIRST_BACK_OFF_SECONDS
        while True:
            try:
                return self._once(method, path, body, query or {}, dry_run=dry_run)
            except DynamicApiError as error:
                if error.status == 404 and (absent_is_fine or verb == "list"):
                    return None
                failure = self._failure(error, what, kind, verb, path)
                wait = _retry_after(error) or back_off
                refused = method == "post" and isinstance(failure, StaleObject)  # by a quota, say
                transient = error.status in TRANSIENT or refused
                cause: Exception = error
            except (urllib3.exceptions.HTTPError, OSError) as error:
                failure = self._unreachable(what, error)
                wait, transient, cause = back_off, True, error
            except ValueError as error:
                raise ClusterUnavailable(f"{what}: {self._server} sent no JSON: {error}") from error
            if not transient or self._clock.monotonic() + wait > deadline:
                raise failure from cause
            self._clock.pause(wait)
            back_off = min(back_off * 2, LONGEST_BACK_OFF_SECONDS)

    def _failure(
        self, error: DynamicApiError, what: str, kind: Kind, verb: str, path: str
    ) -> CannotKnow | UsageError:
        return translate(
            error.status,
            error.body.encode() if isinstance(error.body, str) else error.body or b"",
            what=what,
            kind=kind,
            verb=verb,
            server=self._server,
            namespace=_namespace(kind, path),
        )

    def _once(
        self, method: str, path: str, body: Object | None, query: dict[str, Any], *, dry_run: bool
    ) -> dict[str, Any]:
        request = self._request(
            method,
            path,
            body=body,
            content_type=MERGE_PATCH if method == "patch" else None,
            dry_run="All" if dry_run else None,
            query_params=[],  # the client's own default is one list shared by all calls
            header_params={},
            _request_timeout=self._seconds_left(),
            **query,
        )
        return _checked(json.loads(self._clock.wait_for(lambda: request().data)))

    def _request(self, method: str, path: str, **options: Any) -> Request:
        """A request of the kubernetes client that answers with what the server sent."""
        return partial(self._connection.client.request, method, path, serialize=False, **options)

    def _seconds_left(self) -> float:
        left = self._until - self._clock.monotonic()
        return max(SHORTEST_REQUEST_SECONDS, min(self._request_seconds, left))

    @property
    def _server(self) -> str:
        return f"the API server {self._connection.server}"

    def _unreachable(self, what: str, error: Exception) -> ClusterUnavailable:
        reason = getattr(error, "reason", None) or error
        return ClusterUnavailable(
            f"{what}: {self._server} does not answer: {reason}",
            remedy="check the network and the kubeconfig: kubectl get --raw /readyz",
        )

    def _present(self, answer: dict[str, Any] | None, kind: str, what: str) -> Object:
        if answer is None:
            raise StaleObject(f"{what}: the object is gone")
        return {**answer, "kind": kind}

    def _object(self, answer: dict[str, Any] | None, kind: str) -> Object | None:
        return None if answer is None else {**answer, "kind": kind}


def _identity(obj: Object) -> tuple[str, str, str]:
    metadata = obj["metadata"]
    return obj["kind"], metadata.get("namespace", ""), metadata["name"]


def _entry(kind: str, obj: Object) -> Kind:
    if kind not in KINDS:
        raise CannotKnow(f"{obj.get('apiVersion')} {kind} is not a kind theseus-ci can handle")
    return KINDS[kind]


def _namespace(kind: Kind, path: str) -> str | None:
    """The namespace in a path; None when it asks for all of them, or for what is in none."""
    _, _, inner = path.partition("/namespaces/")
    return inner.partition("/")[0] if inner and kind.namespaced else None


def _checked(answer: object) -> dict[str, Any]:
    if isinstance(answer, dict):
        return answer
    raise ValueError("the answer is not an object")


def _retry_after(error: DynamicApiError) -> float | None:
    value = (error.headers or {}).get("Retry-After")
    return float(value) if value and str(value).isdigit() else None
