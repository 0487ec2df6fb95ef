"""How far a Job is, and whether that settles it. Pure functions."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from theseus_ci.sandbox.client import Object
from theseus_ci.sandbox.controllers import conditions
from theseus_ci.sandbox.controllers.pods import is_active, is_finished, is_ready

INDEX = "batch.kubernetes.io/job-completion-index"
BACKOFF_LIMIT = 6


@dataclass(frozen=True)
class Tally:
    """What became of a Job's pods."""

    active: list[Object]
    unfinished: list[Object]  # active ones and those that are being stopped
    succeeded: int
    failed: int
    completed: frozenset[int]  # indexes, of an indexed Job
    last_failure: datetime | None
    restarts: int  # of containers in active pods


@dataclass(frozen=True)
class Verdict:
    """How the Job ends."""

    failed: bool
    reason: str
    message: str


def is_indexed(job: Object) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def tally(job: Object, pods: list[Object]) -> Tally:
    status = job.get("status", {})
    good = [pod for pod in pods if pod.get("status", {}).get("phase") == "Succeeded"]
    bad = [pod for pod in pods if pod.get("status", {}).get("phase") == "Failed"]
    active = [pod for pod in pods if is_active(pod)]
    completed = frozenset(_parse_indexes(status.get("completedIndexes", "")))
    if is_indexed(job):
        completed |= {index for pod in good if (index := _index(pod)) is not None}
        succeeded = len(completed)
    else:
        succeeded = max(len(good), int(status.get("succeeded", 0)))
    return Tally(
        active=sorted(active, key=lambda pod: str(pod["metadata"]["creationTimestamp"])),
        unfinished=[pod for pod in pods if not is_finished(pod)],
        succeeded=succeeded,
        failed=max(len(bad), int(status.get("failed", 0))),
        completed=completed,
        last_failure=max((_finished_at(pod) for pod in bad), default=None),
        restarts=sum(_restarts(pod) for pod in active),
    )


def judge(job: Object, count: Tally, moment: datetime) -> Verdict | None:
    """The verdict, or None while the Job goes on. A verdict once noted is kept."""
    spec, status = job["spec"], job.get("status", {})
    noted = conditions.find(status, "FailureTarget")
    if noted is not None:
        return Verdict(True, noted["reason"], noted["message"])
    if conditions.is_true(status, "SuccessCriteriaMet"):
        return _done()
    limit = int(spec.get("backoffLimit", BACKOFF_LIMIT))
    restarts = count.restarts if _restarts_itself(job) else 0
    if count.failed > limit or (restarts and restarts >= max(1, limit)):
        message = "Job has reached the specified backoff limit"
        return Verdict(True, "BackoffLimitExceeded", message)
    seconds = spec.get("activeDeadlineSeconds")
    if seconds is not None and "startTime" in status:
        due = conditions.parse_time(status["startTime"]) + timedelta(seconds=seconds)
        if moment >= due:
            message = "Job was active longer than specified deadline"
            return Verdict(True, "DeadlineExceeded", message)
    completions = spec.get("completions")
    if completions is None:
        return _done() if count.succeeded and not count.unfinished else None
    return _done() if count.succeeded >= int(completions) else None


def missing_indexes(job: Object, count: Tally) -> list[int]:
    """Indexes that have neither succeeded nor a pod that runs, lowest first."""
    running = {_index(pod) for pod in count.active}
    every = range(int(job["spec"]["completions"]))
    return [index for index in every if index not in count.completed and index not in running]


def job_status(job: Object, count: Tally, verdict: Verdict | None, moment: datetime) -> Object:
    """The status for these counts; a verdict is final once no pod is left running."""
    status: Object = copy.deepcopy(job.get("status", {}))
    stopping = len(count.unfinished) - len(count.active)
    counts = {
        "active": len(count.active),
        "succeeded": count.succeeded,
        "failed": count.failed,
    }
    for field, number in counts.items():
        status.pop(field, None)
        if number:  # the API leaves zeros out
            status[field] = number
    status["ready"] = sum(is_ready(pod) for pod in count.active)
    status["terminating"] = stopping
    if is_indexed(job) and count.completed:
        status["completedIndexes"] = _format_indexes(count.completed)
    _note_suspension(job, status)
    if verdict is not None:
        target, final = ("FailureTarget", "Failed") if verdict.failed else _GOOD
        kinds = [target] if count.unfinished else [target, final]
        for kind in kinds:
            if conditions.find(status, kind) is None:
                conditions.put(status, kind, "True", verdict.reason, verdict.message)
        if not verdict.failed and not count.unfinished:
            status.setdefault("completionTime", conditions.timestamp(moment))
    return status


_GOOD = ("SuccessCriteriaMet", "Complete")


def _done() -> Verdict:
    return Verdict(False, "CompletionsReached", "Reached expected number of succeeded pods")


def _note_suspension(job: Object, status: Object) -> None:
    if job["spec"].get("suspend"):
        status.pop("startTime", None)
        if not conditions.is_true(status, "Suspended"):
            conditions.put(status, "Suspended", "True", "JobSuspended", "Job suspended")
    elif conditions.is_true(status, "Suspended"):
        conditions.put(status, "Suspended", "False", "JobResumed", "Job resumed")


def _restarts_itself(job: Object) -> bool:
    return bool(job["spec"]["template"]["spec"].get("restartPolicy") == "OnFailure")


def _restarts(pod: Object) -> int:
    containers = pod.get("status", {}).get("containerStatuses") or []
    return sum(int(container.get("restartCount", 0)) for container in containers)


def _finished_at(pod: Object) -> datetime:
    """When its last container ended; for a pod that does not say, when it was created."""
    status = pod.get("status", {})
    ends = [
        container.get("state", {}).get("terminated", {}).get("finishedAt")
        for container in status.get("containerStatuses") or []
    ]
    known = [conditions.parse_time(end) for end in ends if end]
    return max(known, default=conditions.parse_time(pod["metadata"]["creationTimestamp"]))


def _index(pod: Object) -> int | None:
    text = (pod["metadata"].get("annotations") or {}).get(INDEX, "")
    return int(text) if text.isdecimal() else None


def _parse_indexes(text: str) -> Iterator[int]:
    """Numbers from "0-2,5"."""
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _format_indexes(indexes: Iterable[int]) -> str:
    """ "0-2,5" from the numbers."""
    ranges: list[list[int]] = []
    for index in sorted(indexes):
        if ranges and ranges[-1][-1] == index - 1:
            ranges[-1][1:] = [index]
        else:
            ranges.append([index])
    return ",".join(f"{r[0]}-{r[-1]}" if len(r) > 1 else str(r[0]) for r in ranges)
