"""What a restarted kubelet makes of containers of its predecessor: their processes are gone."""

from __future__ import annotations

from theseus_ci.sandbox.kubelet.clock import now_text
from theseus_ci.sandbox.kubelet.status import ContainerStatus, Object


def recovered_status(spec: Object, known: list[Object], policy: str) -> ContainerStatus:
    """The container's status to go on from; `known`: what the API holds, perhaps nothing."""
    status = ContainerStatus(name=spec["name"], image=spec["image"])
    written = next((item for item in known if item["name"] == spec["name"]), None)
    if written is None or not (written.get("containerID") or written.get("lastState")):
        return status
    status.restart_count = int(written.get("restartCount") or 0)
    status.last_state = written.get("lastState") or {}
    status.image_id = written.get("imageID") or ""
    status.container_id = written.get("containerID") or ""
    state = written.get("state") or {}
    if "running" in state:
        state = {"terminated": _lost(status, state["running"])}
    if "terminated" in state:
        status.state = state
        failed = state["terminated"]["exitCode"] != 0
        status.finished = policy == "Never" or (policy == "OnFailure" and not failed)
    return status


def _lost(status: ContainerStatus, running: Object) -> Object:
    return {
        "exitCode": 137,
        "reason": "ContainerStatusUnknown",
        "message": "The container's process ended with the kubelet that had started it",
        "startedAt": running.get("startedAt"),
        "finishedAt": now_text(),
        "containerID": status.container_id,
    }
