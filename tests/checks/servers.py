"""Servers that answer, lie, dawdle and hang up: on loopback, for as long as a test runs."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Talker = Callable[[socket.socket], None]


@dataclass
class Web:
    """A running HTTP server, and what it was asked."""

    port: int
    asked: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    release: threading.Event = field(default_factory=threading.Event)  # ends slow answers

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


def _handler(web: Web) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def setup(self) -> None:
            web.connections += 1
            super().setup()

        def answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            web.asked.append(headers | {":path": self.path, ":method": self.command})
            length = int(headers.get("content-length", 0))
            web.bodies.append(self.rfile.read(length))
            page = self.path.partition("?")[0].strip("/").replace("/", "_") or "index"
            with contextlib.suppress(ConnectionError):
                getattr(self, f"page_{page}", self.page_missing)()

        def do_GET(self) -> None:
            self.answer()

        def do_HEAD(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def do_PUT(self) -> None:
            self.answer()

        def say(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def page_missing(self) -> None:
            self.say(404, b"no such page")

        def page_health(self) -> None:
            body = json.dumps({"status": "ok", "items": [{"n": 1}, {"n": 2}], "on": True})
            self.say(200, body.encode(), Content_Type="application/json", X_Version="2.0")

        def page_echo(self) -> None:
            self.say(200, json.dumps(web.asked[-1]).encode() + web.bodies[-1])

        def page_echo_header(self) -> None:
            self.say(200, b"see headers", X_Echo=self.headers.get("x-theseus-secret", ""))

        def page_broken(self) -> None:
            self.say(503, b"no healthy upstream")

        def page_flaky(self) -> None:
            self.say(200 if len(web.asked) >= 3 else 503, b"at last")

        def page_first_broken_then_slow(self) -> None:
            if len(web.asked) > 1:
                web.release.wait(20)
            self.page_broken()

        def page_slow(self) -> None:
            web.release.wait(20)
            self.say(200, b"slow")

        def page_trickle(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            while not web.release.wait(0.05):
                self.wfile.write(b".")

        def page_short(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"only this")
            self.close_connection = True

        def page_reset(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")
            self.wfile.flush()
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            self.close_connection = True

        def page_chunks(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nhello\r\n")
            self.close_connection = True  # without the last chunk

        def page_endless(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            while not web.release.is_set():
                self.wfile.write(b"x" * 65536)

        def page_silent(self) -> None:
            self.close_connection = True

        def page_moved(self) -> None:
            self.say(302, b"", Location="/health")

        def page_moved_host(self) -> None:
            self.say(302, b"", Location=f"http://{self.headers['Host']}/health")

        def page_kept(self) -> None:
            self.say(307, b"", Location="/echo")

        def page_away(self) -> None:
            self.say(302, b"", Location="http://127.9.9.9:9/login")

        def page_circle(self) -> None:
            self.say(302, b"", Location="/circle")

        def page_twice(self) -> None:
            self.send_response(200)
            self.send_header("X-Many", "one")
            self.send_header("X-Many", "two")
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what these tests are about."""


@contextlib.contextmanager
def web_server(context: ssl.SSLContext | None = None) -> Iterator[Web]:
    """Run an HTTP server, with TLS when given a context."""
    web = Web(0)
    with _Server(("127.0.0.1", 0), _handler(web)) as server:
        web.port = server.server_address[1]
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield web
        finally:
            web.release.set()
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def tcp_server(
    talk: Talker, *, host: str = "127.0.0.1", port: int = 0, context: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Run `talk` on every connection; yields the port."""
    stop = threading.Event()
    threads: list[threading.Thread] = []
    connections: list[socket.socket] = []

    def serve(listener: socket.socket) -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            connection.settimeout(20)
            connections.append(connection)
            threads.append(threading.Thread(target=speak, args=(connection,)))
            threads[-1].start()

    def speak(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if context is not None:
                with context.wrap_socket(connection, server_side=True) as secure:
                    talk(secure)
            else:
                talk(connection)

    with socket.create_server((host, port)) as listener:
        listener.settimeout(0.02)
        threads.append(threading.Thread(target=serve, args=(listener,)))
        threads[0].start()
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            threads[0].join()
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
