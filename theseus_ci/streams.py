"""Standard streams for a program whose output may lead anywhere: to a full disk, to nobody.

What tells how the work goes never stops the work. What somebody has asked for is another matter: a
plan that was not printed is a failure. Hence a stream for either.
"""

from __future__ import annotations

import io
import os
import sys

from theseus_ci.errors import NotPrinted

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes as long as everything of ours that `--help` needs
    from typing import TextIO

INDISTINCT = ("strict", "surrogateescape")  # ways to fail at a character that an encoding lacks


class Telling(io.TextIOWrapper):
    """How the work goes. What cannot be written is tried again with what comes after it."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            return


class Answer(io.TextIOWrapper):
    """What was asked for. Raises NotPrinted, but BrokenPipeError where the reader (`| head`) has
    gone: it has what it wanted."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise self._lost(error) from error

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise self._lost(error) from error

    def _lost(self, error: OSError) -> Exception:
        """Once is enough: what is still to be written leads nowhere."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
        if isinstance(error, BrokenPipeError):
            return error
        return NotPrinted(
            f"cannot write to standard output: {error.strerror}",
            remedy="nothing else went wrong: see where the output leads, then run it again",
        )


def prepare() -> None:
    """Make this process's standard streams such ones, and open those that are closed.

    The next file or socket would take the number of a closed one, and get what is printed.
    """
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(_nowhere(), closefd=False)))
    sys.stdout = _as(Answer, sys.stdout or _to(_nowhere()))
    sys.stderr = _as(Telling, sys.stderr or _to(_nowhere()))


def telling(stream: TextIO) -> TextIO:
    """A stream to where `stream` leads, for how the work goes; it has a buffer of its own, so that
    what it cannot write is no loss to the other."""
    if isinstance(stream, Telling):
        return stream
    try:
        own = _to(stream.fileno(), encoding=stream.encoding, errors=_errors(stream))
    except (OSError, ValueError):  # no file: it is kept in memory
        return stream
    return _as(Telling, own)


def _as(kind: type[io.TextIOWrapper], stream: TextIO) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    encoding, errors, by_line = stream.encoding, _errors(stream), stream.line_buffering
    through = stream.write_through
    return kind(
        stream.detach(),  # the former must not close it
        encoding=encoding,
        errors=errors,
        line_buffering=by_line,
        write_through=through,
    )


def _errors(stream: TextIO) -> str:
    """Characters that the encoding lacks are written as their numbers: marks such as ✓ and ✗ must
    not become the same."""
    return "backslashreplace" if stream.errors in INDISTINCT else stream.errors or "strict"


def _to(descriptor: int, encoding: str = "utf-8", errors: str = "strict") -> io.TextIOWrapper:
    file = io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False))
    return io.TextIOWrapper(file, encoding=encoding, errors=errors)


def _nowhere() -> int:
    """The lowest free descriptor: that of the stream, where those below are open.

    It is open for reading, so that writing fails as it does to a closed one.
    """
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(descriptor, True)  # what we start would have none
    return descriptor
