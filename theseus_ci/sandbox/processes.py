"""Child processes that cannot outlive what they belong to.

Three nets, each for what the one before lets through: a child gets SIGKILL when its parent dies
(PR_SET_PDEATHSIG), it leads a process group that is killed as a whole, and it and its descendants
carry a marker in their environment by which whatever is left can be found, even after every
process that knew of it was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

SANDBOX_MARKER = "THESEUS_SANDBOX_DIRECTORY"
"""Environment variable that every process of a sandbox carries: the sandbox's directory."""

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.02
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with(parent: int) -> Callable[[], None]:
    def before_exec() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the line above took effect
            os._exit(1)

    return before_exec


def spawn(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: Path,
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own; it dies with this process.

    Call from the main thread: the kernel ties the child to the thread that started it. Raises
    OSError when the command cannot be started.
    """
    return subprocess.Popen(  # noqa: S603 - what to run is the caller's decision
        list(command),
        env=dict(environment),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - no lock is taken before exec
    )


async def exited(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end; returns the exit code, or -n after signal n."""
    if process.returncode is not None:
        return process.returncode
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    descriptor = os.pidfd_open(process.pid)
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return process.wait()


def signal_group(leader: int, number: signal.Signals) -> None:
    """Send a signal to every process of the group; one that has ended is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def find_marked(name: str, value: str) -> list[int]:
    """The ids of all running processes of this user whose environment has NAME=value.

    Never this process or its ancestors: a command typed inside a marked shell must survive.
    """
    wanted = f"{name}={value}".encode()
    spared = set(_ancestry(os.getpid()))
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) in spared:
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:  # another user's, or just gone
            continue
        if wanted in variables and _state(int(entry.name)) not in {"Z", "X", ""}:
            found.append(int(entry.name))
    return sorted(found)


def kill_marked(name: str, value: str, *, seconds: float = 5.0) -> list[int]:
    """SIGKILL every marked process until none is left; returns the ids it killed.

    Raises TimeoutError when some are still there after `seconds`.
    """
    killed: set[int] = set()
    deadline = time.monotonic() + seconds
    while remaining := find_marked(name, value):
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {remaining} do not die")
        for process in remaining:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        killed.update(remaining)
        time.sleep(_POLL_SECONDS)
    return sorted(killed)


def inherited_environment(names: Iterable[str] = ()) -> dict[str, str]:
    """What any program needs of our own environment to start at all, and `names`."""
    kept = {"PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH", *names}
    return {name: os.environ[name] for name in sorted(kept) if name in os.environ}


def python_command(module: str, *arguments: str) -> list[str]:
    """The command line that runs one of our modules with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def is_alive(process: int, started: str) -> bool:
    """Whether this very process (see `start_time`) still runs."""
    return start_time(process) == started and _state(process) not in {"Z", "X", ""}


def start_time(process: int) -> str:
    """When it started, in clock ticks since boot: with the id it names a process for good.

    Empty when there is no such process.
    """
    fields = _stat(process)
    return fields[19] if len(fields) > 19 else ""


def _state(process: int) -> str:
    fields = _stat(process)
    return fields[0] if fields else ""


def _ancestry(process: int) -> Iterable[int]:
    while process > 0:
        yield process
        fields = _stat(process)
        process = int(fields[1]) if len(fields) > 1 else 0


def _stat(process: int) -> list[str]:
    """Fields of /proc/N/stat from the state on: the name before it may hold spaces."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
