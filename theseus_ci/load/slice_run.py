"""A slice under way: when its requests were due, and what became of them."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from itertools import accumulate

from theseus_ci.load.wire import Payload
from theseus_ci.measure import ERROR_KINDS, OK, BadAnswer, Slice, Version

_PENDING = 255  # the outcome of a request that has none yet
_MOST_SAMPLES = 3


class SliceRun:
    """A slice that is being measured.

    A request is known by its number in the slice; it gets exactly one outcome, by `record` or
    `fail`. Moments are nanoseconds of the monotonic clock. While requests are under way no more is
    done than to note moments: what follows from them is worked out for the whole slice at its end.
    """

    __slots__ = (
        "_choices",
        "_ended",
        "_finished",
        "_gaps",
        "_labels",
        "_missing",
        "_moved",
        "_outcomes",
        "_samples",
        "_statuses",
        "bodyless",
        "data",
        "due",
        "ends",
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
        """`gaps` are nanoseconds from each request to the next; `finished` is called once."""
        size = len(choices)
        self.size = size
        self.version: Version = version
        self.data = [payloads[choice].data for choice in choices]
        self.bodyless = [payloads[choice].bodyless for choice in choices]
        self.due = array("Q")  # when each request is to be sent
        self.ends = 0  # when the first request after the slice is due
        self.sent = array("Q")  # when each was
        self.waited = 0
        self._choices = choices
        self._gaps = gaps
        self._labels = [payload.label for payload in payloads]
        self._ended = array("Q", bytes(8 * size))
        self._statuses = array("I", bytes(4 * size))
        self._outcomes = bytearray([_PENDING]) * size
        self._samples: list[BadAnswer] = []
        self._missing = size
        self._finished = finished
        self._moved = 0

    @property
    def complete(self) -> bool:
        """Whether every request has got its outcome."""
        return not self._missing

    def schedule(self, begins: int) -> None:
        """Let the first request be due at `begins`."""
        self.due = array("Q", accumulate(self._gaps, initial=begins))
        self.ends = self.due.pop()

    def move(self, delay: int) -> None:
        """Let what is not sent yet be due `delay` nanoseconds later."""
        for index in range(len(self.sent), self.size):
            self.due[index] += delay
        self.ends += delay
        self._moved += delay

    def is_pending(self, index: int) -> bool:
        """Whether a request still has no outcome."""
        return self._outcomes[index] == _PENDING

    def overdue(self, moment: int) -> list[int]:
        """Requests without an outcome that were sent, and due at `moment` or before."""
        found = []
        index = self._outcomes.find(_PENDING)
        while 0 <= index < len(self.sent) and self.due[index] <= moment:
            found.append(index)
            index = self._outcomes.find(_PENDING, index + 1)
        return found

    def record(self, index: int, now: int, status: int) -> None:
        """A good answer, complete at `now`."""
        self._ended[index] = now
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
            label = self._labels[self._choices[index]]
            sample = BadAnswer(request=label, kind=ERROR_KINDS[kind], status=status, text=text)
            self._samples.append(sample)

    def slice(self, interval: float) -> Slice:
        """The finished slice; `interval` is the mean time between two requests, nanoseconds.

        Its duration is the schedule's and what the generator lost: a random schedule that
        happens to be a little long says nothing of the rate that was reached.
        """
        due = self.due
        lateness = array("I", [(at - on) // 1000 for at, on in zip(self.sent, due, strict=True)])
        latencies = [(at - on) // 1000 or 1 for at, on in zip(self._ended, due, strict=True)]
        lost = self._moved / 1e9 + lateness[-1] / 1e6
        return Slice(
            version=self.version,
            started=due[0] / 1e9,
            seconds=self.size * interval / 1e9 + lost,
            requests=self._choices,
            latencies=array("I", latencies),
            lateness=lateness,
            statuses=self._statuses,
            outcomes=self._outcomes,
            waited=self.waited,
            samples=tuple(self._samples),
        )
