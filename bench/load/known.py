"""A server of known latencies: answers when a drawn time has passed, and records what it took.

python -m bench.load.known PORT STALL_FROM
"""

from __future__ import annotations

import asyncio
import heapq
import json
import math
import random
import sys
import time
from typing import cast

import uvloop

from theseus_ci.judge.summary import quantile
from theseus_ci.load.timer import Timer

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_MEDIAN, _SIGMA = 10e6, 0.4845  # nanoseconds; p99 is 30.9 ms
_STALL = 1_000_000_000


class Known:
    """Holds every request until its time has come."""

    def __init__(self, stall_from: float) -> None:
        self._due: list[tuple[int, int, asyncio.Transport, int]] = []
        self._timer = Timer(asyncio.get_running_loop(), self._answer)
        self._chance = random.Random(1)
        self._taken: list[int] = []
        self._count = 0
        self._stall_from = stall_from
        self._stall = (math.inf, math.inf)

    def asked(self, transport: asyncio.Transport) -> None:
        """Take a request in."""
        now = time.monotonic_ns()
        if not self._count and self._stall_from < math.inf:
            begin = now + self._stall_from * 1e9
            self._stall = (begin, begin + _STALL)
        due = now + int(_MEDIAN * math.exp(self._chance.gauss(0.0, _SIGMA)))
        if self._stall[0] <= due < self._stall[1]:
            due = int(self._stall[1])
        self._count += 1
        heapq.heappush(self._due, (due, self._count, transport, now))
        self._timer.at(self._due[0][0])

    def truth(self) -> dict[str, float]:
        """What was taken since the last call."""
        taken, self._taken = sorted(self._taken), []
        if not taken:
            return {}
        return {name: quantile(taken, q) / 1e9 for name, q in (("p50", 0.5), ("p99", 0.99))}

    def _answer(self) -> None:
        while self._due and self._due[0][0] <= (now := time.monotonic_ns()):
            _, _, transport, asked = heapq.heappop(self._due)
            if not transport.is_closing():
                transport.write(_ANSWER)
                self._taken.append(now - asked)
        if self._due:
            self._timer.at(self._due[0][0])


class Connection(asyncio.Protocol):
    """Requests without a body, one at a time."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while b"\r\n\r\n" in self._data:
            head, _, self._data = self._data.partition(b"\r\n\r\n")
            if head.startswith(b"GET /truth "):
                body = json.dumps(self._known.truth()).encode()
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
                self._transport.write(head + body)
            else:
                self._known.asked(self._transport)


async def _serve(port: int, stall_from: float) -> None:
    known = Known(stall_from)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(known), "127.0.0.1", port, backlog=1000)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.new_event_loop().run_until_complete(_serve(int(sys.argv[1]), float(sys.argv[2])))
