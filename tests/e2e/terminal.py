"""A command in a terminal: what it shows, what a person types."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.e2e.world import COMMAND, DEADLINE_SECONDS


class Terminal:
    """What a terminal has shown so far."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self.process = process
        self.text = ""

    def read(self) -> str:
        try:
            while data := os.read(self._descriptor, 65536):
                self.text += data.decode("utf-8", "replace")
        except (BlockingIOError, OSError):  # nothing new, or the other end is closed
            return self.text
        return self.text

    def until(self, wanted: str) -> None:
        """Wait until `wanted` has been shown."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while wanted not in self.read():
            assert self.process.poll() is None, f"ended without {wanted!r}:\n{self.read()}"
            assert time.monotonic() < deadline, f"never {wanted!r}:\n{self.text}"
            time.sleep(0.05)

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def end(self) -> int:
        """The exit code, once the command has ended."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self.process.poll() is None:
            self.read()  # a full terminal would hold it up
            assert time.monotonic() < deadline, f"does not end:\n{self.text}"
            time.sleep(0.05)
        self.read()
        return self.process.returncode


@contextlib.contextmanager
def terminal(arguments: Sequence[str], folder: Path, kubeconfig: Path) -> Iterator[Terminal]:
    """theseus-ci in a session and a terminal of its own; killed when the block fails."""
    outside, inside = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, "KUBECONFIG": str(kubeconfig), "TERM": "xterm"},
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    try:
        yield Terminal(outside, process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(outside)
