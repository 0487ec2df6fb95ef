"""Gathering many workers' samples from their pods' logs, and seeing that every one is well."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

from theseus_ci.errors import ClusterUnavailable, NoData, Rejected
from theseus_ci.measure import SlicePair
from theseus_ci.model import Object
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.load_objects import CONTAINER, CONTROLLER, INDEX
from theseus_ci.rollout.readiness import first_problem
from theseus_ci.workers.chunks import Decoder, End, Failure, Hello, Pairs, from_records
from theseus_ci.workers.merge import Merger
from theseus_ci.workers.order import Order

POLL_SECONDS = 0.7  # between two readings of all logs
SILENCE_SECONDS = 20.0  # without a line of a worker that has begun, beside what a pair takes
SKEW_MESSAGES = 20  # of each worker: some of them were read soon after they were written
SKEW_SECONDS = 5.0  # by which workers' clocks may differ before people are told
_STOP_CODES = (128 + signal.SIGTERM, 128 + signal.SIGKILL)


class Worker:
    """One worker, as its pod and its log show it."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.pod = ""
        self.began = False
        self.heard = 0.0  # seconds of the monotonic clock
        self.messages = 0
        self.behind = float("inf")  # seconds from writing to reading, at best: shows its clock
        self.since = ""
        self.decoder = Decoder()

    def take(self, log: bytes) -> Iterator[Hello | Pairs | Failure | End]:
        """New messages in what was read. Raises NoData when some are missing."""
        complete = log.rpartition(b"\n")[0]
        for stored in complete.split(b"\n") if complete else ():
            time, _, text = stored.partition(b" ")
            self.since = time.decode("ascii", "replace")
            message = self.decoder.feed(text)
            if message is not None:
                yield message


