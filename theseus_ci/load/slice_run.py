"""A slice under way: when its requests were due, and what became of them."""

from __future__ import annotations

from array import array
from collections.abc import Callable

from theseus_ci.load.wire import Payload
from theseus_ci.measure import ERROR_KINDS, OK, BadAnswer, Slice, Version

PENDING = 255  # the outcome of a request that has none yet
_MOST_SAMPLES = 3


class SliceRun:
    """A slice that is being measured: `gaps` are nanoseconds from each request to the next.

    A request is known by its number in the slice; it gets exactly one outcome, by `record` or
    `fail`. Moments are nanoseconds of the monotonic clock.
    """

    __slots__ = (
        "_finished",
        "_labels",
        "_latencies",
        "_missing",
        "_moved",
        "_outcomes",
        "_samples",
        "_statuses",
        "bodyless",
        "choices",
        "data",
        "due",
        "gaps",
        "lateness",
        "sent",
        "size",
        "version",
        "waited",
    )

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
        self.data = [payloads[choice].data for choice in choices]
        self.bodyless = [payloads[choice].bodyless for choice in choices]
        self.sent = 0
        self.waited = 0
        self.due = array("Q", bytes(8 * size))
        self.lateness = array("I", bytes(4 * size))
        self._labels = [payload.label for payload in payloads]
        self._latencies = array("I", bytes(4 * size))
        self._statuses = array("I", bytes(4 * size))
        self._outcomes = bytearray([PENDING]) * size
        self._samples: list[BadAnswer] = []
        self._missing = size
        self._finished = finished
        self._moved = 0

    @property
    def complete(self) -> bool:
        """Whether every request has got its outcome."""
        return not self._missing

    def begin(self, due: int, now: int) -> int:
        """The number of the next request, due at `due` and handed over `now`."""
        index = self.sent
        self.sent = index + 1
        self.due[index] = due
        if now > due:
            self.lateness[index] = (now - due) // 1000
        return index

    def is_pending(self, index: int) -> bool:
        """Whether a request still has no outcome."""
        return self._outcomes[index] == PENDING

    def overdue(self, moment: int) -> list[int]:
        """Requests without an outcome that were due at `moment` or before."""
        found = []
        index = self._outcomes.find(PENDING)
        while 0 <= index < self.sent and self.due[index] <= moment:
            found.append(index)
            index = self._outcomes.find(PENDING, index + 1)
        return found

    def note_moved(self, delay: int) -> None:
        """Record that the rest of the schedule was moved by `delay` nanoseconds."""
        self._moved += delay

    def record(self, index: int, now: int, status: int) -> None:
        """A good answer, complete at `now`."""
        self._latencies[index] = (now - self.due[index]) // 1000 or 1
        self._statuses[index] = status
        self._outcomes[index] = OK
        self._missing -= 1
        if not self._missing:
            self._finished()

    def fail(self, index: int, now: int, kind: int, status: int, text: str) -> None:
        """Any other outcome: `kind` is one of ERROR_KINDS, `text` what is known of it."""
        self.record(index, now, status)
        self._outcomes[index] = kind
        if len(self._samples) < _MOST_SAMPLES:
            label = self._labels[self.choices[index]]
            sample = BadAnswer(request=label, kind=ERROR_KINDS[kind], status=status, text=text)
            self._samples.append(sample)

    def slice(self, interval: float) -> Slice:
        """The finished slice; `interval` is the mean time between two requests, nanoseconds.

        Its duration is the schedule's and what the generator lost: a random schedule that
        happens to be a little long says nothing of the rate that was reached.
        """
        lost = self._moved / 1e9 + self.lateness[-1] / 1e6
        return Slice(
            version=self.version,
            started=self.due[0] / 1e9,
            seconds=self.size * interval / 1e9 + lost,
            requests=self.choices,
            latencies=self._latencies,
            lateness=self.lateness,
            statuses=self._statuses,
            outcomes=self._outcomes,
            waited=self.waited,
            samples=tuple(self._samples),
        )
