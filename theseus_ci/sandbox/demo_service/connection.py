"""One HTTP/1.1 connection: requests in, answers out in the same order, one write each.

Two writes for one answer would cost 40 ms (Nagle's algorithm and delayed acknowledgement).
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import cast

import httptools

from theseus_ci.sandbox.demo_service.faults import Fate
from theseus_ci.sandbox.demo_service.service import Request, Service

LARGEST_BODY = 16 * 1024 * 1024
MOST_PIPELINED = 64


class Connection(asyncio.Protocol):
    """Parses with httptools, which calls the `on_…` methods."""

    def __init__(self, service: Service, open_connections: OpenConnections) -> None:
        self.service = service
        self.open_connections = open_connections
        self.transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request] = deque()
        self._current: Request | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()

    # -- asyncio ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        self.open_connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.open_connections.remove(self)
        self.transport = None
        if self._timer is not None:
            self._timer.cancel()
        if self._current is not None:
            self.service.finish(self._current)
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Upgrades are not offered: the request is answered as it is, then the line closes.
            self._close_after_last()
        except httptools.HttpParserError:
            self._refuse(400)

    # -- httptools --------------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue" and self.transport:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body += body
        if len(self._body) > LARGEST_BODY:
            self._refuse(413)

    def on_message_complete(self) -> None:
        if self.transport is None:
            return
        path, _, query = self._url.decode("latin-1").partition("?")
        request = Request(
            method=self._parser.get_method().decode("latin-1"),
            path=path,
            query=query,
            headers=self._headers,
            body=bytes(self._body),
            keep_alive=self._parser.should_keep_alive(),
        )
        self._begin()
        if self._current is not None:
            self._waiting.append(request)
            if len(self._waiting) >= MOST_PIPELINED:
                self.transport.pause_reading()
        else:
            self._serve(request)

    # -- answers ----------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        return self._current is not None

    def _serve(self, request: Request) -> None:
        self._current = request
        fate = self.service.draw(request)
        if fate.hangs:
            return
        if fate.delay > 0:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(fate.delay, self._answer, request, fate)
        else:
            self._answer(request, fate)

    def _answer(self, request: Request, fate: Fate) -> None:
        self._timer = None
        self._current = None
        self.service.finish(request)
        if self.transport is None:
            return
        if self.service.closing:
            request.keep_alive = False
        self.transport.write(self.service.answer(request, fate))
        if not request.keep_alive:
            self.transport.close()
        elif self._waiting:
            following = self._waiting.popleft()
            if len(self._waiting) == MOST_PIPELINED // 2:
                self.transport.resume_reading()
            # Not from here: a long pipeline would recurse once for each request.
            self._current = following
            asyncio.get_running_loop().call_soon(self._serve, following)

    def close_when_idle(self) -> None:
        """Close now, or after the answer that is under way (`service.closing` sees to that)."""
        if not self.busy and self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Drop the connection and whatever is under way on it."""
        if self.transport is not None:
            self.transport.abort()

    def _close_after_last(self) -> None:
        last = self._waiting[-1] if self._waiting else self._current
        if last is not None:
            last.keep_alive = False
        elif self.transport is not None:
            self.transport.close()

    def _refuse(self, status: int) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        body = b'{"error": "refused"}\n'
        self.transport.write(self.service.response(status, "application/json", body, close=True))
        self.transport.close()


class OpenConnections:
    """The connections that are open now."""

    def __init__(self) -> None:
        self._open: set[Connection] = set()
        self._none = asyncio.Event()
        self._none.set()

    def add(self, connection: Connection) -> None:
        self._open.add(connection)
        self._none.clear()

    def remove(self, connection: Connection) -> None:
        self._open.discard(connection)
        if not self._open:
            self._none.set()

    async def end(self, *, abort: bool) -> None:
        """Abort all, or let each finish its answer; returns when none is left."""
        for connection in list(self._open):
            if abort:
                connection.abort()
            else:
                connection.close_when_idle()
        await self._none.wait()
