"""How a worker's samples travel: as lines of its log, numbered, summed and compressed.

A pod's log asks for no right in the cluster but reading it, and needs no way back into the network
of whoever gathers. Each line is

    theseus-load 1 NUMBER LAST CRC32 BASE64

a part of a message: the parts up to one with LAST = 1, joined, are a zlib stream of msgpack. What
is lost, doubled or damaged on the way shows in NUMBER and CRC32; a line stays far below the 16 KiB
at which container runtimes cut. A request takes seven bytes in large slices, eleven in small ones.
"""

from __future__ import annotations

import base64
import binascii
import sys
import zlib
from array import array
from collections.abc import Iterator

import msgspec

from theseus_ci.errors import NoData
from theseus_ci.measure import BadAnswer, Slice, SlicePair, Version

MARK = b"theseus-load 1 "
_PART = 6 * 1024  # bytes of a part, before base64
_LEVEL = 1  # of compression: the generator shares its processor with it
_MOST_WORDS = 20  # lines of other output that are kept, for an error's message


class Hello(msgspec.Struct, frozen=True, tag="hello", kw_only=True):
    """The first message: the worker has reached both versions and begins."""

    index: int
    at: float  # seconds since the epoch, by the worker's clock


class SliceRecord(msgspec.Struct, frozen=True, array_like=True):
    """A slice; arrays are little-endian bytes: 2 a request for `requests`, else 4."""

    version: Version
    started: float
    seconds: float
    requests: bytes
    latencies: bytes
    lateness: bytes
    statuses: bytes
    outcomes: bytes
    waited: int
    samples: tuple[BadAnswer, ...]


class Pairs(msgspec.Struct, frozen=True, tag="pairs", kw_only=True):
    """Pairs in the order of their numbers, each with its slices in the order of sending."""

    at: float  # seconds since the epoch: when this was written
    pairs: tuple[tuple[int, tuple[SliceRecord, ...]], ...]


class Failure(msgspec.Struct, frozen=True, tag="failure", kw_only=True):
    """The last message of a worker that cannot go on."""

    message: str
    remedy: str = ""


class End(msgspec.Struct, frozen=True, tag="end", kw_only=True):
    """The last message of a worker that nobody has stopped for `Order.longest`."""


Message = Hello | Pairs | Failure | End
_decoder = msgspec.msgpack.Decoder(Message)


class Encoder:
    """Messages of one worker as lines."""

    def __init__(self) -> None:
        self._number = 0

    def lines(self, message: Message) -> bytes:
        """The lines of a message, each with its end."""
        data = zlib.compress(msgspec.msgpack.encode(message), _LEVEL)
        parts = [data[start : start + _PART] for start in range(0, len(data), _PART)]
        out = []
        for position, part in enumerate(parts, start=1):
            head = b"%d %d %08x " % (self._number, position == len(parts), zlib.crc32(part))
            out.append(MARK + head + base64.b64encode(part) + b"\n")
            self._number += 1
        return b"".join(out)


class Decoder:
    """Reads one worker's log, of which any part may come again."""

    def __init__(self) -> None:
        self._number = 0
        self._parts: list[bytes] = []
        self.words: list[str] = []  # the last of what is not a message: tracebacks and the like

    def feed(self, line: bytes) -> Message | None:
        """The message that a line (without its end) completes, if any. A line seen before is
        passed over. Raises errors.NoData when lines are missing or damaged."""
        if not line.startswith(MARK):
            text = line.decode("utf-8", "replace").strip()
            if text and text not in self.words:
                self.words = [*self.words, text][-_MOST_WORDS:]
            return None
        number, last, part = _parse(line)
        if number < self._number:
            return None
        if number > self._number:
            raise NoData(
                f"its samples are incomplete: line {self._number} is missing from its log, which "
                "was rotated before it was read",
                remedy="raise the node's containerLogMaxSize, or spread the load over more workers",
            )
        self._number += 1
        self._parts.append(part)
        if not last:
            return None
        data, self._parts = b"".join(self._parts), []
        try:
            message: Message = _decoder.decode(zlib.decompress(data))
        except (zlib.error, msgspec.DecodeError) as error:
            raise NoData(f"its samples cannot be read: {error}") from error
        return message


def _parse(line: bytes) -> tuple[int, bool, bytes]:
    try:
        number, last, checksum, text = line[len(MARK) :].split(b" ")
        part = base64.b64decode(text, validate=True)
        if zlib.crc32(part) != int(checksum, 16):
            raise ValueError("its checksum differs")
        return int(number), last == b"1", part
    except (ValueError, binascii.Error) as error:
        raise NoData(f"a line of its samples is damaged: {error}") from error


def to_records(
    pair: SlicePair, hidden: tuple[str, ...] = ()
) -> tuple[int, tuple[SliceRecord, ...]]:
    """A pair for `Pairs`. Texts in `hidden` are blotted out of what was answered: a service may
    send back the headers it got."""
    return pair.index, tuple(_record(one, hidden) for one in pair.slices)


def from_records(message: Pairs) -> Iterator[SlicePair]:
    """The pairs of a message."""
    for number, records in message.pairs:
        yield SlicePair(index=number, slices=tuple(_slice(record) for record in records))


def _without(sample: BadAnswer, hidden: tuple[str, ...]) -> BadAnswer:
    text = sample.text
    for secret in hidden:
        text = text.replace(secret, "…")
    return msgspec.structs.replace(sample, text=text)


def _record(one: Slice, hidden: tuple[str, ...]) -> SliceRecord:
    return SliceRecord(
        version=one.version,
        started=one.started,
        seconds=one.seconds,
        requests=_bytes(array("H", one.requests)),
        latencies=_bytes(one.latencies),
        lateness=_bytes(one.lateness),
        statuses=_bytes(one.statuses),
        outcomes=bytes(one.outcomes),
        waited=one.waited,
        samples=tuple(_without(sample, hidden) for sample in one.samples),
    )


def _slice(record: SliceRecord) -> Slice:
    return Slice(
        version=record.version,
        started=record.started,
        seconds=record.seconds,
        requests=_array("H", record.requests),
        latencies=_array("I", record.latencies),
        lateness=_array("I", record.lateness),
        statuses=_array("I", record.statuses),
        outcomes=bytearray(record.outcomes),
        waited=record.waited,
        samples=record.samples,
    )


def _bytes(values: array[int]) -> bytes:
    if sys.byteorder == "big":
        values = array(values.typecode, values)
        values.byteswap()
    return values.tobytes()


def _array(code: str, data: bytes) -> array[int]:
    values = array(code)
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values
