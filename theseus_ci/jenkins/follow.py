"""Follow a build from queue to end, through restarts of the controller and short outages."""

from __future__ import annotations

import codecs
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from theseus_ci.errors import CannotKnow
from theseus_ci.jenkins import gates
from theseus_ci.jenkins.client import Client
from theseus_ci.jenkins.errors import NotFound, NotJenkins, Unreachable
from theseus_ci.ports import Clock
from theseus_ci.quantities import Duration

_T = TypeVar("_T")
_RUNNING = frozenset({"IN_PROGRESS", gates.PAUSED})
_WORDS = {
    "SUCCESS": "passed",
    "FAILED": "FAILED",
    "UNSTABLE": "UNSTABLE",
    "ABORTED": "ABORTED",
    "NOT_EXECUTED": "not run",
    "SKIPPED": "skipped",
}
_MAY_PASS = (Unreachable, NotJenkins)
"""What a controller that restarts shows: no connection, 503, a proxy's or its own waiting page."""


@dataclass(frozen=True)
class Watching:
    """How to follow."""

    interval: float  # seconds between two looks
    deadline: float  # seconds, for the whole
    outage: float  # seconds without a usable answer until we give up


class Follower:
    """Follows one job's build; tells what changes."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        watching: Watching,
        *,
        tell: Callable[[str], None],
        progress: Callable[[str], None],
        log: Callable[[str], None] | None,
    ) -> None:
        """`tell`: what stays; `progress`: what is waited for; `log`: pieces of the build's log."""
        self._client = client
        self._clock = clock
        self._watching = watching
        self._tell = tell
        self._progress = progress
        self._log = log
        self._end = clock.monotonic() + watching.deadline
        self._stages: dict[str, str] = {}
        self._gates: set[str] = set()
        self._position = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._unfinished = ""
        self._no_stages = False
        self._answered = False

    def wait_for_start(self, job: str, item: int) -> int:
        """Wait until a queue item has become a build, and return its number.

        Raises CannotKnow when it was cancelled or the deadline has passed.
        """
        while True:
            number = self._patient(lambda: self._left_queue(job, item))
            if number is not None:
                return number
            self._pause(f"queue item {item}")

    def follow(self, job: str, number: int) -> str:
        """Wait for the build's end and return its result, such as SUCCESS. Raises CannotKnow."""
        while True:
            build = self._patient(lambda: self._client.build(job, number))
            self._patient(lambda: self._look(job, number))
            if not self._under_way(build):
                self._flush()
                return str(build.get("result") or "unknown")
            self._pause(f"build {number}")

    @staticmethod
    def _under_way(build: dict[str, Any]) -> bool:
        return bool(build.get("building") or build.get("inProgress"))

    def _left_queue(self, job: str, item: int) -> int | None:
        try:
            found = self._client.queued(item)
        except NotFound:
            return self._build_of(job, item)
        if found.get("cancelled"):
            raise CannotKnow(f"queue item {item} was cancelled before it became a build")
        executable = found.get("executable") or {}
        if "number" in executable:
            return int(executable["number"])
        why = f": {found['why']}" if found.get("why") else ""
        self._progress(f"in the queue{why}")
        return None

    def _build_of(self, job: str, item: int) -> int:
        """The build that came from a queue item which Jenkins has forgotten."""
        for build in self._client.builds(job, "number,queueId", 0, gates.RECENT):
            if build.get("queueId") == item:
                return int(build["number"])
        raise CannotKnow(f"Jenkins knows neither queue item {item} nor a build made from it")

    def _look(self, job: str, number: int) -> None:
        if self._log is not None:
            self._read_log(job, number)
        described = None if self._no_stages else self._client.stages(job, number)
        if described is None:
            if not self._no_stages:
                self._tell("this Jenkins does not tell stages (Pipeline: REST API plugin)")
            self._no_stages = True
            return
        for stage in described.get("stages") or []:
            self._stage(stage)
        if described.get("status") == gates.PAUSED:
            self._waiting_gates(job, number)
        else:
            self._gates.clear()

    def _stage(self, stage: dict[str, Any]) -> None:
        status, identity = str(stage.get("status")), str(stage.get("id"))
        if self._stages.get(identity) == status:
            return
        seen = self._stages.get(identity)
        self._stages[identity] = status
        name = stage.get("name")
        if status in _RUNNING:
            if seen is None:
                self._tell(f"stage {name}: started")
            return
        took = Duration(float(stage.get("durationMillis") or 0) / 1000)
        paused = float(stage.get("pauseDurationMillis") or 0) / 1000
        waited = f", {Duration(round(paused))} of it waiting" if paused >= 1 else ""
        self._tell(f"stage {name}: {_WORDS.get(status, status)} in {took}{waited}")

    def _waiting_gates(self, job: str, number: int) -> None:
        found = gates.of_build(self._client, job, number)
        for gate in found:
            if gate.id not in self._gates:
                self._tell(f"gate {gate.id} waits for an answer: {_one_line(gate.message)}")
                named = f"{job} --number {number} --gate {shlex.quote(gate.id)}"
                self._tell(f"  theseus-ci jenkins approve {named}")
        self._gates = {gate.id for gate in found}

    def _read_log(self, job: str, number: int) -> None:
        more = True
        while more:
            part = self._client.log(job, number, self._position)
            if part.next < self._position:  # the controller lost the log's end in a crash
                self._position = part.next
                return
            more = part.more and part.next > self._position
            self._position = part.next
            text = self._unfinished + self._decoder.decode(part.data)
            whole, newline, self._unfinished = text.rpartition("\n")
            self._print(whole + newline)

    def _flush(self) -> None:
        if self._unfinished:
            self._print(self._unfinished + "\n")
            self._unfinished = ""

    def _print(self, text: str) -> None:
        if text and self._log is not None:
            self._log(self._client.address.redact(text))

    def _pause(self, what: str) -> None:
        if self._clock.monotonic() + self._watching.interval > self._end:
            raise CannotKnow(
                f"{what} has not ended within {Duration(self._watching.deadline)}; it goes on",
                remedy="raise --deadline, or look again: theseus-ci jenkins watch",
            )
        self._clock.pause(self._watching.interval)

    def _patient(self, question: Callable[[], _T]) -> _T:
        """Ask until an answer comes, as long as the outage is shorter than allowed.

        Before the first answer nothing is taken for an outage: the address may be wrong.
        """
        began: float | None = None
        while True:
            try:
                answer = question()
            except _MAY_PASS as error:
                now = self._clock.monotonic()
                if began is None:
                    began = now
                    if self._answered:
                        self._tell(f"no answer from Jenkins, asking on: {error}")
                if not self._answered or now - began > self._watching.outage:
                    raise
                self._pause("the outage")
            else:
                self._answered = True
                if began is not None:
                    self._tell("Jenkins answers again")
                return answer


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
