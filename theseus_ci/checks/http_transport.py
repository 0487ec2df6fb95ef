"""A requests session on one connection that can be hung up from another thread.

requests bounds each read, not the whole answer: a server that trickles would hold a check for
ever. So the runner hangs up, and for that the socket must be known. Proxies, netrc and cookies of
the environment are left out: a check asks the entrypoint, and nobody else.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from theseus_ci.config.smoke import Tls
from theseus_ci.errors import ConfigError


class Line:
    """The connection of one request."""

    def __init__(self) -> None:
        self.established = False  # connected, and TLS agreed on where there is TLS
        self._sockets: list[socket.socket] = []
        self._hung_up = False

    def opened(self, sock: socket.socket) -> None:
        """Keep a handle: TLS takes the socket itself away from its object."""
        self._sockets.append(socket.socket(fileno=os.dup(sock.fileno())))
        if self._hung_up:
            self.hang_up()

    def hang_up(self) -> None:
        """End whatever waits on the connection."""
        self._hung_up = True
        for sock in self._sockets:
            with contextlib.suppress(OSError):  # not connected any more: nothing waits
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the handles."""
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()


class _WatchedHttp(HTTPConnection):
    line: Line

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        self.line.opened(sock)
        return sock

    def connect(self) -> None:
        super().connect()
        self.line.established = True


class _WatchedHttps(HTTPSConnection):
    line: Line

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        self.line.opened(sock)
        return sock

    def connect(self) -> None:
        super().connect()
        self.line.established = True


class _HttpsPool(HTTPSConnectionPool):
    def _validate_conn(self, conn: Any) -> None:
        """Connect, without urllib3's warning about what is not verified: who writes
        `verify: false` means it, and as an error the warning would end the check."""
        if conn.sock is None:
            conn.connect()


class _Adapter(HTTPAdapter):
    def __init__(self, line: Line, server_name: str) -> None:
        self._line = line
        self._server_name = server_name
        super().__init__(max_retries=0, pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools give out watched connections."""
        super().init_poolmanager(*args, server_hostname=self._server_name, **kwargs)
        line = {"line": self._line}
        plain = {"ConnectionCls": type("Plain", (_WatchedHttp,), line)}
        secure = {"ConnectionCls": type("Secure", (_WatchedHttps,), line)}
        self.poolmanager.pool_classes_by_scheme = {
            "http": type("PlainPool", (HTTPConnectionPool,), plain),
            "https": type("SecurePool", (_HttpsPool,), secure),
        }


def open_session(line: Line, tls: Tls, server_name: str, directory: Path) -> requests.Session:
    """Return a session for the entrypoint; paths start from `directory`.

    Raises ConfigError for files of `tls` that are missing.
    """
    session = requests.Session()
    session.trust_env = False
    adapter = _Adapter(line, server_name)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.verify = _verification(tls, directory)
    if tls.client_cert:
        certificate = _existing(tls.client_cert, directory)
        key = _existing(tls.client_key, directory) if tls.client_key else None
        session.cert = (certificate, key) if key else certificate
    return session


def _verification(tls: Tls, directory: Path) -> bool | str:
    """What requests verifies with: the file given, the system's (SSL_CERT_FILE is heeded), or the
    list that requests brings."""
    if not tls.verify:
        return False
    if tls.ca:
        return _existing(tls.ca, directory)
    return ssl.get_default_verify_paths().cafile or True


def _existing(written: str, directory: Path) -> str:
    path = directory / Path(written).expanduser()
    if not path.is_file():
        raise ConfigError(f"there is no file {path}", where="tls")
    return str(path)
