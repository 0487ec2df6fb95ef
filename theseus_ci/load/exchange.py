"""Requests under way, and the slice that their answers fill."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING

from theseus_ci.load.wire import Payload
from theseus_ci.measure import ERROR_KINDS, OK, BadAnswer, Slice, Version

if TYPE_CHECKING:
    from theseus_ci.load.connection import Connection

_MOST_SAMPLES = 3


class SliceRun:
    """A slice that is being measured: `gaps` are nanoseconds from each request to the next."""

    def __init__(
        self,
        version: Version,
        choices: array[int],
        gaps: array[int],
        payloads: list[Payload],
        finished: Callable[[], None],
    ) -> None:
        size = len(choices)
        self.size = size
        self.version: Version = version
        self.choices = choices
        self.gaps = gaps
        self.payloads = payloads
        self.sent = 0
        self.waited = 0
        self.lateness = array("I", bytes(4 * size))
        self._latencies = array("I", bytes(4 * size))
        self._statuses = array("I", bytes(4 * size))
        self._outcomes = bytearray(size)
        self._samples: list[BadAnswer] = []
        self._missing = size
        self._finished = finished
        self._first = 0
        self._moved = 0

    @property
    def complete(self) -> bool:
        """Whether every request has got its outcome."""
        return not self._missing

    @property
    def wants_sample(self) -> bool:
        """Whether an example of an error is still of use."""
        return len(self._samples) < _MOST_SAMPLES

    def next(self, due: int, now: int) -> Exchange:
        """The next request, due at `due` and handed over `now`, nanoseconds."""
        index = self.sent
        if not index:
            self._first = due
        self.sent = index + 1
        if now > due:
            self.lateness[index] = (now - due) // 1000
        return Exchange(self, index, due, self.payloads[self.choices[index]])

    def note_moved(self, delay: int) -> None:
        """Record that the rest of the schedule was moved by `delay` nanoseconds."""
        self._moved += delay

    def note_delay(self, index: int, delay: int) -> None:
        """Record that the generator was away for `delay` nanoseconds in the middle of a request."""
        self.lateness[index] = max(self.lateness[index], delay // 1000)

    def record(
        self, index: int, latency: int, status: int, outcome: int, sample: BadAnswer | None
    ) -> None:
        """An outcome; `latency` in nanoseconds."""
        self._latencies[index] = latency // 1000 or 1
        self._statuses[index] = status
        if outcome != OK:
            self._outcomes[index] = outcome
            if sample is not None:
                self._samples.append(sample)
        self._missing -= 1
        if not self._missing:
            self._finished()

    def slice(self, interval: float) -> Slice:
        """The finished slice; `interval` is the mean time between two requests, nanoseconds.

        Its duration is the schedule's and what the generator lost: a random schedule that
        happens to be a little long says nothing of the rate that was reached.
        """
        lost = self._moved / 1e9 + self.lateness[-1] / 1e6
        return Slice(
            version=self.version,
            started=self._first / 1e9,
            seconds=self.size * interval / 1e9 + lost,
            requests=self.choices,
            latencies=self._latencies,
            lateness=self.lateness,
            statuses=self._statuses,
            outcomes=self._outcomes,
            waited=self.waited,
            samples=tuple(self._samples),
        )


class Exchange:
    """One request and its one outcome."""

    __slots__ = ("carrier", "done", "due", "index", "payload", "run")

    def __init__(self, run: SliceRun, index: int, due: int, payload: Payload) -> None:
        self.run = run
        self.index = index
        self.due = due  # nanoseconds of the monotonic clock
        self.payload = payload
        self.done = False
        self.carrier: Connection | None = None

    def finish(self, now: int, outcome: int, status: int = 0, text: str = "") -> None:
        """Record the outcome; only the first counts."""
        if self.done:
            return
        self.done = True
        self.carrier = None
        sample = None
        if outcome != OK and self.run.wants_sample:
            sample = BadAnswer(
                request=self.payload.label, kind=ERROR_KINDS[outcome], status=status, text=text
            )
        self.run.record(self.index, now - self.due, status, outcome, sample)
