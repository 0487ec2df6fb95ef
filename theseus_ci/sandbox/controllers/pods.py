"""What controllers want to know of a pod, and how they make one from a template."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta

from theseus_ci.sandbox.client import Object
from theseus_ci.sandbox.controllers import conditions
from theseus_ci.sandbox.controllers.ownership import controller_reference

PHASE_ORDER = {"Pending": 0, "Unknown": 1, "Running": 2}
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def is_finished(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def is_terminating(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def is_active(pod: Object) -> bool:
    """Counts as a replica: neither finished nor on its way out."""
    return not is_finished(pod) and not is_terminating(pod)


def is_ready(pod: Object) -> bool:
    return conditions.is_true(pod.get("status", {}), "Ready")


def available_at(pod: Object, min_ready_seconds: int) -> datetime | None:
    """When the pod counts as available, perhaps in the future; None while it is not ready."""
    condition = conditions.find(pod.get("status", {}), "Ready")
    if condition is None or condition["status"] != "True":
        return None
    since = condition.get("lastTransitionTime") or pod["metadata"]["creationTimestamp"]
    return conditions.parse_time(since) + timedelta(seconds=min_ready_seconds)


def deletion_order(pods: list[Object]) -> list[Object]:
    """Most expendable first: unscheduled, not running, not ready, cheap, young."""

    def rank(pod: Object) -> tuple[bool, int, bool, int, float, float]:
        status = pod.get("status", {})
        ready_since = available_at(pod, 0)
        created = conditions.parse_time(pod["metadata"]["creationTimestamp"])
        return (
            bool(pod["spec"].get("nodeName")),
            PHASE_ORDER.get(status.get("phase", "Pending"), 0),
            ready_since is not None,
            _deletion_cost(pod),
            -ready_since.timestamp() if ready_since else 0.0,
            -created.timestamp(),
        )

    return sorted(pods, key=rank)


def _deletion_cost(pod: Object) -> int:
    text = (pod["metadata"].get("annotations") or {}).get(DELETION_COST, "0")
    try:
        return int(text)
    except ValueError:
        return 0


def pod_from_template(owner: Object, template: Object, prefix: str) -> Object:
    """A pod to create, controlled by `owner`; the server completes its name after `prefix`."""
    meta = template.get("metadata") or {}
    kept = {key: meta[key] for key in ("labels", "annotations", "finalizers") if meta.get(key)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **copy.deepcopy(kept),
            "namespace": owner["metadata"]["namespace"],
            "generateName": prefix,
            "ownerReferences": [controller_reference(owner)],
        },
        "spec": copy.deepcopy(template["spec"]),
    }
