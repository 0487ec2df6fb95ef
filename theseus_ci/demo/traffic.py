"""The demo's users: a steady stream of requests, sent and counted in a process of its own.

It shares no code with the tool's load generator, so that what it counts is a second opinion. The
model is open: a request is sent when its moment has come, whatever became of those before it. No
request is ever repeated, not even on a kept-alive connection that the server has just closed:
what a user would have lost is counted as lost.

    python -m theseus_ci.demo.traffic --url http://127.0.0.1:8080 --host NAME --rate 200 --out FILE

Runs until SIGTERM, then waits for the answers under way. FILE gets a line for each request.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, TextIO, cast
from urllib.parse import urlsplit

import httptools

PATH = "/hello"
TIMEOUT_SECONDS = 10.0
TELL_SECONDS = 5.0
SAVE_SECONDS = 0.25
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Request(NamedTuple):
    """One request: when it was due (seconds since the epoch), how long its answer took from then
    on (seconds), its status (0: none), who answered ("" is the mesh itself), and what went wrong
    on the way."""

    due: float
    seconds: float
    status: int
    version: str
    error: str

    @property
    def answered(self) -> bool:
        """Whether the user got what was asked for."""
        return 200 <= self.status < 300

    @property
    def failed_by_version(self) -> bool:
        """Whether a version of the service itself answered with an error."""
        return bool(self.version) and not self.answered

    @property
    def lost(self) -> bool:
        """Whether no version answered: a connection broke, or the mesh had nowhere to send it."""
        return not self.answered and not self.failed_by_version


def read_requests(path: Path) -> list[Request]:
    """All requests that a traffic process has recorded. Raises OSError."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Request(float(due), float(seconds), int(status), version, error)
            for due, seconds, status, version, error in csv.reader(file)
        ]


class _Connection(asyncio.Protocol):
    """One kept-alive connection; one request at a time."""

    def __init__(self, idle: list[_Connection]) -> None:
        self._idle = idle
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, str]] | None = None
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._version = ""

    async def ask(self, request: bytes) -> tuple[int, str]:
        """Status and version of the answer. Raises OSError when there is none."""
        if self._transport is None:
            raise ConnectionError("closed before the request")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self in self._idle:
            self._idle.remove(self)
        self._fail(ConnectionError(str(error) if error else "closed before the answer"))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"not HTTP: {error}"))
            self.abort()

    # -- httptools --------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-demo-version":
            self._version = value.decode("latin-1")

    def on_message_complete(self) -> None:
        answer, self._answer = self._answer, None
        status, version = self._parser.get_status_code(), self._version
        if not self._parser.should_keep_alive() or answer is None:
            self.abort()
        else:
            self._begin()
            self._idle.append(self)
        if answer is not None and not answer.done():
            answer.set_result((status, version))

    def _fail(self, error: OSError) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)


class Traffic:
    """Sends, counts and records."""

    def __init__(self, url: str, host: str, rate: float, out: TextIO) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._request = f"GET {PATH} HTTP/1.1\r\nhost: {host}\r\naccept: */*\r\n\r\n".encode()
        self._interval = 1.0 / rate
        self._rows = csv.writer(out)
        self._out = out
        self._idle: list[_Connection] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._recent: list[Request] = []

    async def run(self) -> None:
        """Until a stop signal; returns when every request has ended one way or the other."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, stop.set)
        regular = [
            loop.create_task(self._send(stop)),
            loop.create_task(self._tell(stop)),
            loop.create_task(self._save(stop)),
        ]
        await asyncio.gather(*regular)
        if self._under_way:
            await asyncio.wait(self._under_way)
        self._out.flush()
        for connection in list(self._idle):
            connection.abort()

    async def _send(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        due, offset = loop.time(), time.time() - loop.time()
        while not stop.is_set():
            while due <= loop.time():
                task = loop.create_task(self._one(due, due + offset))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
                due += self._interval
            await asyncio.sleep(due - loop.time())

    async def _one(self, due: float, due_epoch: float) -> None:
        loop = asyncio.get_running_loop()
        status, version, error = 0, "", ""
        connection: _Connection | None = None
        try:
            connection = self._idle.pop() if self._idle else await self._connect()
            asking = connection.ask(self._request)
            status, version = await asyncio.wait_for(asking, TIMEOUT_SECONDS)
        except asyncio.TimeoutError:
            error = f"no answer within {TIMEOUT_SECONDS:g} s"
        except OSError as failure:
            error = str(failure) or type(failure).__name__
        if error and connection is not None:
            connection.abort()
        request = Request(due_epoch, loop.time() - due, status, version, error)
        self._recent.append(request)
        self._rows.writerow((f"{due_epoch:.3f}", f"{request.seconds:.4f}", *request[2:]))

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        connecting = loop.create_connection(lambda: _Connection(self._idle), *self._address)
        _, connection = await asyncio.wait_for(connecting, TIMEOUT_SECONDS)
        return connection

    async def _save(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await _either(stop, SAVE_SECONDS)
            self._out.flush()

    async def _tell(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await _either(stop, TELL_SECONDS)
            recent, self._recent = self._recent, []
            if recent and not stop.is_set():
                print(f"{time.strftime('%H:%M:%S')}  ~ {sentence(recent)}", flush=True)


def sentence(requests: Iterable[Request]) -> str:
    """What people read of some requests: how many, answered by whom, how many lost."""
    listed = list(requests)
    answers = Counter(request.version for request in listed if request.answered)
    shares = ", ".join(
        f"{version} {100 * count / len(listed):.1f} %" for version, count in sorted(answers.items())
    )
    lost = sum(request.lost for request in listed)
    median = sorted(request.seconds for request in listed)[len(listed) // 2] * 1000
    told = f"traffic: {len(listed)} requests, answered by {shares or 'nobody'}"
    failed = sum(request.failed_by_version for request in listed)
    errors = f", {failed} failed by the version itself" if failed else ""
    return f"{told}; median {median:.0f} ms; {lost or 'none'} lost{errors}"


async def _either(stop: asyncio.Event, seconds: float) -> None:
    """Return at the stop, or after `seconds`."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except asyncio.TimeoutError:
        return


def main() -> int:
    parser = argparse.ArgumentParser(description="Steady traffic, counted.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    with args.out.open("w", encoding="utf-8", newline="") as out:
        asyncio.run(Traffic(args.url, args.host, args.rate, out).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
