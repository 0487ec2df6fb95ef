"""What one running check knows, and how it is ended from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

import msgspec

from theseus_ci.checks.evidence import Scrubber
from theseus_ci.config.smoke import SmokeCheck
from theseus_ci.model import CheckResult, CheckTarget, PodAddress, Verdict

PortNames = Callable[[str, PodAddress, str], "int | None"]
"""(namespace, pod, port's name) -> the container port of that name, None if there is none."""


class Reason(Enum):
    """Why a check was ended from outside."""

    TIMEOUT = "timeout"
    STOPPED = "stopped"


class Abort:
    """Ends one check from another thread: sockets are shut down, processes killed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._actions: list[Callable[[], None]] = []
        self._event = threading.Event()
        self.reason: Reason | None = None

    def __call__(self, reason: Reason) -> None:
        """End the check; only the first reason counts."""
        with self._lock:
            if self.reason is not None:
                return
            self.reason = reason
            actions = list(self._actions)
        self._event.set()
        for action in actions:
            action()

    @contextmanager
    def calls(self, action: Callable[[], None]) -> Iterator[None]:
        """While inside, an abort calls `action` (from another thread, at most once)."""
        with self._lock:
            late = self.reason is not None
            if not late:
                self._actions.append(action)
        if late:
            action()
        try:
            yield
        finally:
            with self._lock:
                if action in self._actions:
                    self._actions.remove(action)

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until the check is ended: then return True."""
        return self._event.wait(max(0.0, seconds))


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one check."""

    check: SmokeCheck
    target: CheckTarget
    scrubber: Scrubber
    directory: Path  # what relative paths of the configuration start from
    port_names: PortNames | None = None
    abort: Abort = msgspec.field(default_factory=Abort)
    started: float = msgspec.field(default_factory=time.monotonic)

    def starting_now(self) -> Context:
        """The same check, its time beginning now."""
        return msgspec.structs.replace(self, abort=Abort(), started=time.monotonic())

    @property
    def deadline(self) -> float:
        """On the monotonic clock."""
        return self.started + self.check.timeout

    def remaining(self) -> float:
        """Seconds until the deadline, at least a little, so that it can be a socket's timeout."""
        return max(0.001, self.deadline - time.monotonic())

    def is_over(self) -> bool:
        """Whether the check was ended from outside, or its time has run out."""
        return self.abort.reason is not None or time.monotonic() >= self.deadline

    def path(self, written: str) -> Path:
        """A path of the configuration; `~` is the user's home."""
        return self.directory / Path(written).expanduser()

    def result(
        self,
        verdict: Verdict,
        message: str,
        *,
        expected: str = "",
        actual: str = "",
        evidence: str = "",
        repeat: str = "",
        charted_seconds: float | None = None,
        details: dict[str, float | int | str] | None = None,
    ) -> CheckResult:
        """A result of this check."""
        return CheckResult(
            name=self.check.name,
            verdict=verdict,
            message=message,
            seconds=time.monotonic() - self.started,
            expected=expected,
            actual=actual,
            evidence=evidence,
            repeat=repeat,
            charted_seconds=charted_seconds,
            details=details or {},
        )

    def ended(self, *, evidence: str = "", repeat: str = "", expected: str = "") -> CheckResult:
        """The result of a check that was ended from outside, or ran into its own deadline."""
        if self.abort.reason is Reason.STOPPED:
            message = "stopped before it had ended"
            return self.result(Verdict.ERROR, message, evidence=evidence, repeat=repeat)
        return self.result(
            Verdict.FAIL,
            f"no result within {self.check.timeout}",
            expected=expected or f"a result within {self.check.timeout}",
            actual="none",
            evidence=evidence,
            repeat=repeat,
        )
