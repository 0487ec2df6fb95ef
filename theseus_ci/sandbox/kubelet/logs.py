"""What a container wrote: kept in a file with time stamps, rotated at a size, and followed.

Each line is stored as a real container runtime does: `TIME STREAM TAG TEXT`, the tag being F for a
full line and P for a part of a longer one. One rotated file is kept beside the current one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

from theseus_ci.sandbox.kubelet.clock import now_micro_text

LARGEST_LINE = 16 * 1024
READ_SIZE = 64 * 1024


class LogFile:
    """Writes one container's log; `size` is the number of bytes at which it is rotated."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.closed = asyncio.Event()
        self._size = size
        self._followers: set[asyncio.Queue[bytes | None]] = set()
        self._rest = {"stdout": b"", "stderr": b""}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        self._open_streams = 0

    def capture(self, stream: str, descriptor: int) -> None:
        """Read the descriptor until its end, then close it; the log closes after the last one."""
        os.set_blocking(descriptor, False)
        self._open_streams += 1
        asyncio.get_running_loop().add_reader(descriptor, self._read, stream, descriptor)

    def follow(self) -> asyncio.Queue[bytes | None]:
        """A queue of the lines from now on; None ends it."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        if self.closed.is_set():
            queue.put_nowait(None)
        else:
            self._followers.add(queue)
        return queue

    def unfollow(self, queue: asyncio.Queue[bytes | None]) -> None:
        self._followers.discard(queue)

    def _read(self, stream: str, descriptor: int) -> None:
        try:
            data = os.read(descriptor, READ_SIZE)
        except BlockingIOError:
            return
        if data:
            self.feed(stream, data)
            return
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        if self._rest[stream]:
            self._write(stream, b"F", [self._rest[stream]])
            self._rest[stream] = b""
        self._open_streams -= 1
        if self._open_streams == 0:
            self.close()

    def feed(self, stream: str, data: bytes) -> None:
        """Add what the container wrote; the last, unfinished line waits for its end."""
        *lines, rest = (self._rest[stream] + data).split(b"\n")
        self._write(stream, b"F", lines)
        while len(rest) >= LARGEST_LINE:
            self._write(stream, b"P", [rest[:LARGEST_LINE]])
            rest = rest[LARGEST_LINE:]
        self._rest[stream] = rest

    def _write(self, stream: str, tag: bytes, texts: list[bytes]) -> None:
        if not texts or self.closed.is_set():
            return
        head = f"{now_micro_text()} {stream} ".encode() + tag + b" "
        lines = [head + text + b"\n" for text in texts]
        self._file.write(b"".join(lines))
        self._file.flush()
        for queue in self._followers:
            for line in lines:
                queue.put_nowait(line)
        if self._file.tell() >= self._size:
            self._file.close()
            self.path.replace(rotated(self.path))
            self._file = self.path.open("ab")

    def close(self) -> None:
        """End the log; nothing more is written."""
        if self.closed.is_set():
            return
        self.closed.set()
        self._file.close()
        for queue in self._followers:
            queue.put_nowait(None)
        self._followers.clear()


def rotated(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")


def read_lines(path: Path) -> Iterator[bytes]:
    """Every stored line, oldest first; nothing when the container never wrote."""
    for part in (rotated(path), path):
        if part.exists():
            with part.open("rb") as file:
                yield from file


def split_line(line: bytes) -> tuple[str, bytes]:
    """Return (time stamp, text with its line end) of a stored line."""
    stamp, _, tail = line.partition(b" ")
    _, _, tail = tail.partition(b" ")
    tag, _, text = tail.partition(b" ")
    return stamp.decode("ascii", "replace"), text.rstrip(b"\n") if tag == b"P" else text


def last_text(path: Path, *, lines: int, size: int) -> str:
    """The end of a log as text, for a termination message."""
    kept = [split_line(line)[1] for line in list(read_lines(path))[-lines:]]
    return b"".join(kept)[-size:].decode("utf-8", "replace").strip()
