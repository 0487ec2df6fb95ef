"""A tiny protocol over tcp, for checks that speak no HTTP: a line in, a line out."""

from __future__ import annotations

import asyncio
from typing import cast

LONGEST_LINE = 1024


class LineConnection(asyncio.Protocol):
    """PING: +PONG · VERSION: +<version> · QUIT: +OK and the end · anything else: -ERR."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        *lines, self._rest = (self._rest + data).split(b"\n")
        answers = [self._answer(line.strip().decode("utf-8", "replace")) for line in lines]
        if answers:
            self._transport.write("".join(f"{answer}\r\n" for answer in answers).encode())
        if "+OK" in answers or len(self._rest) > LONGEST_LINE:
            self._transport.close()

    def _answer(self, line: str) -> str:
        command = line.upper()
        if command == "PING":
            return "+PONG"
        if command == "VERSION":
            return f"+{self._version}"
        if command == "QUIT":
            return "+OK"
        return f"-ERR unknown command '{line[:64]}'"
