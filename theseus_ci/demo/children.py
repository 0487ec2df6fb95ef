"""The demo's child processes: the command line itself, and the traffic."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from theseus_ci.demo.place import HOST
from theseus_ci.demo.traffic import TIMEOUT_SECONDS, Request, read_requests
from theseus_ci.errors import CannotKnow
from theseus_ci.sandbox.processes import (
    inherited_environment,
    python_command,
    signal_group,
    spawn,
)

STOP_SECONDS = 5.0
WARM_UP_SECONDS = 30.0


def command_line(
    arguments: list[str], *, directory: Path, log: Path, tell: Callable[[str], None]
) -> int:
    """Run theseus-ci as a user would, telling its lines as they come; returns its exit code."""
    process = spawn(
        python_command("theseus_ci.cli", *arguments),
        environment={**inherited_environment(("HOME",)), "PYTHONUNBUFFERED": "1"},
        directory=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        with log.open("w", encoding="utf-8") as kept, process.stdout as output:
            for raw in output:
                line = raw.decode("utf-8", "replace").rstrip("\n")
                kept.write(f"{line}\n")
                tell(line)
        return process.wait()
    finally:
        _end(process, STOP_SECONDS)


class RunningTraffic:
    """A traffic process and what it has recorded so far."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, rate: float) -> None:
        self._process = process
        self._out = out
        self._rate = rate

    def await_more(self, seconds: float) -> None:
        """Wait until it has recorded as many more requests as it sends in `seconds`.

        Raises CannotKnow when it has ended or does not get on.
        """
        wanted = self._recorded() + int(seconds * self._rate)
        deadline = time.monotonic() + seconds + WARM_UP_SECONDS
        while self._recorded() < wanted:
            if self._process.poll() is not None:
                raise CannotKnow(f"the traffic has ended by itself, with {self._process.wait()}")
            if time.monotonic() > deadline:
                raise CannotKnow("the traffic does not get on")
            time.sleep(0.1)

    def end(self) -> list[Request]:
        """Stop it once every answer is in; returns all requests. Raises CannotKnow."""
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(TIMEOUT_SECONDS + STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise CannotKnow("the traffic does not end") from error
        if code != 0:
            raise CannotKnow(f"the traffic ended with exit code {code}: its counts are not whole")
        return read_requests(self._out)

    def _recorded(self) -> int:
        return self._out.read_bytes().count(b"\n") if self._out.exists() else 0


@contextmanager
def traffic(url: str, rate: float, out: Path) -> Iterator[RunningTraffic]:
    """Traffic at `rate` requests a second; it never outlives the block."""
    out.unlink(missing_ok=True)
    command = python_command("theseus_ci.demo.traffic", "--url", url, "--host", HOST)
    process = spawn(
        [*command, "--rate", f"{rate:g}", "--out", str(out)],
        environment=inherited_environment(("HOME",)),
        directory=out.parent,
        stdout=sys.stdout.fileno(),
        stderr=sys.stderr.fileno(),
    )
    try:
        yield RunningTraffic(process, out, rate)
    finally:
        _end(process, STOP_SECONDS)


def _end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Ask it to end, and make it end after `seconds`; nothing of its group is left."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    signal_group(process.pid, signal.SIGKILL)
    process.wait()
