"""Commands that run to their end: a process loads the program once, and forks for each of them.

Each command is a process of its own with arguments, folder, environment, input and exit code as
from a shell, and goes through the program's own entry point; only what Python takes to load, most
of a short command's time, is spent once. Commands that are interrupted or sit at a terminal are
started from the shell's own command (`world.COMMAND`), as are those of the documentation.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
PROGRAM = str(Path(sys.executable).with_name("theseus-ci"))


class Ended(NamedTuple):
    """How a command ended; `code` is None when it had to be killed for want of an end."""

    code: int | None
    out: str
    err: str


class _Server:
    """The process that forks; runs one command at a time."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="theseus-forked-")
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.forked"],
            cwd=ROOT,
            env=kept,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asks, self._told = self._process.stdin, self._process.stdout

    def run(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        stdin: str,
        seconds: float,
    ) -> Ended:
        streams = [Path(self._folder.name, name) for name in ("stdin", "stdout", "stderr")]
        streams[0].write_text(stdin, encoding="utf-8")
        asked = {
            "arguments": [PROGRAM, *arguments],
            "folder": str(folder),
            "environment": dict(environment),
            "streams": list(map(str, streams)),
        }
        self._asks.write(json.dumps(asked).encode() + b"\n")
        child = self._line()
        ready, _, _ = select.select([self._told], [], [], seconds)
        if not ready:
            os.kill(child, signal.SIGKILL)
        code = self._line()
        out, err = (path.read_text(encoding="utf-8") for path in streams[1:])
        return Ended(code if ready else None, out, err)

    def close(self) -> None:
        self._asks.close()
        self._process.wait(60)
        self._told.close()
        self._folder.cleanup()

    def _line(self) -> int:
        return int(self._told.readline())


class _Servers:
    """As many servers as commands run at once, kept for the next ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Server] = []
        atexit.register(self._close)

    def take(self) -> _Server:
        with self._lock:
            return self._idle.pop() if self._idle else _Server()

    def give(self, server: _Server) -> None:
        with self._lock:
            self._idle.append(server)

    def _close(self) -> None:
        for server in self._idle:
            server.close()


_SERVERS = _Servers()


def run(
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    stdin: str = "",
    seconds: float,
) -> Ended:
    """A command to its end, killed after `seconds`."""
    server = _SERVERS.take()
    ended = server.run(arguments, folder, environment, stdin, seconds)
    _SERVERS.give(server)
    return ended


def from_shell(
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    stdin: str = "",
    seconds: float,
) -> Ended:
    """As `run`, but Python and the program are loaded for this command alone."""
    process = subprocess.Popen(
        [PROGRAM, *arguments],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, err = process.communicate(stdin, timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return Ended(None, *process.communicate())
    return Ended(process.returncode, out, err)


def _serve() -> None:
    import theseus_ci.commands.adapters  # noqa: PLC0415 (what takes long to load)
    from theseus_ci.cli import main  # noqa: PLC0415

    assert theseus_ci.commands.adapters
    gc.freeze()
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(asked)
            sys.exit(main())
        _tell(child)
        _, status = os.waitpid(child, 0)
        _tell(os.waitstatus_to_exitcode(status))


def _tell(number: int) -> None:
    os.write(1, b"%d\n" % number)


def _become(asked: dict[str, Any]) -> None:
    """Be the process that was asked for."""
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv = asked["arguments"]
    for number, name in enumerate(asked["streams"]):
        anew = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        file = os.open(name, anew if number else os.O_RDONLY, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False, buffering=1)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _serve()
