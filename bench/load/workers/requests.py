"""requests on threads."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import local

from requests import Session

from bench.load.workers import Samples, micros


def measure(url: str, rate: float, seconds: float, connections: int) -> Samples:
    """requests on threads, each with a session of its own."""
    own = local()
    latencies: list[int] = []
    lateness: list[int] = []
    start = time.monotonic() + 0.05

    def one(due: float) -> None:
        if not hasattr(own, "session"):
            own.session = Session()
        lateness.append(micros(time.monotonic() - due))
        own.session.get(url, timeout=30)
        latencies.append(micros(time.monotonic() - due))

    with ThreadPoolExecutor(connections) as pool:
        for number in range(int(rate * seconds)):
            due = start + number / rate
            now = time.monotonic()
            if now > start + seconds:
                break
            if due > now:
                time.sleep(due - now)
            elif number % connections == 0 and now - due > 0.1:
                pool.submit(one, due).result()
                continue
            pool.submit(one, due)
    return latencies, lateness
