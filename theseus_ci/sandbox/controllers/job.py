"""Job: run pods to completion, a number of times or once for each index.

Counts come from the pods themselves, which stay until the Job goes; a count once reported never
falls. Retries wait as in a real cluster: 10 s after the first failure, doubling.
"""

from __future__ import annotations

import asyncio
import copy
from datetime import datetime, timedelta

from theseus_ci.sandbox.client import ApiClient, ApiError, Key, Object, key_of
from theseus_ci.sandbox.controllers import conditions
from theseus_ci.sandbox.controllers.controller import Workloads
from theseus_ci.sandbox.controllers.events import Recorder
from theseus_ci.sandbox.controllers.job_status import (
    INDEX,
    Tally,
    Verdict,
    is_indexed,
    job_status,
    judge,
    missing_indexes,
    tally,
)
from theseus_ci.sandbox.controllers.ownership import controller_of, is_controlled_by
from theseus_ci.sandbox.controllers.pods import pod_from_template
from theseus_ci.sandbox.controllers.workqueue import WorkQueue

RETRY_SECONDS = (10, 600)


class JobController:
    def __init__(self, client: ApiClient, workloads: Workloads) -> None:
        self.queue = WorkQueue("job", self.sync)
        self.recorder = Recorder(client, "job-controller")
        self._jobs = workloads.jobs
        self._pods = workloads.pods
        self._jobs.informer.on_change(lambda _, obj: self.queue.add(key_of(obj)))
        self._pods.informer.on_change(self._pod_changed)

    async def sync(self, key: Key) -> None:
        job = self._jobs.get(key)
        if job is None or "deletionTimestamp" in job["metadata"]:
            return
        status = job.setdefault("status", {})
        if any(conditions.is_true(status, kind) for kind in ("Complete", "Failed")):
            await self._expire(job)
            return
        suspended = bool(job["spec"].get("suspend"))
        if not suspended:
            status.setdefault("startTime", conditions.timestamp(conditions.now()))
        count = tally(job, self._own_pods(job))
        verdict = judge(job, count, conditions.now())
        if verdict is not None or suspended:
            await asyncio.gather(*[self._delete(job, pod) for pod in count.active])
        else:
            await self._adjust(job, count)
            self._await_deadline(job)
        await self._write_status(job, verdict)

    def _pod_changed(self, _: str, pod: Object) -> None:
        reference = controller_of(pod)
        if reference is not None and reference["kind"] == "Job":
            self.queue.add((pod["metadata"]["namespace"], reference["name"]))

    def _own_pods(self, job: Object) -> list[Object]:
        pods = self._pods.cached(job["metadata"]["namespace"])
        return [pod for pod in pods if is_controlled_by(pod, job)]

    async def _adjust(self, job: Object, count: Tally) -> None:
        """Start or stop pods, so that as many run as may and are still needed."""
        parallelism = int(job["spec"].get("parallelism", 1))
        completions = job["spec"].get("completions")
        if completions is not None:
            wanted = min(parallelism, int(completions) - count.succeeded)
        else:  # a work queue: the first success says that the work is done
            wanted = parallelism if not count.succeeded else len(count.active)
        surplus = len(count.active) - max(0, wanted)
        if surplus > 0:
            await asyncio.gather(*[self._delete(job, pod) for pod in count.active[-surplus:]])
        elif surplus < 0:
            pause = _retry_pause(count, conditions.now())
            if pause > 0:
                self.queue.add_after(key_of(job), pause)
                return
            indexes = missing_indexes(job, count) if is_indexed(job) else []
            chosen = indexes[:-surplus] if is_indexed(job) else [None] * -surplus
            await asyncio.gather(*[self._create(job, index) for index in chosen])

    async def _create(self, job: Object, index: int | None) -> None:
        name = job["metadata"]["name"]
        prefix = f"{name}-" if index is None else f"{name}-{index}-"
        pod = pod_from_template(job, job["spec"]["template"], prefix)
        pod["metadata"]["labels"] = {**pod["metadata"].get("labels", {}), **_labels(job)}
        if index is not None:
            _tell_index(pod, name, index)
        try:
            created = await self._pods.create(pod)
        except ApiError as error:
            self.recorder.warning(job, "FailedCreate", f"Error creating: {error.message}")
            raise
        message = f"Created pod: {created['metadata']['name']}"
        self.recorder.normal(job, "SuccessfulCreate", message)

    async def _delete(self, job: Object, pod: Object) -> None:
        await self._pods.delete(pod)
        message = f"Deleted pod: {pod['metadata']['name']}"
        self.recorder.normal(job, "SuccessfulDelete", message)

    async def _write_status(self, job: Object, verdict: Verdict | None) -> None:
        """The status after what was just done; the verdict becomes final when no pod runs."""
        count = tally(job, self._own_pods(job))
        status = job_status(job, count, verdict, conditions.now())
        known = self._jobs.get(key_of(job))
        if known is None or known.get("status", {}) == status:
            return
        await self._jobs.update({**job, "status": status}, "status")
        if verdict is None or count.unfinished:
            return
        if verdict.failed:
            self.recorder.warning(job, verdict.reason, verdict.message)
        else:
            self.recorder.normal(job, "Completed", "Job completed")

    def _await_deadline(self, job: Object) -> None:
        seconds = job["spec"].get("activeDeadlineSeconds")
        if seconds is not None:
            began = conditions.parse_time(job["status"]["startTime"])
            left = began + timedelta(seconds=seconds) - conditions.now()
            self.queue.add_after(key_of(job), max(0.0, left.total_seconds()) + 0.05)

    async def _expire(self, job: Object) -> None:
        """Delete a finished Job when its ttlSecondsAfterFinished is over."""
        seconds = job["spec"].get("ttlSecondsAfterFinished")
        if seconds is None:
            return
        final = [conditions.find(job["status"], kind) for kind in ("Complete", "Failed")]
        ended = next(condition["lastTransitionTime"] for condition in final if condition)
        left = conditions.parse_time(ended) + timedelta(seconds=seconds) - conditions.now()
        if left.total_seconds() > 0:
            self.queue.add_after(key_of(job), left.total_seconds())
        else:
            await self._jobs.delete(job, propagation="Background")


def _labels(job: Object) -> dict[str, str]:
    name, uid = job["metadata"]["name"], job["metadata"]["uid"]
    return {
        "batch.kubernetes.io/job-name": name,
        "job-name": name,
        "batch.kubernetes.io/controller-uid": uid,
        "controller-uid": uid,
    }


def _tell_index(pod: Object, name: str, index: int) -> None:
    """Tell the pod its index, in the ways a program may look for it."""
    meta, spec = pod["metadata"], pod["spec"]
    meta["annotations"] = {**meta.get("annotations", {}), INDEX: str(index)}
    meta["labels"][INDEX] = str(index)
    spec["hostname"] = f"{name}-{index}"
    variable = {
        "name": "JOB_COMPLETION_INDEX",
        "valueFrom": {"fieldRef": {"fieldPath": f"metadata.annotations['{INDEX}']"}},
    }
    for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
        environment = copy.deepcopy(container.get("env") or [])
        container["env"] = [*environment, variable]


def _retry_pause(count: Tally, moment: datetime) -> float:
    """Seconds before a pod that replaces a failed one may be created."""
    if count.last_failure is None:
        return 0.0
    first, longest = RETRY_SECONDS
    pause = min(longest, first * 2 ** min(count.failed - 1, 10))
    return (count.last_failure + timedelta(seconds=pause) - moment).total_seconds()
