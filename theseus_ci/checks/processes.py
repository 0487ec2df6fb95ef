"""Child processes that end when they should: all of them, and with us at the latest."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)

_LAUNCHER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    os._exit(137)
os.execv(sys.argv[2], sys.argv[2:])
"""


def die_with_parent() -> None:
    """To be called in a forked child: the kernel kills it when the thread that forked it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def dying_with_parent(argv: list[str]) -> list[str]:
    """Return a command that becomes `argv` (first an absolute path), once it is sure to die with
    us. A fresh interpreter does it, since code between fork and exec may hang where there are
    threads."""
    return [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *argv]


def signal_group(leader: int, number: int) -> None:
    """Send a signal to a process group; that it has ended already is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def kill_marked(variable: str) -> int:
    """Kill every process of ours whose environment holds `variable` (NAME=value); return how many.

    This finds children that left their process group.
    """
    killed = 0
    marker = variable.encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # ended meanwhile, or somebody else's
            if marker in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
                killed += 1
    return killed
