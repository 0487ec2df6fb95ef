"""Deployment: move from one ReplicaSet to the next without ever leaving the agreed bounds."""

from __future__ import annotations

import copy

from theseus_ci.sandbox.client import ApiClient, ApiError, Key, Object, key_of
from theseus_ci.sandbox.controllers import deployment_status as progress
from theseus_ci.sandbox.controllers import revisions, rollout
from theseus_ci.sandbox.controllers.controller import Workloads
from theseus_ci.sandbox.controllers.events import Recorder
from theseus_ci.sandbox.controllers.ownership import claim, controller_of, is_controlled_by
from theseus_ci.sandbox.controllers.pods import is_finished
from theseus_ci.sandbox.controllers.rollout import wanted
from theseus_ci.sandbox.controllers.selectors import selects
from theseus_ci.sandbox.controllers.workqueue import WorkQueue

HISTORY_LIMIT = 10


class DeploymentController:
    def __init__(self, client: ApiClient, workloads: Workloads) -> None:
        self.queue = WorkQueue("deployment", self.sync)
        self.recorder = Recorder(client, "deployment-controller")
        self._deployments = workloads.deployments
        self._sets = workloads.replica_sets
        self._pods = workloads.pods
        self._deployments.informer.on_change(lambda _, obj: self.queue.add(key_of(obj)))
        self._sets.informer.on_change(self._set_changed)
        self._pods.informer.on_change(self._pod_changed)

    async def sync(self, key: Key) -> None:
        deployment = self._deployments.get(key)
        if deployment is None:
            return
        sets = await self._own_sets(deployment)
        if "deletionTimestamp" in deployment["metadata"]:
            await self._save(deployment, sets, revisions.find_new(deployment, sets))
            return
        progress.note_pause(deployment)
        new = await self._number_new(deployment, sets)
        if deployment["spec"].get("paused"):
            await self._scale(deployment, sets, new)
        elif rollout.is_recreate(deployment):
            await self._recreate(deployment, sets, new)
        elif _was_scaled(deployment, sets):
            await self._scale(deployment, sets, new)
        else:
            await self._roll(deployment, sets, new)

    def _set_changed(self, _: str, replica_set: Object) -> None:
        namespace = replica_set["metadata"]["namespace"]
        reference = controller_of(replica_set)
        if reference is not None:
            if reference["kind"] == "Deployment":
                self.queue.add((namespace, reference["name"]))
            return
        for deployment in self._deployments.cached(namespace):  # an orphan: perhaps to be adopted
            if selects(deployment["spec"]["selector"], replica_set["metadata"].get("labels")):
                self.queue.add(key_of(deployment))

    def _pod_changed(self, change: str, pod: Object) -> None:
        """Recreate waits for old pods to be gone for good, which no ReplicaSet's status tells."""
        if change == "ADDED" or (change == "MODIFIED" and not is_finished(pod)):
            return
        reference = controller_of(pod)
        if reference is None or reference["kind"] != "ReplicaSet":
            return
        key = (pod["metadata"]["namespace"], reference["name"])
        replica_set = self._sets.informer.objects.get(key)
        if replica_set is not None:
            self._set_changed(change, replica_set)

    async def _own_sets(self, deployment: Object) -> list[Object]:
        """Its ReplicaSets, eldest first, as copies."""
        candidates = list(self._sets.cached(deployment["metadata"]["namespace"]))
        claimed = await claim(deployment, self._deployments, candidates, self._sets)
        current = [self._sets.get(key_of(rs)) for rs in claimed]
        sets = [rs for rs in current if rs is not None]
        return sorted(
            sets, key=lambda rs: (rs["metadata"]["creationTimestamp"], rs["metadata"]["name"])
        )

    async def _roll(self, deployment: Object, sets: list[Object], new: Object | None) -> None:
        """One step of a rolling update; what it changes brings us back for the next."""
        if new is None:
            new = await self._create_new(deployment, sets)
        size = rollout.new_size(deployment, new, sets)
        if not await self._resize(deployment, sets, {new["metadata"]["name"]: size}):
            old = _others(sets, new)
            active = [rs for rs in old if wanted(rs)]
            sizes = rollout.old_sizes(deployment, new, active) if active else {}
            if not await self._resize(deployment, sets, sizes):
                await self._forget_old(deployment, old)
        await self._save_progress(deployment, sets, new)

    async def _recreate(self, deployment: Object, sets: list[Object], new: Object | None) -> None:
        """All old pods go, and are gone, before the first new one comes."""
        old = _others(sets, new)
        if await self._resize(deployment, sets, {rs["metadata"]["name"]: 0 for rs in old}):
            await self._save_progress(deployment, sets, new)
            return
        if self._still_run(old):
            await self._save_progress(deployment, sets, new)
            return
        if new is None:
            new = await self._create_new(deployment, sets)
        await self._resize(deployment, sets, {new["metadata"]["name"]: wanted(deployment)})
        await self._forget_old(deployment, old)
        await self._save_progress(deployment, sets, new)

    async def _scale(self, deployment: Object, sets: list[Object], new: Object | None) -> None:
        """Give a Deployment that is paused or was just scaled its size, without rolling it on."""
        old = _others(sets, new)
        active = [rs for rs in sets if wanted(rs)]
        latest = new or (sets[-1] if sets else None)
        if len(active) <= 1:
            chosen = active[0] if active else latest
            if chosen is not None:
                sizes = {chosen["metadata"]["name"]: wanted(deployment)}
                await self._resize(deployment, sets, sizes)
        elif new is not None and rollout.is_saturated(deployment, new):
            sizes = {rs["metadata"]["name"]: 0 for rs in active if rs is not new}
            await self._resize(deployment, sets, sizes)
        elif not rollout.is_recreate(deployment):
            await self._resize(deployment, sets, rollout.proportional_sizes(deployment, active))
        if deployment["spec"].get("paused"):
            await self._forget_old(deployment, old, unfinished=True)
        await self._save(deployment, sets, new)

    async def _number_new(self, deployment: Object, sets: list[Object]) -> Object | None:
        """The ReplicaSet with the Deployment's template, its revision and settings up to date."""
        new = revisions.find_new(deployment, sets)
        if new is None:
            return None
        changed = copy.deepcopy(new)
        revisions.annotate_revision(deployment, changed, _others(sets, new))
        seconds = deployment["spec"].get("minReadySeconds", 0)
        if changed["spec"].get("minReadySeconds", 0) != seconds:
            changed["spec"]["minReadySeconds"] = seconds
        if changed != new:
            _replace(sets, await self._sets.update(changed))
            new = revisions.find_new(deployment, sets)
        _copy_revision(deployment, new)
        status = deployment.setdefault("status", {})
        if new is not None and progress.deadline_of(deployment) is not None:
            known = {condition["type"] for condition in status.get("conditions") or []}
            if "Progressing" not in known:
                message = f'Found new replica set "{new["metadata"]["name"]}"'
                progress.set_condition(status, "Progressing", "True", "FoundNewReplicaSet", message)
        return new

    async def _create_new(self, deployment: Object, sets: list[Object]) -> Object:
        """Create the ReplicaSet for the template as large as it may be, and add it to `sets`."""
        wish = revisions.new_replica_set(deployment, sets)
        size = rollout.new_size(deployment, wish, [*sets, wish])
        wish["spec"]["replicas"] = wanted(deployment) if rollout.is_recreate(deployment) else size
        name = wish["metadata"]["name"]
        try:
            new = await self._sets.create(wish)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                self._report_refusal(deployment, name, error)
                raise
            new = await self._taken(deployment, name, error)
        else:
            size = wanted(new)
            if size:
                message = f"Scaled up replica set {name} from 0 to {size}"
                self.recorder.normal(deployment, "ScalingReplicaSet", message)
        sets.append(new)
        _copy_revision(deployment, new)
        if progress.deadline_of(deployment) is not None:
            status = deployment.setdefault("status", {})
            message = f'Created new replica set "{name}"'
            progress.set_condition(
                status, "Progressing", "True", "NewReplicaSetCreated", message, refresh=True
            )
        return new

    async def _taken(self, deployment: Object, name: str, error: ApiError) -> Object:
        """The name exists: ours, from a sync that was cut short, or the hash collides."""
        found = await self._sets.read(deployment["metadata"]["namespace"], name)
        if is_controlled_by(found, deployment) and revisions.same_template(found, deployment):
            return found
        status = deployment.setdefault("status", {})
        status["collisionCount"] = int(status.get("collisionCount", 0)) + 1
        await self._deployments.update(deployment, "status")
        raise error

    def _report_refusal(self, deployment: Object, name: str, error: ApiError) -> None:
        message = f'Failed to create new replica set "{name}": {error.message}'
        self.recorder.warning(deployment, "ReplicaSetCreateError", message)

    async def _resize(self, deployment: Object, sets: list[Object], sizes: dict[str, int]) -> bool:
        """Give ReplicaSets their sizes, in `sets` too. Whether any size really changed."""
        resized = False
        for rs in [rs for rs in sets if rs["metadata"]["name"] in sizes]:
            name, before = rs["metadata"]["name"], wanted(rs)
            changed = copy.deepcopy(rs)
            changed["spec"]["replicas"] = sizes[name]
            revisions.annotate_size(deployment, changed)
            if changed == rs or (not before and not sizes[name]):
                continue
            _replace(sets, await self._sets.update(changed))
            if before != sizes[name]:
                resized = True
                way = "up" if before < sizes[name] else "down"
                message = f"Scaled {way} replica set {name} from {before} to {sizes[name]}"
                self.recorder.normal(deployment, "ScalingReplicaSet", message)
        return resized

    def _still_run(self, old: list[Object]) -> bool:
        if any(rs.get("status", {}).get("replicas", 0) for rs in old):
            return True
        uids = {rs["metadata"]["uid"] for rs in old}
        namespaces = {rs["metadata"]["namespace"] for rs in old}
        pods = [pod for namespace in namespaces for pod in self._pods.cached(namespace)]
        owners = ((controller_of(pod) or {}).get("uid") for pod in pods if not is_finished(pod))
        return any(uid in uids for uid in owners)

    async def _forget_old(
        self, deployment: Object, old: list[Object], *, unfinished: bool = False
    ) -> None:
        """Delete empty ReplicaSets beyond the history limit, once the rollout is complete."""
        status = deployment.get("status", {})
        if not unfinished and not progress.is_complete(deployment, status):
            return
        limit = deployment["spec"].get("revisionHistoryLimit", HISTORY_LIMIT)
        kept = [rs for rs in old if "deletionTimestamp" not in rs["metadata"]]
        surplus = len(kept) - limit
        for rs in sorted(kept, key=revisions.revision)[: max(0, surplus)]:
            observed = rs.get("status", {}).get("observedGeneration", 0)
            current = observed >= rs["metadata"].get("generation", 1)
            if current and not wanted(rs) and not rs["status"].get("replicas", 0):
                await self._sets.delete(rs, propagation="Background")

    async def _save_progress(
        self, deployment: Object, sets: list[Object], new: Object | None
    ) -> None:
        await self._save(deployment, sets, new, judged=True)
        seconds = progress.seconds_to_deadline(deployment)
        if seconds is not None:
            self.queue.add_after(key_of(deployment), seconds + 0.1)

    async def _save(
        self, deployment: Object, sets: list[Object], new: Object | None, *, judged: bool = False
    ) -> None:
        """Write status and revision, if they differ from what the server has."""
        status = progress.observed_status(deployment, sets, new)
        if judged:
            progress.judge_progress(deployment, status, new)
            progress.copy_replica_failure(status, sets, new)
        deployment["status"] = status
        known = self._deployments.get(key_of(deployment))
        number = revisions.revision(deployment)
        if known is None or (known.get("status"), revisions.revision(known)) == (status, number):
            return
        saved = await self._deployments.update(deployment, "status")
        if revisions.revision(saved) != number:
            # A server may take nothing but the status from a status update.
            annotations = {revisions.REVISION: str(number)}
            await self._deployments.patch(saved, {"metadata": {"annotations": annotations}})


def _was_scaled(deployment: Object, sets: list[Object]) -> bool:
    """An active ReplicaSet remembers another size of the Deployment than it has now."""
    told = [rollout.annotated(rs, rollout.DESIRED) for rs in sets if wanted(rs)]
    return any(size is not None and size != wanted(deployment) for size in told)


def _others(sets: list[Object], new: Object | None) -> list[Object]:
    return [rs for rs in sets if new is None or rs["metadata"]["uid"] != new["metadata"]["uid"]]


def _replace(sets: list[Object], changed: Object) -> None:
    for index, rs in enumerate(sets):
        if rs["metadata"]["uid"] == changed["metadata"]["uid"]:
            sets[index] = changed


def _copy_revision(deployment: Object, new: Object | None) -> None:
    if new is not None and revisions.revision(new):
        annotations = deployment["metadata"].setdefault("annotations", {})
        annotations[revisions.REVISION] = str(revisions.revision(new))
