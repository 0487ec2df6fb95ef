"""ReplicaSet: keep the right number of pods, and say how they are."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Coroutine, Iterable
from datetime import datetime
from typing import Any

from theseus_ci.sandbox.client import ApiClient, ApiError, Key, Object, key_of
from theseus_ci.sandbox.controllers import conditions
from theseus_ci.sandbox.controllers.controller import Workloads
from theseus_ci.sandbox.controllers.events import Recorder
from theseus_ci.sandbox.controllers.ownership import claim, controller_of
from theseus_ci.sandbox.controllers.pods import (
    available_at,
    deletion_order,
    is_active,
    is_finished,
    is_ready,
    pod_from_template,
)
from theseus_ci.sandbox.controllers.selectors import selects
from theseus_ci.sandbox.controllers.workqueue import WorkQueue

FIRST_BATCH = 1
"""Pods are created in batches that double, so that a template the server refuses costs little."""


class ReplicaSetController:
    def __init__(self, client: ApiClient, workloads: Workloads) -> None:
        self.queue = WorkQueue("replicaset", self.sync)
        self.recorder = Recorder(client, "replicaset-controller")
        self._sets = workloads.replica_sets
        self._pods = workloads.pods
        self._sets.informer.on_change(lambda _, obj: self.queue.add(key_of(obj)))
        self._pods.informer.on_change(self._pod_changed)

    async def sync(self, key: Key) -> None:
        replica_set = self._sets.get(key)
        if replica_set is None:
            return
        pods = await self._own_pods(replica_set)
        failure: ApiError | None = None
        if "deletionTimestamp" not in replica_set["metadata"]:
            try:
                await self._adjust(replica_set, pods)
            except ApiError as error:
                failure = error
            replica_set = self._sets.get(key)
            if replica_set is None:
                return
            pods = await self._own_pods(replica_set)
        await self._write_status(replica_set, pods, failure)
        self._await_availability(replica_set, pods)
        if failure is not None:
            raise failure

    def _pod_changed(self, _: str, pod: Object) -> None:
        namespace = pod["metadata"]["namespace"]
        reference = controller_of(pod)
        if reference is not None:
            if reference["kind"] == "ReplicaSet":
                self.queue.add((namespace, reference["name"]))
            return
        for replica_set in self._sets.cached(namespace):  # an orphan: perhaps to be adopted
            if selects(replica_set["spec"].get("selector"), pod["metadata"].get("labels")):
                self.queue.add(key_of(replica_set))

    async def _own_pods(self, replica_set: Object) -> list[Object]:
        candidates = self._pods.cached(replica_set["metadata"]["namespace"])
        unfinished = [pod for pod in candidates if not is_finished(pod)]
        claimed = await claim(replica_set, self._sets, unfinished, self._pods)
        return [pod for pod in claimed if is_active(pod)]

    async def _adjust(self, replica_set: Object, pods: list[Object]) -> None:
        """Create or delete pods until there are as many as asked for; raises the first refusal."""
        missing = replica_set["spec"].get("replicas", 1) - len(pods)
        batch = FIRST_BATCH
        while missing > 0:
            size = min(batch, missing)
            await _all(self._create_pod(replica_set) for _ in range(size))
            missing -= size
            batch *= 2
        if missing < 0:
            surplus = deletion_order(pods)[:-missing]
            await _all(self._delete_pod(replica_set, pod) for pod in surplus)

    async def _create_pod(self, replica_set: Object) -> None:
        prefix = f"{replica_set['metadata']['name']}-"
        pod = pod_from_template(replica_set, replica_set["spec"]["template"], prefix)
        try:
            created = await self._pods.create(pod)
        except ApiError as error:
            if _is_terminating_namespace(error):
                return  # we are about to go ourselves
            self.recorder.warning(replica_set, "FailedCreate", f"Error creating: {error.message}")
            raise
        name = created["metadata"]["name"]
        self.recorder.normal(replica_set, "SuccessfulCreate", f"Created pod: {name}")

    async def _delete_pod(self, replica_set: Object, pod: Object) -> None:
        name = pod["metadata"]["name"]
        try:
            await self._pods.delete(pod)
        except ApiError as error:
            if error.status == 409:  # another pod has taken the name: ours is gone
                return
            self.recorder.warning(
                replica_set, "FailedDelete", f"Error deleting: {name}: {error.message}"
            )
            raise
        self.recorder.normal(replica_set, "SuccessfulDelete", f"Deleted pod: {name}")

    async def _write_status(
        self, replica_set: Object, pods: list[Object], failure: ApiError | None
    ) -> None:
        before = replica_set.get("status", {})
        after = replica_set_status(replica_set, pods, failure, conditions.now())
        if after != before:
            await self._sets.update({**replica_set, "status": after}, "status")

    def _await_availability(self, replica_set: Object, pods: list[Object]) -> None:
        """Come back when the next ready pod has been ready for minReadySeconds."""
        wait = replica_set["spec"].get("minReadySeconds", 0)
        moment = conditions.now()
        times = [available_at(pod, wait) for pod in pods]
        coming = [time for time in times if time is not None and time > moment]
        if coming:
            self.queue.add_after(key_of(replica_set), (min(coming) - moment).total_seconds())


def replica_set_status(
    replica_set: Object, pods: list[Object], failure: ApiError | None, moment: datetime
) -> Object:
    """The status for these active pods; `failure` is what kept the number from being right."""
    status: Object = copy.deepcopy(replica_set.get("status", {}))
    spec = replica_set["spec"]
    labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    times = [available_at(pod, spec.get("minReadySeconds", 0)) for pod in pods]
    counts = {
        "fullyLabeledReplicas": sum(
            labels.items() <= (pod["metadata"].get("labels") or {}).items() for pod in pods
        ),
        "readyReplicas": sum(is_ready(pod) for pod in pods),
        "availableReplicas": sum(time is not None and time <= moment for time in times),
    }
    status["replicas"] = len(pods)
    for field, count in counts.items():
        status.pop(field, None)
        if count:  # the API leaves zeros out
            status[field] = count
    status["observedGeneration"] = replica_set["metadata"].get("generation", 1)
    if failure is None:
        conditions.remove(status, "ReplicaFailure")
    elif conditions.find(status, "ReplicaFailure") is None:
        reason = "FailedCreate" if len(pods) < spec.get("replicas", 1) else "FailedDelete"
        conditions.put(status, "ReplicaFailure", "True", reason, failure.message)
    return status


async def _all(calls: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run the coroutines together, let all of them end, then raise the first error."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _is_terminating_namespace(error: ApiError) -> bool:
    return error.status == 403 and "being terminated" in error.message
