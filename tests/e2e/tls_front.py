"""TLS in front of a gateway, with a certificate that an authority of the user's own has signed."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import trustme


@contextmanager
def tls_front(gateway: str, host: str, authority: Path) -> Iterator[str]:
    """The URL of a loopback port that hands on to `gateway`; the authority's PEM is written."""
    signer = trustme.CA()
    signer.cert_pem.write_to_path(str(authority))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    signer.issue_cert(host).configure_cert(context)
    loop = asyncio.new_event_loop()
    listening, stop, port = threading.Event(), asyncio.Event(), 0

    async def main() -> None:
        nonlocal port
        there = urlsplit(gateway)

        async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            upstream = await asyncio.open_connection(there.hostname, there.port)
            await asyncio.gather(_copy(reader, upstream[1]), _copy(upstream[0], writer))

        server = await asyncio.start_server(hand_on, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        listening.set()
        await stop.wait()
        server.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), daemon=True)
    thread.start()
    assert listening.wait(10)
    try:
        yield f"https://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
