"""A connection whose answers arrive late: how one proxy hears of a change after another.

Envoy asks Istio's translation through such a link. What it says passes at once; what it is told
comes `delay` seconds after it was said, in order, as from a control plane that is far away or busy.
"""

from __future__ import annotations

import asyncio

from theseus_ci.sandbox.settings import LOOPBACK

CHUNK = 65536


class LateLink:
    """Listens on a free port of loopback and passes connections on to `target`."""

    def __init__(self, target: int, delay: float) -> None:
        self._target = target
        self._delay = delay
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._connect(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the translation is away, or we end: Envoy connects again by itself
        finally:
            self._connections.discard(task)
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told, asked = await asyncio.open_connection(LOOPBACK, self._target)
        ways = [
            asyncio.ensure_future(_pass(reader, asked)),
            asyncio.ensure_future(self._pass_late(told, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            asked.close()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass_late(self, told: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        reading = asyncio.ensure_future(self._read(told, due))
        try:
            while True:
                moment, chunk = await due.get()
                await asyncio.sleep(moment - asyncio.get_running_loop().time())
                if not chunk:
                    return
                writer.write(chunk)
                await writer.drain()
        finally:
            reading.cancel()

    async def _read(
        self, told: asyncio.StreamReader, due: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        """Each chunk with the moment at which it is to be passed on; an empty one is the end."""
        while True:
            chunk = await told.read(CHUNK)
            due.put_nowait((asyncio.get_running_loop().time() + self._delay, chunk))
            if not chunk:
                return


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)
        await writer.drain()
