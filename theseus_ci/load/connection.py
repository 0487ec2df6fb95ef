"""One HTTP/1.1 connection that carries one request at a time."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from typing import Protocol, cast

import httptools

from theseus_ci.load.heads import END, KnownHeads
from theseus_ci.load.slice_run import SliceRun
from theseus_ci.measure import BAD_STATUS, NO_CONNECTION

_MOST_TEXT = 500  # bytes of a bad answer's body
_KEPT = 65_536  # bytes of an answer that are kept until it is complete, for its head and a sample
_NO_BODY = {204, 304}
_INTERIM = re.compile(rb"HTTP/1\.\d 1\d\d")
_FRAMED = re.compile(rb"^(?:content-length|transfer-encoding)\s*:", re.IGNORECASE | re.MULTILINE)


class Owner(Protocol):
    """Who lends a connection out."""

    expected: frozenset[int]
    keep_alive: bool
    heads: KnownHeads

    def connected(self, connection: Connection) -> None: ...

    def released(self, connection: Connection) -> None: ...

    def lost(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """Writes a request, reads its answer, gives itself back or closes.

    What is here is done for every request, thousands of times a second: an answer that begins as
    one before did needs no parsing, the parser calls back only where a message begins and where it
    is complete, and what is rarely asked (the body of an answer nobody wants, an answer without
    one) is found out from the bytes when it is.
    """

    __slots__ = (
        "_index",
        "_keep",
        "_known",
        "_owner",
        "_parser",
        "_run",
        "_seen",
        "_status",
        "_surplus",
        "_transport",
        "_write",
        "idle_since",
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._known = owner.heads.known
        self._transport: asyncio.Transport | None = None
        self._run: SliceRun | None = None
        self._index = 0  # of the request in the slice
        self._seen = b""  # the beginning of the answer
        self._status = 0  # 0 until the answer is complete
        self._keep = False
        self._surplus = False
        self._parser = httptools.HttpResponseParser(self)
        self.idle_since = 0  # nanoseconds of the monotonic clock

    def send(self, run: SliceRun, index: int) -> None:
        """Write a request. The connection must be idle."""
        self._run = run
        self._index = index
        self._write(run.data[index])

    def carries(self, run: SliceRun, index: int) -> bool:
        """Whether it is this request that is under way here."""
        return self._run is run and self._index == index

    def abandon(self) -> None:
        """Drop the connection with whatever it carries."""
        self._run = None
        if self._transport is not None:
            self._transport.abort()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self._write = self._transport.write
        self._owner.connected(self)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        run = self._run
        if run is None:
            self.abandon()  # nobody asked
            return
        known = self._known.get(data[: data.find(END)])
        if known is not None and known[1] == len(data) and not self._seen:
            self._run = None
            run.record(self._index, now, known[0])
            self.idle_since = now
            self._owner.released(self)
        else:
            self._parse(now, data)

    def _parse(self, now: int, data: bytes) -> None:
        if not self._seen:
            self._seen = data
        elif len(self._seen) < _KEPT:
            self._seen += data
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._status:
                self._fail(now, f"malformed answer: {error}")
                return
            self._surplus = True
        if self._status or self._ends_with_its_head():
            self._finish(now)

    def connection_lost(self, exc: Exception | None) -> None:
        now = time.monotonic_ns()
        self._transport = None
        if self._run is not None:
            head = self._head()
            if exc is None and head is not None and not _FRAMED.search(head):
                self._status = self._parser.get_status_code()
                self._finish(now)  # such an answer ends where the connection does
            else:
                self._fail(now, self._reason(exc))
        self._owner.lost(self)

    # httptools' side

    def on_message_begin(self) -> None:
        self._surplus = self._status != 0

    def on_message_complete(self) -> None:
        if not self._status:
            status = self._parser.get_status_code()
            if status >= 200:
                self._status = status
                self._keep = self._parser.should_keep_alive()

    # the request's end

    def _finish(self, now: int) -> None:
        run, status, seen = self._run, self._status, self._seen
        assert run is not None
        self._run, self._status, self._seen = None, 0, b""
        stays = self._keep and not self._surplus and self._owner.keep_alive
        if status not in self._owner.expected:
            run.fail(self._index, now, BAD_STATUS, status, _text(seen))
        else:
            run.record(self._index, now, status)
            if stays and len(seen) < _KEPT:
                self._owner.heads.learn(seen, status)
        if self._transport is None:
            return
        if stays:
            self.idle_since = now
            self._owner.released(self)
        else:
            self._transport.close()

    def _fail(self, now: int, reason: str) -> None:
        assert self._run is not None
        self._run.fail(self._index, now, NO_CONNECTION, 0, reason)
        self.abandon()

    # what is rarely asked

    def _ends_with_its_head(self) -> bool:
        """Whether the answer is complete although the parser waits for a body."""
        assert self._run is not None
        status = self._parser.get_status_code()
        if status not in _NO_BODY and not self._run.bodyless[self._index]:
            return False
        if self._head() is None:
            return False
        self._status = status
        self._keep = self._parser.should_keep_alive()
        self._surplus = not self._seen.endswith(END)
        self._parser = httptools.HttpResponseParser(self)
        return True

    def _head(self) -> bytes | None:
        """The answer's head once it is complete; that of an interim answer is not it."""
        rest = self._seen
        while True:
            head, end, rest = rest.partition(END)
            if not end:
                return None
            if not _INTERIM.match(head):
                return head

    def _reason(self, error: Exception | None) -> str:
        when = "before the answer was complete" if self._seen else "without an answer"
        return f"connection closed {when}" + (f": {error}" if error else "")


def _text(answer: bytes) -> str:
    body = _Body()
    with contextlib.suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):
        httptools.HttpResponseParser(body).feed_data(answer)
    return body.data[:_MOST_TEXT].decode("utf-8", "replace")


class _Body:
    """Collects what the parser takes for the body."""

    def __init__(self) -> None:
        self.data = b""

    def on_body(self, body: bytes) -> None:
        self.data += body
