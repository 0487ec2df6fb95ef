"""aiohttp on uvloop."""

from __future__ import annotations

import asyncio
import time

import uvloop
from aiohttp import ClientSession, TCPConnector

from bench.load.workers import Samples, micros


def measure(url: str, rate: float, seconds: float, connections: int) -> Samples:
    """aiohttp on uvloop, a task for each request."""
    latencies: list[int] = []
    lateness: list[int] = []

    async def one(session: ClientSession, due: float) -> None:
        lateness.append(micros(time.monotonic() - due))
        async with session.get(url) as answer:
            await answer.read()
        latencies.append(micros(time.monotonic() - due))

    async def main() -> None:
        tasks = set()
        async with ClientSession(connector=TCPConnector(limit=connections)) as session:
            start = time.monotonic() + 0.05
            for number in range(int(rate * seconds)):
                due = start + number / rate
                if (left := due - time.monotonic()) > 0:
                    await asyncio.sleep(left)
                elif -left > seconds:
                    break
                elif number % 20 == 0:
                    await asyncio.sleep(0)
                tasks.add(asyncio.ensure_future(one(session, due)))
                while len(tasks) >= 10 * connections or time.monotonic() > start + seconds:
                    _, tasks = await asyncio.wait(tasks, return_when="FIRST_COMPLETED")
                    if not tasks:
                        return
            await asyncio.gather(*tasks)

    uvloop.new_event_loop().run_until_complete(main())
    return latencies, lateness
