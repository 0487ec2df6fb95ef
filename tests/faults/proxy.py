"""A proxy in front of an API server that misbehaves on demand, and counts what passes.

It ends TLS with a certificate of its own; the kubeconfig it writes trusts that one and keeps the
user's credentials, so the server behind sees the same user. One `Fault` at a time is armed: it
strikes at the n-th request of those it is meant for.
"""

from __future__ import annotations

import base64
import enum
import http.client
import json
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trustme
import yaml

MUTATING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
UPSTREAM_SECONDS = 60.0
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host"})


class Act(enum.Enum):
    """What befalls a request."""

    ANSWER = "answered by the proxy"  # the server never sees it
    DELAY = "delayed"
    CUT_BEFORE = "connection cut before the server acted"
    CUT_AFTER = "answer lost"
    KILL_BEFORE = "killed before"
    KILL_AFTER = "killed after"
    HOLD = "held"  # until `Fault.released` is set
    CLOSE_WATCH = "watch closed"
    GONE_EVENT = "410 as a watch's event"


@dataclass(frozen=True)
class Call:
    """One request as the server would see it. `selector`: label and field selectors."""

    method: str
    plural: str
    namespace: str
    name: str
    watch: bool
    dry_run: bool
    selector: str

    @property
    def changes(self) -> bool:
        """Whether it is to change an object that lasts."""
        reviews = "subjectaccessreviews" in self.plural
        return self.method in MUTATING and not self.dry_run and not reviews

    @property
    def lists(self) -> bool:
        return self.method == "GET" and not self.name

    def __str__(self) -> str:
        verb = "WATCH" if self.watch else "LIST" if self.lists else self.method
        return f"{verb} {self.plural}/{self.name}".rstrip("/")


def changes(call: Call) -> bool:
    return call.changes


@dataclass
class Fault:
    """Strikes at the `nth` request (from 1) for which `when` holds, and at `times` - 1 after it.

    With `every`, again at each `every`-th request from there on; what a client repeats because it
    was struck is not counted then, so that `every` such faults, one for each remainder, strike at
    every request. `seconds` is the delay, or the Retry-After of an answer (0: none); `victim`
    gives the process to kill.
    """

    act: Act
    nth: int = 1
    times: int = 1
    every: int = 0
    when: Callable[[Call], bool] = changes
    status: int = 503
    seconds: float = 0.0
    victim: Callable[[], int] = field(default=lambda: 0)
    struck: list[Call] = field(default_factory=list)
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    seen: int = 0
    last: tuple[Call, bytes] | None = None

    def strikes(self, call: Call, body: bytes) -> bool:
        """Count a request; whether it is to be struck."""
        if not self.when(call):
            return False
        if self.every and self.last == (call, body):
            self.last = None
            return False
        self.seen += 1
        beyond = self.seen - self.nth
        if self.every and beyond >= 0:
            beyond %= self.every
        if not 0 <= beyond < self.times:
            return False
        self.last = (call, body)
        self.struck.append(call)
        return True


