"""HTTP servers whose every byte the test decides."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import msgspec

OK_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Seen(msgspec.Struct, frozen=True):
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int  # number of the connection


class Server:
    """Records every request and lets `answer` write to the connection."""

    def __init__(self, answer: Answer) -> None:
        self.requests: list[Seen] = []
        self.connections = 0
        self.port = 0
        self.open: set[_Connection] = set()
        self._answer = answer

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while seen := await _read(reader, number):
                self.requests.append(seen)
                await self._answer(self, seen, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            writer.close()

    def drop(self) -> None:
        """Close every connection without waiting for the other side."""
        for connection in tuple(self.open):
            connection.drop()

    def url(self, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}"


class _Connection(asyncio.StreamReaderProtocol):
    """A connection that the server knows of for as long as its socket is open."""

    def __init__(self, server: Server) -> None:
        super().__init__(asyncio.StreamReader(), self._handle)
        self._server = server
        self._socket: asyncio.BaseTransport | None = None
        self._task: asyncio.Task[None] | None = None

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._task = asyncio.current_task()
        await self._server.handle(reader, writer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._server.open.add(self)
        self._socket = transport
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.open.discard(self)
        super().connection_lost(exc)

    def drop(self) -> None:
        if isinstance(self._socket, asyncio.WriteTransport):
            self._socket.abort()
        if self._task is not None:
            self._task.cancel()


async def _welcome(server: Server, accepted: socket.socket, tls: ssl.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()
    try:
        await loop.connect_accepted_socket(lambda: _Connection(server), accepted, ssl=tls)
    except OSError:  # the client does not trust our certificate
        accepted.close()


Answer = Callable[[Server, Seen, asyncio.StreamWriter], Awaitable[None]]


async def _read(reader: asyncio.StreamReader, number: int) -> Seen | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(method, path, headers, body, number)


@contextmanager
def running(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Serve on a free loopback port from a thread of its own until the block ends."""
    server = Server(answer)
    loop = asyncio.new_event_loop()
    listening = threading.Event()
    stop = asyncio.Event()

    welcomes: set[asyncio.Task[object]] = set()

    def accept(listener: socket.socket) -> None:
        """Unlike asyncio's own server, leaks nothing that arrives while it is being closed."""
        accepted, _ = listener.accept()
        welcome: asyncio.Task[object] = loop.create_task(_welcome(server, accepted, tls))
        welcomes.add(welcome)

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=1000) as listener:
            server.port = listener.getsockname()[1]
            loop.add_reader(listener, accept, listener)
            listening.set()
            await stop.wait()
            loop.remove_reader(listener)
            while (others := asyncio.all_tasks() - {asyncio.current_task()}) or server.open:
                server.drop()
                await asyncio.wait({*others, loop.create_task(asyncio.sleep(0.01))}, timeout=0.1)

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), daemon=True)
    thread.start()
    assert listening.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


async def always_ok(_: Server, __: Seen, writer: asyncio.StreamWriter) -> None:
    """200 with two bytes."""
    writer.write(OK_ANSWER)
