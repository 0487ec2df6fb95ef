"""Passes the requests of a load tool on to one version: adds its headers, counts, caps the rate.

Answers pass through unread. What it costs is in the latencies of both versions alike, about a tenth
of a millisecond.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from typing import cast

from theseus_ci.load.wire import Address
from theseus_ci.measure import Arm

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_HOST = re.compile(rb"\r\nhost:[^\r]*", re.IGNORECASE)


class Allowance:
    """At most `rate` requests a second for all relays together, a second's worth at once."""

    def __init__(self, rate: float) -> None:
        self.exceeded = False
        self._rate = rate
        self._left = rate
        self._at = time.monotonic()

    def take(self) -> bool:
        """Whether one request more may pass."""
        now = time.monotonic()
        self._left = min(self._rate, self._left + (now - self._at) * self._rate)
        self._at = now
        self._left -= 1
        self.exceeded = self.exceeded or self._left < 0
        return not self.exceeded


class Relay:
    """Listens on a free loopback port for one version."""

    def __init__(
        self,
        address: Address,
        place: tuple[str, int],
        tls: ssl.SSLContext | None,
        arm: Arm,
        allowance: Allowance,
    ) -> None:
        self.place = place
        self.tls = tls
        self.server_name = address.server_name if tls else None
        self.allowance = allowance
        self.open: set[asyncio.Transport] = set()
        self.requests = 0
        self.refused = ""  # why a request was not passed on
        self.port = 0
        self._base = address.base.encode()
        lines = {"Host": address.host, **arm.headers}
        self._lines = b"".join(f"\r\n{k}: {v}".encode("latin-1") for k, v in lines.items())
        self._names = re.compile(
            rb"\r\n(?:"
            + b"|".join(re.escape(name.encode()) for name in arm.headers)
            + rb"):[^\r]*",
            re.IGNORECASE,
        )

    async def listen(self) -> asyncio.Server:
        """Begin to accept connections."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Client(self), "127.0.0.1", 0, backlog=1000)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def rewritten(self, head: bytes) -> bytes:
        """A request's head as it is sent on."""
        first, _, rest = head.partition(b"\r\n")
        method, _, target = first.partition(b" ")
        rest = self._names.sub(b"", _HOST.sub(b"", b"\r\n" + rest))
        return method + b" " + self._base + target + self._lines + rest


class _Client(asyncio.Protocol):
    """The tool's side of a connection; the version's side is opened with it."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._unread = b""  # the beginning of a head
        self._body = 0  # bytes of a body that are still to come
        self._early: list[bytes] = []  # what came before the other side was there
        self._other: asyncio.Transport | None = None
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._relay.open.add(self._transport)
        self._opening = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        relay = self._relay
        host, port = relay.place
        try:
            transport, _ = await asyncio.get_running_loop().create_connection(
                lambda: _Server(relay, self._transport),
                host,
                port,
                ssl=relay.tls,
                server_hostname=relay.server_name,
            )
        except OSError:
            self._transport.abort()  # as the version would refuse the tool
            return
        self._other = transport
        if self._early:
            self._other.write(b"".join(self._early))

    def data_received(self, data: bytes) -> None:
        while data:
            if self._body:
                part, data = data[: self._body], data[self._body :]
                self._body -= len(part)
                self._pass_on(part)
                continue
            head, end, data = (self._unread + data).partition(_END)
            if not end:
                self._unread = head
                return
            self._unread = b""
            if not self._take(head):
                self._transport.abort()
                return

    def _take(self, head: bytes) -> bool:
        relay = self._relay
        if _CHUNKED.search(head):
            relay.refused = "a request's body has no Content-Length"
            return False
        if not relay.allowance.take():
            return False
        relay.requests += 1
        length = _LENGTH.search(head)
        self._body = int(length[1]) if length else 0
        self._pass_on(relay.rewritten(head) + _END)
        return True

    def _pass_on(self, data: bytes) -> None:
        if self._other is None:
            self._early.append(data)
        else:
            self._other.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._relay.open.discard(self._transport)
        if self._other is not None:
            self._other.abort()
        elif self._opening is not None:
            self._opening.cancel()


class _Server(asyncio.Protocol):
    """The version's side: every byte goes to the tool."""

    def __init__(self, relay: Relay, tool: asyncio.Transport) -> None:
        self._relay = relay
        self._tool = tool

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._relay.open.add(self._transport)

    def data_received(self, data: bytes) -> None:
        self._tool.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._relay.open.discard(self._transport)
        self._tool.close()
