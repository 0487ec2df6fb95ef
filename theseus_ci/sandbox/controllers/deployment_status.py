"""What a Deployment says of itself: counts, and whether it is available and makes progress."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta

from theseus_ci.sandbox.client import Object
from theseus_ci.sandbox.controllers import conditions
from theseus_ci.sandbox.controllers.rollout import available, fenceposts, total, wanted

NO_DEADLINE = 2**31 - 1
"""progressDeadlineSeconds with which the API says "never"."""


def observed_status(deployment: Object, sets: list[Object], new: Object | None) -> Object:
    """Counts and the Available condition; everything else as before."""
    ready = sum(int(rs.get("status", {}).get("readyReplicas", 0)) for rs in sets)
    ours = sum(available(rs) for rs in sets)
    counts = {
        "replicas": sum(_actual(rs) for rs in sets),
        "updatedReplicas": _actual(new) if new else 0,
        "readyReplicas": ready,
        "availableReplicas": ours,
        "unavailableReplicas": max(0, total(sets) - ours),
    }
    status: Object = copy.deepcopy(deployment.get("status", {}))
    for field, count in counts.items():
        status.pop(field, None)
        if count:  # the API leaves zeros out
            status[field] = count
    status["observedGeneration"] = deployment["metadata"].get("generation", 1)
    _, max_unavailable = fenceposts(deployment)
    if ours >= wanted(deployment) - max_unavailable:
        reason, message = "MinimumReplicasAvailable", "Deployment has minimum availability."
        set_condition(status, "Available", "True", reason, message)
    else:
        reason = "MinimumReplicasUnavailable"
        message = "Deployment does not have minimum availability."
        set_condition(status, "Available", "False", reason, message)
    return status


def judge_progress(deployment: Object, status: Object, new: Object | None) -> None:
    """Bring the Progressing condition of the new `status` up to date, compared with the old one."""
    if deadline_of(deployment) is None:
        conditions.remove(status, "Progressing")
        return
    before = conditions.find(deployment.get("status", {}), "Progressing")
    only_new = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    if only_new and before and before["reason"] == "NewReplicaSetAvailable":
        return  # a finished rollout: changes of its pods are not its progress
    kind, name = ("ReplicaSet", new["metadata"]["name"]) if new else _name(deployment)
    if is_complete(deployment, status):
        message = f'{kind} "{name}" has successfully progressed.'
        set_condition(status, "Progressing", "True", "NewReplicaSetAvailable", message)
    elif _has_moved(deployment.get("status", {}), status):
        message = f'{kind} "{name}" is progressing.'
        set_condition(status, "Progressing", "True", "ReplicaSetUpdated", message, refresh=True)
    elif _seconds_left(deployment, status, conditions.now()) < 0:
        message = f'{kind} "{name}" has timed out progressing.'
        set_condition(status, "Progressing", "False", "ProgressDeadlineExceeded", message)


def copy_replica_failure(status: Object, sets: list[Object], new: Object | None) -> None:
    """A ReplicaSet that cannot make its pods is the Deployment's failure; the new one's first."""
    for rs in [*([new] if new else []), *sets]:
        failure = conditions.find(rs.get("status", {}), "ReplicaFailure")
        if failure is not None:
            set_condition(
                status, "ReplicaFailure", failure["status"], failure["reason"], failure["message"]
            )
            return
    conditions.remove(status, "ReplicaFailure")


def note_pause(deployment: Object) -> None:
    """Pausing and resuming restart the progress deadline; sets it in the deployment's status."""
    if deadline_of(deployment) is None:
        return
    status = deployment.setdefault("status", {})
    before = conditions.find(status, "Progressing") or {}
    paused = bool(deployment["spec"].get("paused"))
    if before.get("reason") == "ProgressDeadlineExceeded":
        return
    noted = before.get("reason") == "DeploymentPaused"
    if paused and not noted:
        set_condition(status, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused")
    elif noted and not paused:
        message = "Deployment is resumed"
        set_condition(status, "Progressing", "Unknown", "DeploymentResumed", message)


def is_complete(deployment: Object, status: Object) -> bool:
    """All replicas are of the new template and available, and no old pod is left."""
    replicas = wanted(deployment)
    fields = ("updatedReplicas", "replicas", "availableReplicas")
    generation = deployment["metadata"].get("generation", 1)
    return (
        all(status.get(field, 0) == replicas for field in fields)
        and status.get("observedGeneration", 0) >= generation
    )


def seconds_to_deadline(deployment: Object) -> float | None:
    """When to look again whether the rollout is stuck; None when there is nothing to wait for."""
    status = deployment.get("status", {})
    before = conditions.find(status, "Progressing")
    if deadline_of(deployment) is None or before is None or is_complete(deployment, status):
        return None
    if before["reason"] in ("ProgressDeadlineExceeded", "NewReplicaSetAvailable"):
        return None
    return max(0.0, _seconds_left(deployment, status, conditions.now()))


def deadline_of(deployment: Object) -> int | None:
    seconds = deployment["spec"].get("progressDeadlineSeconds")
    return None if seconds is None or seconds == NO_DEADLINE else int(seconds)


def set_condition(
    status: Object, kind: str, value: str, reason: str, message: str, *, refresh: bool = False
) -> None:
    """Set it unless value and reason are as before; with `refresh` even then."""
    before = conditions.find(status, kind)
    same = before is not None and (before["status"], before["reason"]) == (value, reason)
    if not same or refresh:
        updated = conditions.timestamp(conditions.now())
        conditions.put(status, kind, value, reason, message, lastUpdateTime=updated)


def _seconds_left(deployment: Object, status: Object, moment: datetime) -> float:
    """Seconds until the rollout counts as stuck: negative when it does, large when it cannot."""
    before = conditions.find(status, "Progressing")
    deadline = deadline_of(deployment)
    if before is None or deadline is None or before["reason"] == "NewReplicaSetAvailable":
        return float("inf")
    if before["reason"] == "ProgressDeadlineExceeded":
        return -1.0
    due = conditions.parse_time(before["lastUpdateTime"]) + timedelta(seconds=deadline)
    return (due - moment).total_seconds()


def _has_moved(before: Object, after: Object) -> bool:
    """New pods were made or became ready or available, or old ones went."""

    def old(status: Object) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    grown = ("updatedReplicas", "readyReplicas", "availableReplicas")
    more = any(after.get(field, 0) > before.get(field, 0) for field in grown)
    return more or old(after) < old(before)


def _actual(replica_set: Object) -> int:
    return int(replica_set.get("status", {}).get("replicas", 0))


def _name(deployment: Object) -> tuple[str, str]:
    return "Deployment", deployment["metadata"]["name"]
