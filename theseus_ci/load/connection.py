"""One HTTP/1.1 connection that carries one request at a time."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Protocol, cast

import httptools

from theseus_ci.measure import BAD_STATUS, NO_CONNECTION, OK

if TYPE_CHECKING:
    from theseus_ci.load.exchange import Exchange

_MOST_TEXT = 500  # bytes of a bad answer's body
_NO_BODY = {204, 304}
_FRAMED = re.compile(rb"^(?:content-length|transfer-encoding)\s*:", re.IGNORECASE | re.MULTILINE)


class Owner(Protocol):
    """Who lends a connection out."""

    expected: frozenset[int]
    keep_alive: bool

    def connected(self, connection: Connection) -> None: ...

    def released(self, connection: Connection) -> None: ...

    def lost(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """Writes a request, reads its answer, gives itself back or closes."""

    __slots__ = (
        "_complete",
        "_exchange",
        "_head",
        "_headers_complete",
        "_keep",
        "_owner",
        "_parser",
        "_status",
        "_surplus",
        "_text",
        "_transport",
        "_unexpected",
        "_write",
        "idle_since",
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self.idle_since = 0  # nanoseconds of the monotonic clock
        self._begin_answer()
        self._parser = httptools.HttpResponseParser(self)

    def _begin_answer(self) -> None:
        self._head = b""  # what came before the headers were complete
        self._headers_complete = False
        self._complete = False
        self._surplus = False
        self._keep = False
        self._status = 0
        self._unexpected = False  # the status
        self._text = b""

    def send(self, exchange: Exchange) -> None:
        """Write a request. The connection must be idle."""
        assert self._exchange is None
        self._exchange = exchange
        exchange.carrier = self
        self._head = self._text = b""
        self._headers_complete = self._complete = self._unexpected = False
        self._write(exchange.payload.data)

    def abandon(self) -> None:
        """Drop the connection with whatever it carries."""
        self._exchange = None
        if self._transport is not None:
            self._transport.abort()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self._write = self._transport.write
        self._owner.connected(self)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        if self._exchange is None:
            self.abandon()  # nobody asked
            return
        if not self._headers_complete:
            self._head += data
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._complete:
                self._fail(now, f"malformed answer: {error}")
                return
            self._surplus = True
        if self._complete:
            self._finish(now)

    def connection_lost(self, exc: Exception | None) -> None:
        now = time.monotonic_ns()
        self._transport = None
        if self._exchange is not None:
            head = self._head.partition(b"\r\n\r\n")[0]
            if exc is None and self._headers_complete and not _FRAMED.search(head):
                self._finish(now)  # such an answer ends where the connection does
            else:
                self._fail(now, self._reason(exc))
        self._owner.lost(self)

    def _reason(self, error: Exception | None) -> str:
        when = "before the answer was complete" if self._head else "without an answer"
        return f"connection closed {when}" + (f": {error}" if error else "")

    # httptools' side

    def on_message_begin(self) -> None:
        self._surplus = self._complete

    def on_headers_complete(self) -> None:
        if self._complete:
            return
        self._status = status = self._parser.get_status_code()
        if status < 200:
            return
        self._headers_complete = True
        self._unexpected = status not in self._owner.expected
        exchange = self._exchange
        if status in _NO_BODY or (exchange is not None and exchange.payload.bodyless):
            self._keep = self._parser.should_keep_alive()
            self._complete = True
            self._parser = httptools.HttpResponseParser(self)  # the old one waits for a body

    def on_body(self, body: bytes) -> None:
        if self._unexpected and len(self._text) < _MOST_TEXT:
            self._text += body[: _MOST_TEXT - len(self._text)]

    def on_message_complete(self) -> None:
        if self._headers_complete and not self._complete:
            self._keep = self._parser.should_keep_alive()
            self._complete = True

    # the exchange's end

    def _finish(self, now: int) -> None:
        exchange = self._exchange
        assert exchange is not None
        self._exchange = None
        if self._unexpected:
            text = self._text.decode("utf-8", "replace")
            exchange.finish(now, BAD_STATUS, self._status, text)
        else:
            exchange.finish(now, OK, self._status)
        if self._transport is None:
            return
        if self._keep and not self._surplus and self._owner.keep_alive:
            self.idle_since = now
            self._owner.released(self)
        else:
            self._transport.close()

    def _fail(self, now: int, reason: str) -> None:
        exchange = self._exchange
        assert exchange is not None
        exchange.finish(now, NO_CONNECTION, 0, reason)
        self.abandon()
