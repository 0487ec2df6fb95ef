"""What people read while something runs: plain lines, with a status line below on a terminal."""

from __future__ import annotations

import os
import sys
import time
from typing import TextIO

QUIET_SECONDS = 10.0  # plain output repeats the progress of a wait at most this often


class Console:
    """Sentences with a time in front; waits say what they wait for."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._terminal = self._stream.isatty()
        self._last_progress = ("", 0.0)
        self._status = ""
        self._broken = False
        self.context = ""  # what the status line says before the progress

    def log(self, sentence: str) -> None:
        """A line that stays."""
        self._clear()
        self._write(f"{time.strftime('%H:%M:%S')}  {sentence}\n")
        self._last_progress = ("", 0.0)

    def progress(self, sentence: str) -> None:
        """What is being waited for; replaces the last one on a terminal, rarely printed else."""
        if self._terminal:
            self._clear()
            self._status = f"{self.context}{sentence}"
            self._write(f"\r{self._status}")
            return
        last, at = self._last_progress
        now = time.monotonic()
        if sentence != last and (not last or now - at >= QUIET_SECONDS):
            self._write(f"{time.strftime('%H:%M:%S')}    … {sentence}\n")
            self._last_progress = (sentence, now)

    def close(self) -> None:
        """Leave no half line behind."""
        self._clear()

    def _write(self, text: str) -> None:
        """Write; a reader that has gone away (`| head`) must not stop a rollout half way."""
        if self._broken:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            self._broken = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def _clear(self) -> None:
        if self._status:
            self._write("\r\x1b[2K")
            self._status = ""
