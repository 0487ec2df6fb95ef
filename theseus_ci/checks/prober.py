"""Adapter of `ports.Prober`: single questions to the mesh.

Each question has a connection of its own, closed after the answer: behind one address there are
many proxies and workers, and a kept connection would always ask the same.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import theseus_ci
from theseus_ci.checks.address import default_port, split_entrypoint
from theseus_ci.checks.tls import client_context
from theseus_ci.config.smoke import Tls
from theseus_ci.errors import ConfigError
from theseus_ci.model import Answer

BODY_LIMIT = 1024 * 1024  # bytes of a body that are read; the rest is left out


class HttpProber:
    """Asks by http.client, which starts up far faster than requests does.

    `tls` applies to https entrypoints; its paths start from `directory`.
    """

    def __init__(self, *, tls: Tls | None = None, directory: Path | None = None) -> None:
        self._tls = tls or Tls()
        self._directory = directory or Path()
        self._context: ssl.SSLContext | None = None

    def ask(
        self,
        entrypoint: str,
        *,
        host: str = "",
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        timeout: float,
    ) -> Answer:
        """GET, to the end of the answer within `timeout` seconds; redirects are not followed.

        Header names come in lower case, values of a repeated header joined by ", ". Raises
        OSError (TimeoutError among them) when no whole answer came, ConfigError for what cannot
        be asked at all.
        """
        parts = split_entrypoint(entrypoint)
        started = time.perf_counter()
        sock = self._connect(parts, host, timeout)
        with sock, _hung_up_after(timeout - (time.perf_counter() - started), sock) as expired:
            try:
                status, answer_headers, body = _talk(
                    sock, parts, host=host, path=path, headers=headers or {}
                )
            except (http.client.InvalidURL, ValueError) as error:
                raise ConfigError(f"{path!r} cannot be asked for: {error}") from error
            except (http.client.HTTPException, OSError) as error:
                if expired.is_set() or isinstance(error, TimeoutError):
                    message = f"{entrypoint}: no whole answer within {timeout:g} s"
                    raise TimeoutError(message) from error
                reason = str(error) or type(error).__name__
                raise ConnectionError(f"{entrypoint}: no whole answer: {reason}") from error
        if expired.is_set():
            raise TimeoutError(f"{entrypoint}: no whole answer within {timeout:g} s")
        seconds = time.perf_counter() - started
        return Answer(status=status, headers=answer_headers, body=body, seconds=seconds)

    def _connect(self, parts: SplitResult, host: str, timeout: float) -> socket.socket:
        address = (parts.hostname or "", default_port(parts))
        sock = socket.create_connection(address, timeout=max(0.001, timeout))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if parts.scheme == "http":
            return sock
        if self._context is None:
            self._context = client_context(self._tls, self._directory)
        name = self._tls.server_name or urlsplit(f"//{host}").hostname or parts.hostname
        try:
            return self._context.wrap_socket(sock, server_hostname=name)
        except BaseException:
            sock.close()
            raise


@contextmanager
def _hung_up_after(seconds: float, sock: socket.socket) -> Iterator[threading.Event]:
    """Shut the socket down after so many seconds: its own timeout bounds one read, not all."""
    expired = threading.Event()

    def hang_up() -> None:
        expired.set()
        with contextlib.suppress(OSError):  # closed already
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, seconds), hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()


def _talk(
    sock: socket.socket, parts: SplitResult, *, host: str, path: str, headers: Mapping[str, str]
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(parts.hostname or "", default_port(parts))
    connection.sock = sock
    target = parts.path.rstrip("/") + path
    connection.putrequest("GET", target, skip_host=True, skip_accept_encoding=True)
    own = {
        "Host": host or parts.netloc,
        "User-Agent": f"theseus-ci/{theseus_ci.__version__} probe",
        "Accept": "*/*",
        "Connection": "close",
    }
    given = {name.lower() for name in headers}
    for name, value in (own | dict(headers)).items():
        if name in own and name not in headers and name.lower() in given:
            continue
        connection.putheader(name, value)
    connection.endheaders()
    with connection.getresponse() as response:
        answered: dict[str, list[str]] = {}
        for name, value in response.getheaders():
            answered.setdefault(name.lower(), []).append(value)
        body = response.read(BODY_LIMIT)
        if response.length and len(body) < BODY_LIMIT:
            raise http.client.IncompleteRead(body, response.length)
    return response.status, {name: ", ".join(values) for name, values in answered.items()}, body
