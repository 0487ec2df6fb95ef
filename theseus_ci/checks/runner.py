"""Runs smoke checks side by side, and brings every one of them to a verdict in time."""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from theseus_ci.checks.context import Context, PortNames, Reason
from theseus_ci.checks.evidence import Scrubber
from theseus_ci.config.smoke import SmokeCheck, bash_check, validate
from theseus_ci.errors import ConfigError, TheseusError
from theseus_ci.model import CheckResult, CheckTarget, Verdict

Check = Callable[[Context], list[CheckResult]]

PARALLEL = 8
POLL = 0.05  # seconds between two looks at `stopped`
GRACE = 0.7  # seconds for a check to end when the whole command has to stop
PATIENCE = 5.0  # seconds for it to end after its own timeout: its evidence is worth the wait


class SmokeChecker:
    """Adapter of `ports.Checker`.

    `directory` is where relative paths start, that of theseus.yaml. `port_names` looks up named
    container ports (see `checks.pod_ports`).
    """

    def __init__(
        self,
        *,
        directory: Path,
        parallel: int = PARALLEL,
        port_names: PortNames | None = None,
    ) -> None:
        if parallel < 1:
            raise ValueError("at least one check must run at a time")
        self._directory = directory.absolute()
        self._parallel = parallel
        self._port_names = port_names

    def run(
        self,
        checks: Sequence[SmokeCheck],
        target: CheckTarget,
        *,
        stopped: Callable[[], bool],
    ) -> list[CheckResult]:
        """Run `checks`; results in their order, a bash check's JUnit cases behind its own.

        Nothing that was started is left when it returns, but for a thread that the system itself
        holds up (name resolution, say). What was not reached when `stopped` turned true is
        SKIPPED, what was under way ERROR.
        """
        scrubber = Scrubber(target.secret_headers.values())
        contexts = [
            Context(
                check=check,
                target=target,
                scrubber=scrubber,
                directory=self._directory,
                port_names=self._port_names,
            )
            for check in checks
        ]
        board = _Board(contexts, self._parallel)
        try:
            results = board.finish(stopped)
        finally:
            board.stop()
        return [scrubber.scrub_result(result) for group in results for result in group]


class _Board:
    """Which checks wait, run and have ended. Used by one thread alone, but for `_ended`."""

    def __init__(self, contexts: Sequence[Context], parallel: int) -> None:
        self._contexts = list(contexts)
        self._parallel = parallel
        self._next = 0
        self._running: dict[int, Context] = {}
        self._results: dict[int, list[CheckResult]] = {}
        self._ended: queue.SimpleQueue[tuple[int, list[CheckResult]]] = queue.SimpleQueue()

    def finish(self, stopped: Callable[[], bool]) -> list[list[CheckResult]]:
        """Bring every check to a result, or to its end when `stopped` turns true."""
        while len(self._results) < len(self._contexts):
            if stopped():
                self.stop()
                break
            self._start_what_fits()
            self._take(POLL)
            self._enforce_deadlines()
        return [
            self._results.get(index) or [_not_reached(context)]
            for index, context in enumerate(self._contexts)
        ]

    def stop(self) -> None:
        """End all that run, and wait for them as long as GRACE."""
        for context in self._running.values():
            context.abort(Reason.STOPPED)
        give_up = time.monotonic() + GRACE
        while self._running and time.monotonic() < give_up:
            self._take(POLL)
        for index in list(self._running):
            self._abandon(index)

    def _start_what_fits(self) -> None:
        while self._next < len(self._contexts) and len(self._running) < self._parallel:
            index, context = self._next, self._contexts[self._next].starting_now()
            self._next += 1
            self._running[index] = context
            threading.Thread(
                target=self._work, args=(index, context), name=context.check.name, daemon=True
            ).start()

    def _work(self, index: int, context: Context) -> None:
        self._ended.put((index, _run_one(context)))

    def _take(self, seconds: float) -> None:
        try:
            index, results = self._ended.get(timeout=seconds)
        except queue.Empty:
            return
        if self._running.pop(index, None) is not None:
            self._results[index] = results

    def _enforce_deadlines(self) -> None:
        now = time.monotonic()
        for index, context in list(self._running.items()):
            if now >= context.deadline:
                context.abort(Reason.TIMEOUT)
            if now >= context.deadline + PATIENCE:
                self._abandon(index)

    def _abandon(self, index: int) -> None:
        """Go on without a thread that does not end; what it finds later is not looked at."""
        self._results[index] = [self._running.pop(index).ended()]


def _not_reached(context: Context) -> CheckResult:
    return CheckResult(
        name=context.check.name,
        verdict=Verdict.SKIPPED,
        message="stopped before it had begun",
        seconds=0.0,
    )


def _run_one(context: Context) -> list[CheckResult]:
    """Run one check to its results: whatever happens is that check's result, and no other's."""
    try:
        for path, message in validate(context.check):
            raise ConfigError(message, where=path)
        return _kind(context.check)(context)
    except TheseusError as error:
        message = f"{error} ({error.remedy})" if error.remedy else str(error)
        return [context.result(Verdict.ERROR, message, expected="a check that can be run")]
    except Exception as error:  # noqa: BLE001 - a fault in one check must not take the others along
        return [
            context.result(
                Verdict.ERROR,
                f"the check itself failed: {type(error).__name__}: {error}",
                evidence=traceback.format_exc(),
            )
        ]


def _kind(check: SmokeCheck) -> Check:
    """What runs this check; only what is used is imported, since requests and sh are slow to."""
    if check.http is not None:
        http = check.http
        from theseus_ci.checks.http import run_http  # noqa: PLC0415

        return lambda context: run_http(http, context)
    if check.tcp is not None:
        tcp = check.tcp
        from theseus_ci.checks.tcp import run_tcp  # noqa: PLC0415

        return lambda context: run_tcp(tcp, context)
    if check.ssh is not None:
        ssh = check.ssh
        from theseus_ci.checks.ssh import run_ssh  # noqa: PLC0415

        return lambda context: run_ssh(ssh, context)
    if check.bash is not None:
        bash = bash_check(check.bash)
        from theseus_ci.checks.bash import run_bash  # noqa: PLC0415

        return lambda context: run_bash(bash, context)
    raise ConfigError("needs exactly one of http, tcp, ssh and bash")
