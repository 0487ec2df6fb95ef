"""The kubelet's own HTTP server: `kubectl logs` reads here, through the API server."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import trustme
from aiohttp import web

from theseus_ci.sandbox.kubelet.clock import parse_time
from theseus_ci.sandbox.kubelet.logs import LogFile, read_lines, split_line


@dataclass(frozen=True)
class LogSource:
    """One container's log: where it is stored, and the writer if it still runs."""

    path: Path
    writer: LogFile | None


class LogUnavailableError(Exception):
    """There is no such log; `status` is the HTTP status that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


FindLog = Callable[[str, str, str, bool], LogSource]
"""(namespace, pod, container, previous) to the log. Raises LogUnavailableError."""


@dataclass(frozen=True)
class Query:
    """The options of a log request, as the API defines them."""

    follow: bool
    previous: bool
    timestamps: bool
    tail: int | None
    since: datetime | None
    limit: int | None

    @classmethod
    def of(cls, request: web.Request) -> Query:
        """Raises HTTPBadRequest."""
        query = request.query
        try:
            tail = int(query["tailLines"]) if "tailLines" in query else None
            limit = int(query["limitBytes"]) if "limitBytes" in query else None
            since = parse_time(query["sinceTime"]) if "sinceTime" in query else None
            if "sinceSeconds" in query:
                age = timedelta(seconds=int(query["sinceSeconds"]))
                since = datetime.now(timezone.utc) - age
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"bad log option: {error}\n") from error
        return cls(
            follow=_true(query.get("follow")),
            previous=_true(query.get("previous")),
            timestamps=_true(query.get("timestamps")),
            tail=tail,
            since=since,
            limit=limit,
        )

    def render(self, line: bytes) -> bytes:
        """The line as asked for; empty when it is too old."""
        stamp, text = split_line(line)
        if self.since is not None and parse_time(stamp) < self.since:
            return b""
        return stamp.encode() + b" " + text if self.timestamps else text

    def stored(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        rendered = filter(None, map(self.render, lines))
        if self.tail is None:
            yield from rendered
        elif self.tail > 0:
            yield from deque(rendered, maxlen=self.tail)


def _true(text: str | None) -> bool:
    return text in {"true", "1", "True"}


def self_signed(address: str) -> ssl.SSLContext:
    """What a kubelet without a certificate of its own makes up; API servers accept it unasked."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA(organization_name="theseus-ci sandbox").issue_cert(address).configure_cert(context)
    return context


class LogServer:
    """Listens on loopback at a port of its own choosing."""

    def __init__(self, find: FindLog) -> None:
        self._find = find
        self._runner: web.AppRunner | None = None

    async def start(self, address: str, tls: ssl.SSLContext | None) -> int:
        """Return the port it listens on, with TLS if it is given what it needs for that."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, address, 0, ssl_context=tls)
        await site.start()
        port: int = self._runner.addresses[0][1]
        return port

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        query = Query.of(request)
        names = request.match_info
        try:
            source = self._find(
                names["namespace"], names["pod"], names["container"], query.previous
            )
        except LogUnavailableError as error:
            return web.Response(status=error.status, text=f"{error}\n")
        response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        # Nothing is awaited between reading the file and following it, so no line is lost.
        stored = list(query.stored(read_lines(source.path)))
        following = source.writer.follow() if query.follow and source.writer else None
        try:
            await response.prepare(request)
            sender = _Sender(response, query.limit)
            await sender.send(b"".join(stored))
            while following is not None and not sender.full:
                line = await following.get()
                if line is None:
                    break
                await sender.send(query.render(line))
            await response.write_eof()
        except (ConnectionError, asyncio.CancelledError):
            if request.transport is None or request.transport.is_closing():
                return response  # the reader went away, which is how `logs -f` ends
            raise
        finally:
            if following is not None and source.writer is not None:
                source.writer.unfollow(following)
        return response


class _Sender:
    """Writes to the response up to a limit in bytes."""

    def __init__(self, response: web.StreamResponse, limit: int | None) -> None:
        self._response = response
        self._left = limit

    @property
    def full(self) -> bool:
        return self._left is not None and self._left <= 0

    async def send(self, data: bytes) -> None:
        if self._left is not None:
            data = data[: max(self._left, 0)]
            self._left -= len(data)
        if data:
            await self._response.write(data)
