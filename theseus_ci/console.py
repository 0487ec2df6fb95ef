"""What people read while something runs: plain lines, with a status line below on a terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

from theseus_ci.quantities import counted
from theseus_ci.streams import telling

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

QUIET_SECONDS = 10.0  # plain output repeats the progress of a wait at most this often
REFRESH_PER_SECOND = 4


class Console:
    """Sentences with a time in front; waits say what they wait for.

    Where they cannot be written, be it that the reader has gone away (`| head`) or the disk is
    full, the rollout goes on without.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = telling(stream or sys.stdout)
        self._terminal = self._stream.isatty()
        self._last_progress = ("", 0.0)
        self._live: Live | None = None
        self.status = StatusLine()

    def log(self, sentence: str) -> None:
        """A line that stays."""
        line = f"{time.strftime('%H:%M:%S')}  {sentence}"
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            self._write(f"{line}\n")
        self._last_progress = ("", 0.0)

    def progress(self, sentence: str) -> None:
        """What is being waited for; in the status line on a terminal, rarely printed else."""
        self.status.waiting = sentence
        if self._live is not None:
            return
        last, at = self._last_progress
        now = time.monotonic()
        if sentence != last and (not last or now - at >= QUIET_SECONDS):
            self._write(f"{time.strftime('%H:%M:%S')}    … {sentence}\n")
            self._last_progress = (sentence, now)

    def ask(self, question: str) -> None:
        """What a person is to answer, behind it."""
        self._write(question)

    def follow(self) -> None:
        """From now on show the status line, where somebody can see it."""
        if not self._terminal or self._live is not None:
            return
        from rich.console import Console as RichConsole  # noqa: PLC0415 (only on a terminal)
        from rich.live import Live  # noqa: PLC0415

        self._live = Live(
            self.status,
            console=RichConsole(file=self._stream),
            refresh_per_second=REFRESH_PER_SECOND,
            transient=True,
        )
        self._live.start()

    def close(self) -> None:
        """Leave no half line behind."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class StatusLine:
    """Which step, for how long, what is being waited for, what traffic goes where.

    In this order: a terminal of 80 columns cuts the end off.
    """

    def __init__(self) -> None:
        self._step = ""
        self._since = time.monotonic()
        self.traffic = ""
        self.checks = 0
        self.waiting = ""

    def begin(self, step: str, traffic: str, checks: int) -> None:
        """A new step has begun."""
        self._step, self.traffic, self.checks, self.waiting = step, traffic, checks, ""
        self._since = time.monotonic()

    def __rich__(self) -> Text:
        from rich.text import Text  # noqa: PLC0415 (only on a terminal)

        parts = [f"{self._step} {time.monotonic() - self._since:.0f} s", self.waiting]
        parts += [self.traffic, f"{counted(self.checks, 'check')} passed"]
        return Text(" · ".join(filter(None, parts)), no_wrap=True, overflow="ellipsis", style="dim")