class Gathering:
    """All workers of one load; `hold` is called between two looks at them."""

    def __init__(self, rollout: Rollout, order: Order, uid: str, hold: Callable[[], None]) -> None:
        self._rollout = rollout
        self._order = order
        self._selector = f"{CONTROLLER}={uid}"
        self._hold = hold
        self._workers = [Worker(index) for index in range(order.workers)]
        self._merger = Merger(order)
        self._began = rollout.clock.monotonic()
        self._all_there = False
        settings = order.settings()
        self._longest = float(settings.max_duration)
        self._patience = SILENCE_SECONDS + 2 * order.timetable.period + float(settings.timeout)

    def pairs(self) -> Iterator[SlicePair]:
        """Merged pairs, for `maxDuration`. Raises NoData: the run is INVALID."""
        while True:
            self._rollout.alive()
            self._hold()
            self._look()
            for pair in self._merger.pairs():
                yield pair
                if self._merger.seconds >= self._longest:
                    return
            if self._merger.seconds >= self._longest:
                return
            self._check_patience()
            self._rollout.clock.pause(POLL_SECONDS)

    def _look(self) -> None:
        """Look at every pod and read its log. Raises NoData."""
        namespace = self._rollout.state.namespace
        pods = self._rollout.cluster.list("Pod", namespace, labels=self._selector)
        found = {_index(pod): pod for pod in pods}
        troubles: list[tuple[bool, str, NoData]] = []
        for worker in self._workers:
            pod = found.get(worker.index)
            try:
                self._look_at(worker, pod)
            except NoData as error:
                troubles.append((*_stopped(pod), error))
        if troubles:  # the first cause: with one worker's failure the Job ends the others too
            raise min(troubles, key=lambda one: one[:2])[2]
        self._tell()

    def _look_at(self, worker: Worker, pod: Object | None) -> None:
        if pod is None:
            if worker.pod:
                raise self._invalid(worker, f"its pod {worker.pod} is gone")
            return
        name = pod["metadata"]["name"]
        if worker.pod not in ("", name):
            raise self._invalid(worker, f"its pod {worker.pod} was replaced by {name}")
        worker.pod = name
        phase = (pod.get("status") or {}).get("phase")
        if phase not in ("Running", "Succeeded", "Failed"):
            problem = first_problem([pod], only_hopeless=True)
            if problem:
                raise self._invalid(worker, problem)
            return
        self._read(worker)
        if phase != "Running":
            raise self._invalid(worker, _end_of(pod, worker.decoder.words))

    def _read(self, worker: Worker) -> None:
        """Take in what the worker has written. A log that cannot be read now may be so later."""
        rollout = self._rollout
        try:
            log = rollout.world.logs.read(
                rollout.state.namespace, worker.pod, CONTAINER, worker.since
            )
        except (ClusterUnavailable, Rejected) as error:
            rollout.world.progress(f"worker {worker.index}: {error}")
            return
        try:
            for message in worker.take(log):
                self._hear(worker, message)
        except NoData as error:
            raise self._invalid(worker, str(error), error.remedy) from error

    def _hear(self, worker: Worker, message: Hello | Pairs | Failure | End) -> None:
        worker.heard = self._rollout.clock.monotonic()
        if isinstance(message, Failure):
            raise NoData(message.message, remedy=message.remedy)
        if isinstance(message, End):
            raise NoData("it has reached the end of its time, longer than the load may take")
        worker.behind = min(worker.behind, self._rollout.clock.now() - message.at)
        worker.began = True
        worker.messages += 1
        if isinstance(message, Pairs):
            for pair in from_records(message):
                self._merger.add(worker.index, pair)

    def _tell(self) -> None:
        missing = self._merger.missing
        if missing:
            there = self._order.workers - len(missing)
            self._rollout.world.progress(f"{there} of {self._order.workers} workers have begun")
            return
        if not self._all_there:
            self._all_there = True
            self._rollout.log(f"all {self._order.workers} workers have begun")
        behind = [worker.behind for worker in self._workers if worker.messages >= SKEW_MESSAGES]
        if len(behind) < self._order.workers:
            return
        spread = max(behind) - min(behind)
        if spread > SKEW_SECONDS:
            self._rollout.note(
                f"the clocks of the workers' nodes differ by about {spread:.0f} s: at any moment "
                "some sent to one version and some to the other; the verdict holds, but each "
                "version had a steadier load than a slice of its own"
            )

    def _check_patience(self) -> None:
        """Raise NoData when a worker does not begin, or has fallen silent."""
        now = self._rollout.clock.monotonic()
        ready = self._rollout.config.waits.ready
        for worker in self._workers:
            if worker.began and now - worker.heard > self._patience:
                silence = now - worker.heard
                raise self._invalid(worker, f"nothing has come from it for {silence:.0f} s")
        late = [worker for worker in self._workers if not worker.began]
        if late and now - self._began > ready:
            raise self._invalid(late[0], f"it has not begun within {ready}: {self._why(late[0])}")

    def _why(self, worker: Worker) -> str:
        if not worker.pod:
            return "it has no pod (kubectl describe the Job: a quota, or a policy that refuses it)"
        namespace = self._rollout.state.namespace
        pods = self._rollout.cluster.list("Pod", namespace, labels=self._selector)
        own = [pod for pod in pods if pod["metadata"]["name"] == worker.pod]
        return first_problem(own) or "its pod does not say why"

    def _invalid(self, worker: Worker, problem: str, remedy: str = "") -> NoData:
        count = self._order.workers
        return NoData(
            f"the run is INVALID: worker {worker.index} of {count} (0 to {count - 1}): {problem}",
            remedy=remedy or "mend that and run the step again; production traffic is as before",
        )


def _index(pod: Object) -> int:
    text = (pod["metadata"].get("annotations") or {}).get(INDEX, "")
    return int(text) if text.isdecimal() else -1


def _stopped(pod: Object | None) -> tuple[bool, str]:
    """Whether a pod was ended from outside, and when: a worker that failed by itself, and then the
    one that was stopped first, say more than those that the Job has stopped for its sake."""
    if pod is None:
        return True, ""
    deleted = str(pod["metadata"].get("deletionTimestamp", ""))
    codes = [
        ((one.get("state") or {}).get("terminated") or {}).get("exitCode")
        for one in (pod.get("status") or {}).get("containerStatuses") or []
    ]
    return bool(deleted) or any(code in _STOP_CODES for code in codes), deleted or "later"


def _end_of(pod: Object, words: list[str]) -> str:
    """Why a pod has ended, in its own last words."""
    status = pod.get("status") or {}
    name = pod["metadata"]["name"]
    said = f": {words[-1]}" if words else ""
    for container in status.get("containerStatuses") or []:
        ended = (container.get("state") or {}).get("terminated") or {}
        if container.get("name") == CONTAINER and "exitCode" in ended:
            reason = ended.get("reason", "")
            return f"its pod {name} has ended with exit code {ended['exitCode']} ({reason}){said}"
    reason = status.get("message") or status.get("reason") or f"phase {status.get('phase')}"
    return f"its pod {name} has ended: {reason}{said}"
