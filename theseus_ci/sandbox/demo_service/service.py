"""What each path answers, as the bytes of one whole response."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from theseus_ci.sandbox.demo_service.behaviour import Behaviour
from theseus_ci.sandbox.demo_service.faults import Fate, Faults
from theseus_ci.sandbox.demo_service.metrics import Metrics

PROBE_PATHS = frozenset({"/health", "/ready", "/metrics"})
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_JSON = "application/json"

Content = tuple[int, str, bytes, str]
"""Status, content type, body, further header lines."""


@dataclass
class Request:
    """One whole request; path without its query."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    keep_alive: bool
    received: float = field(default_factory=time.monotonic)
    counted: bool = False

    @property
    def is_probe(self) -> bool:
        return self.path in PROBE_PATHS


class Service:
    """Answers requests; holds what is common to all connections."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.faults = Faults(behaviour)
        self.metrics = Metrics(behaviour.version)
        self.ready_at = time.monotonic() + behaviour.ready_delay
        self.terminating = False
        self.closing = False
        self._special: dict[str, Callable[[Request], Content]] = {
            "/health": self._health,
            "/ready": self._readiness,
            "/metrics": self._exposition,
            "/redirect": self._redirection,
            "/echo": self._echo,
        }
        identity = f"x-demo-version: {behaviour.version}\r\nx-demo-pod: {behaviour.pod}\r\n"
        self._identity = identity.encode("latin-1", "replace")

    def draw(self, request: Request) -> Fate:
        """Return the request's fate; it is in flight until `finish`."""
        if request.is_probe:
            return self.faults.draw_probe(request.path)
        request.counted = True
        return self.faults.draw(request.path)

    def finish(self, request: Request) -> None:
        """Take the request out of those in flight; call once, answered or not."""
        if request.counted:
            request.counted = False
            self.faults.in_flight -= 1

    def answer(self, request: Request, fate: Fate) -> bytes:
        """Return the whole response and count it."""
        status, content_type, body, more = self._content(request, fate)
        if not request.is_probe:
            self.metrics.count(status, time.monotonic() - request.received)
        if self.behaviour.access_log:
            took = (time.monotonic() - request.received) * 1000
            line = f"{request.method} {request.path} {status} {len(body)} {took:.1f}ms"
            print(line, file=sys.stdout, flush=True)
        return self.response(
            status,
            content_type,
            body,
            more,
            head_only=request.method == "HEAD",
            close=not request.keep_alive,
        )

    def response(
        self,
        status: int,
        content_type: str,
        body: bytes,
        more: str = "",
        *,
        head_only: bool = False,
        close: bool,
    ) -> bytes:
        phrase = _PHRASES.get(status, "Unknown")
        connection = "connection: close\r\n" if close else ""
        head = (
            f"HTTP/1.1 {status} {phrase}\r\ncontent-type: {content_type}\r\n"
            f"content-length: {len(body)}\r\n{more}{connection}"
        )
        return head.encode("latin-1") + self._identity + b"\r\n" + (b"" if head_only else body)

    def _content(self, request: Request, fate: Fate) -> Content:
        if fate.status is not None:
            return fate.status, _JSON, self._json(error=f"fault: {fate.status}"), ""
        special = self._special.get(request.path)
        if special is not None:
            return special(request)
        about = self._json(
            path=request.path, query=request.query, method=request.method, headers=request.headers
        )
        return 200, _JSON, about, ""

    def _health(self, request: Request) -> Content:
        return 200, _JSON, self._json(status="ok"), ""

    def _exposition(self, request: Request) -> Content:
        text = self.metrics.text(self.faults.in_flight)
        return 200, "text/plain; version=0.0.4; charset=utf-8", text.encode(), ""

    def _redirection(self, request: Request) -> Content:
        where = self.behaviour.redirect
        return 302, _JSON, self._json(location=where), f"location: {where}\r\n"

    def _echo(self, request: Request) -> Content:
        kind = request.headers.get("content-type", "application/octet-stream")
        return 200, kind, request.body, ""

    def _readiness(self, request: Request) -> Content:
        if self.terminating:
            return 503, _JSON, self._json(status="terminating"), ""
        if time.monotonic() < self.ready_at:
            return 503, _JSON, self._json(status="starting"), ""
        return 200, _JSON, self._json(status="ready"), ""

    def _json(self, **fields: object) -> bytes:
        whole = {"version": self.behaviour.version, "pod": self.behaviour.pod, **fields}
        return json.dumps(whole).encode() + b"\n"
