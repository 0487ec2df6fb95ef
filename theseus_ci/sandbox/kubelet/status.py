"""The pod's status, computed from what its containers are doing. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
OWN_CONDITIONS = (
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
)


@dataclass
class ContainerStatus:
    """One container as it stands. `finished`: it ended and will not be started again."""

    name: str
    image: str
    state: Object = field(default_factory=lambda: {"waiting": {"reason": "PodInitializing"}})
    last_state: Object = field(default_factory=dict)
    ready: bool = False
    started: bool = False
    restart_count: int = 0
    image_id: str = ""
    container_id: str = ""
    finished: bool = False

    def to_object(self) -> Object:
        written: Object = {
            "name": self.name,
            "image": self.image,
            "imageID": self.image_id,
            "state": self.state,
            "lastState": self.last_state,
            "ready": self.ready,
            "started": self.started,
            "restartCount": self.restart_count,
        }
        if self.container_id:
            written["containerID"] = self.container_id
        return written

    @property
    def exit_code(self) -> int | None:
        """Of the last run, when it has ended."""
        terminated = self.state.get("terminated")
        return None if terminated is None else int(terminated["exitCode"])

    @property
    def has_run(self) -> bool:
        return "waiting" not in self.state or bool(self.last_state)


@dataclass(frozen=True)
class PodFacts:
    """What the kubelet knows of a pod. Times as API text."""

    containers: Sequence[ContainerStatus]
    init_containers: Sequence[ContainerStatus]
    initialized: bool
    address: str
    host: str
    started: str
    failure: tuple[str, str] | None = None
    """(reason, message) of a pod that failed as a whole."""


def phase(facts: PodFacts) -> str:
    """Pending, Running, Succeeded or Failed."""
    if facts.failure is not None:
        return "Failed"
    if not facts.initialized:
        failed = any(status.finished and status.exit_code for status in facts.init_containers)
        return "Failed" if failed else "Pending"
    if all(status.finished for status in facts.containers):
        codes = [status.exit_code for status in facts.containers]
        return "Succeeded" if not any(code != 0 for code in codes) else "Failed"
    return "Running" if any(status.has_run for status in facts.containers) else "Pending"


def pod_status(pod: Object, facts: PodFacts, now: str) -> Object:
    """The status to write; conditions that belong to others are kept."""
    current = pod.get("status") or {}
    state = phase(facts)
    ended = state in {"Succeeded", "Failed"}
    reason, message = facts.failure or (None, None)
    return {
        "phase": state,
        "reason": reason,
        "message": message,
        "conditions": _conditions(pod, facts, state, current.get("conditions") or [], now),
        "hostIP": facts.host,
        "hostIPs": [{"ip": facts.host}],
        "podIP": facts.address,
        "podIPs": [{"ip": facts.address}],
        "startTime": facts.started,
        "qosClass": current.get("qosClass") or qos_class(pod["spec"]),
        "containerStatuses": [_visible(status, ended) for status in facts.containers],
        "initContainerStatuses": [_visible(status, ended) for status in facts.init_containers],
    }


def _visible(status: ContainerStatus, ended: bool) -> Object:
    written = status.to_object()
    if ended:
        written["ready"] = False
    return written


def _conditions(
    pod: Object, facts: PodFacts, state: str, current: list[Object], now: str
) -> list[Object]:
    ended = state in {"Succeeded", "Failed"}
    unready = [status.name for status in facts.containers if not status.ready]
    if ended:
        containers_ready = (False, "PodCompleted" if state == "Succeeded" else "PodFailed", "")
    elif unready:
        names = " ".join(unready)
        containers_ready = (
            False,
            "ContainersNotReady",
            f"containers with unready status: [{names}]",
        )
    else:
        containers_ready = (True, "", "")
    waiting = [status.name for status in facts.init_containers if not status.finished]
    initialized = (
        (True, "PodCompleted" if state == "Succeeded" else "", "")
        if facts.initialized
        else (
            False,
            "ContainersNotInitialized",
            f"containers with incomplete status: [{' '.join(waiting)}]",
        )
    )
    wanted = {
        "PodReadyToStartContainers": (bool(facts.address), "", ""),
        "Initialized": initialized,
        "Ready": _with_gates(pod, containers_ready, current),
        "ContainersReady": containers_ready,
        "PodScheduled": (True, "", ""),
    }
    known = {condition["type"]: condition for condition in current}
    own = [_condition(kind, wanted[kind], known.get(kind), now) for kind in OWN_CONDITIONS]
    return own + [item for item in current if item["type"] not in OWN_CONDITIONS]


def _with_gates(
    pod: Object, containers_ready: tuple[bool, str, str], current: list[Object]
) -> tuple[bool, str, str]:
    if not containers_ready[0]:
        return containers_ready
    passed = {item["type"] for item in current if item["status"] == "True"}
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or []]
    missing = [gate for gate in gates if gate not in passed]
    if not missing:
        return containers_ready
    text = "; ".join(
        f'corresponding condition of pod readiness gate "{gate}" is not true' for gate in missing
    )
    return False, "ReadinessGatesNotReady", text


def _condition(kind: str, verdict: tuple[bool, str, str], known: Object | None, now: str) -> Object:
    true, reason, message = verdict
    status = "True" if true else "False"
    unchanged = known is not None and known["status"] == status
    changed_at = known.get("lastTransitionTime") if known is not None and unchanged else now
    condition: Object = {
        "type": kind,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": changed_at or now,
    }
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition


def qos_class(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort, by the containers' requests and limits."""
    containers = [*spec["containers"], *(spec.get("initContainers") or [])]
    resources = [container.get("resources") or {} for container in containers]
    named = [(part.get("requests") or {}, part.get("limits") or {}) for part in resources]
    if not any(
        resource in section for pair in named for section in pair for resource in ("cpu", "memory")
    ):
        return "BestEffort"
    for requests, limits in named:
        for resource in ("cpu", "memory"):
            if (
                resource not in limits
                or requests.get(resource, limits[resource]) != limits[resource]
            ):
                return "Burstable"
    return "Guaranteed"