class Proxy:
    """Serves on a free port of loopback until closed."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self.calls: list[Call] = []
        self.made: list[str] = []  # creations and deletions that the server has carried out
        self.received = 0  # bytes of the server's answers
        self._lock = threading.Lock()
        self._fault: Fault | None = None
        content = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        cluster = content["clusters"][0]["cluster"]
        parts = urlsplit(cluster["server"])
        self._address = (str(parts.hostname), int(parts.port or 443))
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode("ascii")
        self._upstream_tls = ssl.create_default_context(cadata=authority)
        self._server = _Server(self)
        cluster["server"] = f"https://127.0.0.1:{self._server.server_port}"
        cluster["certificate-authority-data"] = base64.b64encode(self._server.authority).decode()
        self.kubeconfig = folder / "proxy-kubeconfig.yaml"
        self.kubeconfig.write_text(yaml.safe_dump(content), encoding="utf-8")
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.disarm()
        self._server.shutdown()
        self._thread.join()
        self._server.close_all()

    def arm(self, fault: Fault) -> Fault:
        with self._lock:
            self._fault = fault
        return fault

    def disarm(self) -> None:
        """No fault from now on; a request that is held goes on."""
        with self._lock:
            fault, self._fault = self._fault, None
        if fault is not None:
            fault.released.set()

    def forget(self) -> None:
        """Count from nothing again."""
        with self._lock:
            self.calls = []
            self.made = []
            self.received = 0

    def admit(self, call: Call, body: bytes) -> Fault | None:
        """Count a request; the fault that is to strike it."""
        with self._lock:
            self.calls.append(call)
            fault = self._fault
            return fault if fault is not None and fault.strikes(call, body) else None

    def note(self, call: Call, status: int, content: bytes) -> None:
        """Remember a creation or deletion that the server has carried out."""
        if call.changes and call.method in ("POST", "DELETE") and status < 300:
            answer = json.loads(content)
            name = call.name or (answer.get("metadata") or {}).get("name", "")
            with self._lock:
                self.made.append(f"{call.method} {call.plural}/{name}")

    def receive(self, size: int) -> None:
        with self._lock:
            self.received += size

    def connect(self) -> http.client.HTTPSConnection:
        host, port = self._address
        return http.client.HTTPSConnection(
            host, port, timeout=UPSTREAM_SECONDS, context=self._upstream_tls
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, proxy: Proxy) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        authority = trustme.CA()
        self.authority = authority.cert_pem.bytes()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self._tls)

    def get_request(self) -> tuple[socket.socket, Any]:
        plain, address = super().get_request()
        plain.settimeout(UPSTREAM_SECONDS)
        wrapped = self._tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        with self._guard:
            self._open.add(wrapped)
        return wrapped, address

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        request.close()  # no TLS farewell: a cut is a cut

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients of this proxy die in the middle of a request; that is what it is for."""

    def close_all(self) -> None:
        self.server_close()
        with self._guard:
            left = list(self._open)
        for one in left:
            one.close()


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client, with one connection to the server behind."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self._upstream: http.client.HTTPSConnection | None = None

    def finish(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
        self.rfile.close()
        self.wfile.close()

    def log_message(self, format: str, *args: Any) -> None:
        """The proxy's records are its calls."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        call = _call(self.command, self.path)
        fault = self.server.proxy.admit(call, body)
        if fault is not None and self._strike(fault, call, body):
            return
        self._forward(body, call, fault)

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _strike(self, fault: Fault, call: Call, body: bytes) -> bool:
        """Do what comes before the server acts; whether the request ends here."""
        act = fault.act
        if act is Act.HOLD:
            fault.reached.set()
            fault.released.wait(UPSTREAM_SECONDS)
        elif act is Act.DELAY:
            fault.released.wait(fault.seconds)
        elif act is Act.ANSWER:
            self._say(fault.status, fault.seconds)
            return True
        elif act in (Act.CUT_BEFORE, Act.KILL_BEFORE, Act.CUT_AFTER, Act.KILL_AFTER):
            if act in (Act.CUT_AFTER, Act.KILL_AFTER):
                answer = self._ask(body)
                self.server.proxy.note(call, answer.status, answer.read())
            if act in (Act.KILL_BEFORE, Act.KILL_AFTER):
                os.kill(fault.victim(), signal.SIGKILL)
            self.close_connection = True
            return True
        return False

    def _ask(self, body: bytes) -> http.client.HTTPResponse:
        headers = {key: value for key, value in self.headers.items() if key.lower() != "connection"}
        for attempt in (1, 2):
            if self._upstream is None:
                self._upstream = self.server.proxy.connect()
            fresh = self._upstream.sock is None
            try:
                self._upstream.request(self.command, self.path, body or None, headers)
                return self._upstream.getresponse()
            except (http.client.RemoteDisconnected, ConnectionError):
                self._upstream.close()  # an idle connection that the server has closed
                if fresh or attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def _forward(self, body: bytes, call: Call, fault: Fault | None) -> None:
        answer = self._ask(body)
        if call.watch and answer.status == 200:
            self._stream(answer, fault)
            return
        content = answer.read()
        self.server.proxy.note(call, answer.status, content)
        self.server.proxy.receive(len(content))
        self.send_response_only(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in _HOP_BY_HOP:
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, answer: http.client.HTTPResponse, fault: Fault | None) -> None:
        """Pass a watch on as it comes; its connection ends with it."""
        self.close_connection = True
        self.send_response_only(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if fault is not None and fault.act is Act.GONE_EVENT:
            event = {"type": "ERROR", "object": _status(410, "Expired")}
            self._chunk(json.dumps(event).encode() + b"\n")
        elif fault is None or fault.act is not Act.CLOSE_WATCH:
            while chunk := answer.read1(65536):
                self.server.proxy.receive(len(chunk))
                self._chunk(chunk)
        self._chunk(b"")
        answer.close()
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None

    def _chunk(self, content: bytes) -> None:
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        self.wfile.flush()

    def _say(self, status: int, retry_after: float) -> None:
        reasons = {409: "Conflict", 410: "Expired", 429: "TooManyRequests"}
        content = json.dumps(_status(status, reasons.get(status, "InternalError"))).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        if retry_after:
            self.send_header("Retry-After", str(int(retry_after)))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _status(code: int, reason: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": f"the proxy says {code}",
    }


def _call(method: str, path: str) -> Call:
    """/api/v1 or /apis/GROUP/VERSION, then [namespaces/NAMESPACE/]PLURAL[/NAME…]."""
    url = urlsplit(path)
    parts = url.path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if parts[:1] == ["namespaces"] and len(parts) > 2:
        namespace, parts = parts[1], parts[2:]
    query = parse_qs(url.query)
    selectors = query.get("labelSelector", []) + query.get("fieldSelector", [])
    return Call(
        method=method,
        plural=parts[0] if parts else "",
        namespace=namespace,
        name="/".join(parts[1:]),
        watch="true" in query.get("watch", []),
        dry_run="dryRun" in query,
        selector=",".join(selectors),
    )
