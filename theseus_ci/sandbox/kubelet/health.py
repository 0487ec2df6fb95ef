"""What the probes and the postStart hook say about one run of a container."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from theseus_ci.sandbox.kubelet.handlers import HandlerError, Target, perform
from theseus_ci.sandbox.kubelet.probes import Probe

NO_LIMIT = 24 * 3600.0
"""Seconds; a postStart hook has no time limit of its own."""


class Health:
    """Runs beside the process, from its start to its end."""

    def __init__(
        self,
        spec: dict[str, Any],
        target: Target,
        *,
        on_started: Callable[[], None],
        on_ready: Callable[[bool], None],
        on_unhealthy: Callable[[str, float | None], None],
        on_event: Callable[[str, str, str], None],
    ) -> None:
        """on_unhealthy: (cause, grace period in seconds or None for the pod's)."""
        self._spec = spec
        self._target = target
        self._on_started = on_started
        self._on_ready = on_ready
        self._on_unhealthy = on_unhealthy
        self._on_event = on_event
        self._judging: asyncio.Task[None] | None = None
        self._judged = True

    async def run(self) -> None:
        """Follow the hooks and probes until cancelled."""
        if not await self._post_start():
            return
        await self._await_startup()
        self._on_started()
        watching = []
        readiness = self._spec.get("readinessProbe")
        if readiness:
            watching.append(
                asyncio.create_task(self._probe("Readiness", readiness, self._on_ready))
            )
        else:
            self._on_ready(True)
        liveness = self._spec.get("livenessProbe")
        if liveness and self._judged:
            self._judging = asyncio.create_task(
                self._probe(
                    "Liveness", liveness, lambda alive: self._judge(liveness, "liveness", alive)
                )
            )
            watching.append(self._judging)
        try:
            await asyncio.gather(*watching, return_exceptions=True)
        finally:
            for task in watching:
                task.cancel()

    def stop_judging(self) -> None:
        """The container is being ended: only its readiness still matters."""
        self._judged = False
        if self._judging is not None:
            self._judging.cancel()

    async def _post_start(self) -> bool:
        handler = (self._spec.get("lifecycle") or {}).get("postStart")
        if not handler:
            return True
        try:
            await perform(handler, self._target, NO_LIMIT)
        except HandlerError as error:
            self._on_event("Warning", "FailedPostStartHook", f"PostStartHook failed: {error}")
            self._on_unhealthy("failed its postStart hook", None)
            return False
        return True

    async def _await_startup(self) -> None:
        """Return when the startup probe has passed, or there is none."""
        startup = self._spec.get("startupProbe")
        if not startup:
            return
        passed = asyncio.Event()

        def on_result(succeeded: bool) -> None:
            if succeeded:
                passed.set()
            self._judge(startup, "startup", succeeded)

        probing = asyncio.create_task(self._probe("Startup", startup, on_result))
        try:
            await passed.wait()
        finally:
            probing.cancel()

    async def _probe(
        self, kind: str, spec: dict[str, Any], on_result: Callable[[bool], None]
    ) -> None:
        def on_failure(message: str) -> None:
            self._on_event("Warning", "Unhealthy", f"{kind} probe failed: {message}")

        await Probe(spec, self._target, on_result=on_result, on_failure=on_failure).run()

    def _judge(self, spec: dict[str, Any], kind: str, alive: bool) -> None:
        if not alive and self._judged:
            grace = spec.get("terminationGracePeriodSeconds")
            cause = f"failed {kind} probe, will be restarted"
            self._on_unhealthy(cause, None if grace is None else float(grace))
