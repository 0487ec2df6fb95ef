"""The demo's own counting, against servers that treat users badly: it must see every loss."""

from __future__ import annotations

import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from theseus_ci.demo.traffic import Request, read_requests

RATE = 100
SECONDS = 30.0


class Server(ThreadingHTTPServer):
    """Answers well, but every tenth request in its own way."""

    daemon_threads = True

    def __init__(self, tenth: str) -> None:
        self.tenth = tenth
        self.seen = 0
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)

    def next_number(self) -> int:
        with self.lock:
            self.seen += 1
            return self.seen

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are none of the test's business."""


class Handler(BaseHTTPRequestHandler):
    """One kept-alive connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        tenth = self.server.next_number() % 10 == 0
        what = self.server.tenth if tenth else "answer"
        if what == "drop":
            self.close_connection = True
            return
        status = {"error": 500, "mesh error": 503}.get(what, 200)
        self.send_response(status)
        if what != "mesh error":
            self.send_header("x-demo-version", "v1")
        if what == "last":
            self.send_header("connection", "close")
            self.close_connection = True
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(tenth: str) -> Iterator[Server]:
    server = Server(tenth)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        socketserver.TCPServer.server_close(server)


def requests_sent(server: Server, out: Path, least: int) -> list[Request]:
    """Let the traffic run until the server has seen `least` requests."""
    port = server.server_address[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "theseus_ci.demo.traffic", "--host", "x"),
            *("--url", f"http://127.0.0.1:{port}", "--rate", str(RATE), "--out", str(out)),
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + SECONDS
        while server.seen < least:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()
    return read_requests(out)


@pytest.mark.parametrize(
    ("tenth", "lost", "failed"),
    [
        ("answer", 0, 0),
        ("last", 0, 0),  # a connection that ends in order costs nobody anything
        ("drop", 1, 0),
        ("mesh error", 1, 0),
        ("error", 0, 1),
    ],
)
def test_every_loss_is_seen(tmp_path: Path, tenth: str, lost: int, failed: int) -> None:
    with serving(tenth) as server:
        requests = requests_sent(server, tmp_path / "traffic.csv", 60)
        assert len(requests) == server.seen
    tenths = len(requests) // 10
    assert sum(request.lost for request in requests) == lost * tenths
    assert sum(request.failed_by_version for request in requests) == failed * tenths
    versions = Counter(request.version for request in requests if request.answered)
    assert versions == {"v1": len(requests) - (lost + failed) * tenths}


def test_nobody_there_is_all_lost(tmp_path: Path) -> None:
    with serving("answer") as server:
        requests_sent(server, tmp_path / "first.csv", 5)
        port = server.server_address[1]
    out = tmp_path / "traffic.csv"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "theseus_ci.demo.traffic", "--host", "x"),
            *("--url", f"http://127.0.0.1:{port}", "--rate", str(RATE), "--out", str(out)),
        ],
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + SECONDS
    while not out.exists() or out.read_bytes().count(b"\n") < 20:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == 0
    assert all(request.lost and request.error for request in read_requests(out))
