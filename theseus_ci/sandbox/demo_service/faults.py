"""Decides what becomes of each request: how long it takes, and whether it fails, hangs or kills."""

from __future__ import annotations

import os
import random
import sys
import time
from collections import deque
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NoReturn

from theseus_ci.sandbox.demo_service.behaviour import Behaviour


@dataclass(frozen=True)
class Fate:
    """delay: seconds until the answer; status: of a fault, or None for a good answer."""

    delay: float = 0.0
    status: int | None = None
    hangs: bool = False


GOOD = Fate()


class Faults:
    """Counts requests and draws the fate of each."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.chance = random.Random(behaviour.seed)
        self.requests = 0
        self.in_flight = 0
        self._last_second: deque[float] = deque()
        self._counts_rate = (behaviour.bad_above_rate or behaviour.crash_above_rate) is not None

    def draw(self, path: str) -> Fate:
        """Return the fate of one more request, in flight from now on; may end the process."""
        self.requests += 1
        self.in_flight += 1
        rate = self._count_rate() if self._counts_rate else 0
        self._crash_when_due(rate)
        behaviour = self.behaviour
        bad = behaviour.bad_above_rate is None or rate > behaviour.bad_above_rate
        if bad and behaviour.hang_rate and self.chance.random() < behaviour.hang_rate:
            return Fate(hangs=True)
        return Fate(
            self._latency(bad),
            behaviour.error_status if bad and self._fails(path, self.requests - 1) else None,
        )

    def draw_probe(self, path: str) -> Fate:
        """Return the fate of a probe's request: it fails only where its path is named."""
        if self.behaviour.error_paths and self._fails(path, self.requests):
            return Fate(status=self.behaviour.error_status)
        return GOOD

    def _fails(self, path: str, earlier: int) -> bool:
        """Whether it fails, after so many earlier requests."""
        behaviour = self.behaviour
        if not behaviour.error_rate or earlier < behaviour.error_after:
            return False
        if behaviour.error_paths and not any(
            fnmatchcase(path, pattern) for pattern in behaviour.error_paths
        ):
            return False
        return self.chance.random() < behaviour.error_rate

    def _latency(self, bad: bool) -> float:
        behaviour = self.behaviour
        if bad and behaviour.tail_share and self.chance.random() < behaviour.tail_share:
            return behaviour.tail_latency.sample(self.chance)
        if bad and behaviour.bad_latency is not None:
            return behaviour.bad_latency.sample(self.chance)
        return behaviour.latency.sample(self.chance)

    def _count_rate(self) -> int:
        now = time.monotonic()
        window = self._last_second
        window.append(now)
        while window[0] < now - 1.0:
            window.popleft()
        return len(window)

    def _crash_when_due(self, rate: int) -> None:
        behaviour = self.behaviour
        if behaviour.crash_after is not None and self.requests > behaviour.crash_after:
            self.crash(f"request {self.requests}")
        limit = behaviour.crash_above_concurrency
        if limit is not None and self.in_flight > limit:
            self.crash(f"{self.in_flight} requests at once")
        if behaviour.crash_above_rate is not None and rate > behaviour.crash_above_rate:
            self.crash(f"{rate} requests a second")

    def crash(self, cause: str) -> NoReturn:
        """End the process as a crash does: at once, without cleaning up."""
        print(f"crashed as told: {cause}", file=sys.stderr, flush=True)
        os._exit(self.behaviour.crash_exit_code)
