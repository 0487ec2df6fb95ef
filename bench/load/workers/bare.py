"""What httptools on uvloop costs at least: sends, parses the answer, and keeps no books."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
import uvloop

from bench.load.workers import Samples
from theseus_ci.load.timer import Timer

_OVERLOAD = 100_000.0  # requests a second beyond which each answer is the next request's moment
_PATIENCE = 1_000_000  # nanoseconds between two looks for an idle connection


def measure(url: str, rate: float, seconds: float, connections: int) -> Samples:
    """A closed loop, or at a lower rate one timer and a list of idle connections: no samples."""
    loop = uvloop.new_event_loop()
    loop.run_until_complete(_run(url, rate, seconds, connections))
    loop.close()
    return [], []


async def _run(url: str, rate: float, seconds: float, connections: int) -> None:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def fail(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not ended.done():
            ended.set_exception(context["exception"])

    loop.set_exception_handler(fail)
    parts = urlsplit(url)
    request = f"GET / HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
    idle: list[_Connection] = []
    closed = rate >= _OVERLOAD
    answered = _Connection.ask if closed else idle.append
    for _ in range(connections):
        _, connection = await loop.create_connection(
            lambda: _Connection(request, answered), str(parts.hostname), parts.port or 80
        )
        idle.append(connection)
    if closed:
        for connection in idle:
            connection.ask()
        loop.call_later(seconds, ended.set_result, None)
        await ended
    else:
        await _paced(idle, round(1e9 / rate), round(rate * seconds), ended)


async def _paced(
    idle: list[_Connection], gap: int, requests: int, ended: asyncio.Future[None]
) -> None:
    due = time.monotonic_ns() + gap
    sent = 0

    def send_due() -> None:
        nonlocal due, sent
        while due <= (now := time.monotonic_ns()):
            if not idle:
                timer.at(now + _PATIENCE)
                return
            idle.pop().ask()
            due += gap
            sent += 1
            if sent == requests:
                ended.set_result(None)
                return
        timer.at(due)

    timer = Timer(asyncio.get_running_loop(), send_due)
    timer.at(due)
    await ended
    timer.close()


class _Connection(asyncio.Protocol):
    """One request at a time; `answered` is told of each answer."""

    def __init__(self, request: bytes, answered: Callable[[_Connection], None]) -> None:
        self._request = request
        self._answered = answered
        self._parser = httptools.HttpResponseParser(self)
        self._feed = self._parser.feed_data

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = cast(asyncio.Transport, transport).write

    def ask(self) -> None:
        """Send a request."""
        self._write(self._request)

    def data_received(self, data: bytes) -> None:
        self._feed(data)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() != 200:
            raise RuntimeError("an answer that is no 200")
        self._answered(self)
