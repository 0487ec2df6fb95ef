"""Backends, clients and patience for the tests of the mesh."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from theseus_ci.sandbox import network

Object = dict[str, Any]
T = TypeVar("T")

SECONDS = 30.0


def eventually(check: Callable[[], T | None]) -> T:
    """The first result that is not None or False; AssertionErrors count as not yet."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            result = check()
            if result is not None and result is not False:
                return result
            problem: object = f"last result {result!r}"
        except (AssertionError, OSError, http.client.HTTPException) as error:
            problem = error
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come about: {problem}")
        time.sleep(0.02)


@dataclass
class Backend:
    """An HTTP server at a pod's folded address; answers with what it was asked, as JSON."""

    name: str
    address: str
    port: int
    server: ThreadingHTTPServer
    seen: Counter[str] = field(default_factory=Counter)
    connections: list[socket.socket] = field(default_factory=list)

    def close(self) -> None:
        """As when the process dies: nothing listens, and every connection is closed."""
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def start_backend(name: str, address: str) -> Backend:
    """Listen at the folded address, at a free port that is also the pod's port."""
    bound, _ = network.fold(address, 1024)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            backend.connections.append(self.connection)

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length).decode()
            backend.seen[self.path] += 1
            status = int(self.headers.get("x-want-status") or 200)
            if self.headers.get("x-want-once") == name and backend.seen[self.path] > 1:
                status = 200
            time.sleep(float(self.headers.get("x-want-seconds") or 0))
            told = {
                "backend": name,
                "method": self.command,
                "path": self.path,
                "headers": {key.lower(): value for key, value in self.headers.items()},
                "body": body,
            }
            content = json.dumps(told).encode()
            head = f"HTTP/1.1 {status} Told\r\ncontent-type: application/json\r\n"
            head += f"x-backend: {name}\r\ncontent-length: {len(content)}\r\n\r\n"
            with contextlib.suppress(OSError):  # the proxy may have given up waiting
                self.wfile.write(head.encode() + content)

        def __getattr__(self, name: str) -> Callable[[], None]:
            if name.startswith("do_"):
                return self.answer
            raise AttributeError(name)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128

    server = Server((bound, 0), Handler)
    backend = Backend(name, address, server.server_address[1], server)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return backend


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def told(self) -> Object:
        """What the backend says it was asked."""
        assert self.backend, (self.status, self.content)
        body: Object = json.loads(self.content)
        return body

    @property
    def backend(self) -> str:
        return self.headers.get("x-backend", "")


class Client:
    """Requests to one proxy over one connection, reopened when the proxy closes it."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        assert parts.hostname == "127.0.0.1"
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port or 0, timeout=20)

    def get(self, host: str, path: str = "/", method: str = "GET", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            self._connection.request(method, path, headers={"Host": host, **named})
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, content)

    def close(self) -> None:
        self._connection.close()
