"""Child processes on a core of their own, and what they cost."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from theseus_ci.sandbox.processes import spawn

_ROOT = Path(__file__).parent.parent.parent
_LONGEST = 180.0  # seconds


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """What a program printed and used."""

    output: str
    cpu: float  # seconds, user and system
    seconds: float


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of the bench."""
    return [sys.executable, "-m", module, *arguments]


@contextlib.contextmanager
def child(command: Sequence[str], *, core: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends."""
    process = _start(command, core, subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run(command: Sequence[str], *, core: int, env: dict[str, str] | None = None) -> Finished:
    """Run a program to its end. Raises RuntimeError when it fails."""
    began = time.monotonic()
    before = os.times()
    process = _start(command, core, subprocess.PIPE, env)
    try:
        output = process.communicate(timeout=_LONGEST)[0].decode()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    after = os.times()
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {output[-500:]}")
    cpu = after.children_user + after.children_system - before.children_user
    return Finished(
        output=output, cpu=cpu - before.children_system, seconds=time.monotonic() - began
    )


def _start(
    command: Sequence[str], core: int, output: int, env: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    available = sorted(os.sched_getaffinity(0))
    pin: list[str] = []
    if len(available) > core and (taskset := shutil.which("taskset")):
        pin = [taskset, "-c", str(available[core])]
    return spawn(
        [*pin, *command],
        environment={**os.environ, **(env or {})},
        directory=_ROOT,
        stdout=output,
        stderr=subprocess.DEVNULL,
    )
