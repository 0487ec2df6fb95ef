"""Readiness, liveness and startup probes: when to ask, and when an answer counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from theseus_ci.sandbox.kubelet.handlers import HandlerError, Target, perform

FIRST_SECONDS = 0.3
"""Before the first try, beside initialDelaySeconds: a real kubelet is not there at once either."""

OnResult = Callable[[bool], None]
OnFailure = Callable[[str], None]


@dataclass(frozen=True)
class Timing:
    """Seconds and counts, with the API's defaults."""

    initial_delay: float
    period: float
    timeout: float
    successes: int
    failures: int

    @classmethod
    def of(cls, probe: dict[str, Any]) -> Timing:
        return cls(
            initial_delay=float(probe.get("initialDelaySeconds") or 0),
            period=float(probe.get("periodSeconds") or 10),
            timeout=float(probe.get("timeoutSeconds") or 1),
            successes=int(probe.get("successThreshold") or 1),
            failures=int(probe.get("failureThreshold") or 3),
        )


class Probe:
    """Asks again and again; reports a result each time its threshold is (still) reached."""

    def __init__(
        self, spec: dict[str, Any], target: Target, *, on_result: OnResult, on_failure: OnFailure
    ) -> None:
        """on_result: True or False, once the threshold is met; on_failure: each failed try."""
        self._spec = spec
        self._target = target
        self._timing = Timing.of(spec)
        self._on_result = on_result
        self._on_failure = on_failure

    async def run(self) -> None:
        """Probe until cancelled."""
        timing = self._timing
        await asyncio.sleep(FIRST_SECONDS + timing.initial_delay)
        loop = asyncio.get_running_loop()
        streak, last = 0, None
        while True:
            begun = loop.time()
            succeeded = await self._try()
            streak = streak + 1 if succeeded == last else 1
            last = succeeded
            if streak >= (timing.successes if succeeded else timing.failures):
                self._on_result(succeeded)
            await asyncio.sleep(max(0.0, begun + timing.period - loop.time()))

    async def _try(self) -> bool:
        try:
            await perform(self._spec, self._target, self._timing.timeout)
        except HandlerError as error:
            self._on_failure(str(error))
            return False
        return True
