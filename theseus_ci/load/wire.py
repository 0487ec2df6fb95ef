"""Requests as bytes, made once before the first is sent."""

from __future__ import annotations

import asyncio
import socket
import ssl
from urllib.parse import urlsplit

import msgspec

from theseus_ci import __version__
from theseus_ci.config.performance import LoadTls, Request
from theseus_ci.errors import ConfigError, NoData
from theseus_ci.measure import Arm, LoadTarget

_WITH_BODY = {"POST", "PUT", "PATCH"}


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """A request ready to be written."""

    label: str  # method and path, for people
    data: bytes
    bodyless: bool  # its answer never has a body, whatever its headers say


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where to connect."""

    name: str
    port: int
    tls: bool
    host: str  # Host header
    server_name: str  # what the certificate must be made out to
    base: str  # put before every path

    @classmethod
    def of(cls, target: LoadTarget) -> Address:
        """Take the entrypoint's URL apart. Raises errors.ConfigError when it is none."""
        parts = urlsplit(target.url)
        try:
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"entrypoint {target.url!r}: {error}") from error
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(
                f"entrypoint {target.url!r} is no URL such as http://gateway.example.com:8080"
            )
        tls = parts.scheme == "https"
        host = target.host or parts.netloc.rpartition("@")[2]
        return cls(
            name=parts.hostname,
            port=port or (443 if tls else 80),
            tls=tls,
            host=host,
            server_name=urlsplit(f"//{host}").hostname or parts.hostname,
            base=parts.path.rstrip("/"),
        )

    async def resolve(self) -> list[tuple[str, int]]:
        """Numeric addresses, best first; once, so that no request's latency holds a look-up.

        Raises errors.NoData when the name is unknown.
        """
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self.name, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise NoData(f"cannot resolve the entrypoint {self.name}: {error}") from error
        return list(dict.fromkeys((str(entry[4][0]), self.port) for entry in found))


def payload(address: Address, arm: Arm, request: Request, *, keep_alive: bool = True) -> Payload:
    """The bytes of `request` to `arm`, whose headers win over the request's own."""
    body = request.body.encode()
    headers = {
        "host": ("Host", address.host),
        "user-agent": ("User-Agent", f"theseus-ci/{__version__}"),
        "accept": ("Accept", "*/*"),
    }
    if not keep_alive:
        headers["connection"] = ("Connection", "close")
    if body or request.method in _WITH_BODY:
        headers["content-length"] = ("Content-Length", str(len(body)))
    for name, value in (*request.headers.items(), *arm.headers.items()):
        headers[name.lower()] = (name, value)
    path = address.base + request.path
    lines = [f"{request.method} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.values()]
    if any("\r" in line or "\n" in line for line in lines):
        raise ConfigError(f"a header of {request.method} {path} holds a line break")
    head = "\r\n".join(lines).encode("latin-1")
    return Payload(
        label=f"{request.method} {path}",
        data=head + b"\r\n\r\n" + body,
        bodyless=request.method == "HEAD",
    )


def tls_context(tls: LoadTls) -> ssl.SSLContext:
    """How the entrypoint's certificate is verified. Raises errors.ConfigError for a bad file."""
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"performance.tls.ca: cannot read {tls.ca}: {error}") from error
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context
