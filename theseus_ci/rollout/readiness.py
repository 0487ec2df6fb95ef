"""Capacity: how many pods of a version there are, and waiting until there are enough."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from theseus_ci.model import Object
from theseus_ci.ports import Clock, Cluster
from theseus_ci.quantities import counted
from theseus_ci.timestamps import to_seconds

WATCH_SECONDS = 15.0  # one watch at most; between two of them the lease is renewed
HOPELESS_WAITING = frozenset({"ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError"})
CRASHES = 3  # restarts of one container after which a loop is not waited for any longer
LONG_RUN_SECONDS = 600.0  # a kubelet forgets the crashes of a container that ran as long


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of a Deployment. `problem` is empty when enough pods are ready."""

    ready: int
    wanted: int
    problem: str = ""


def needed_replicas(weight: int, previous_replicas: int, at_least: int) -> int:
    """Pods the candidate needs for `weight` percent of the traffic that `previous_replicas`
    pods carry now."""
    return max(at_least, math.ceil(weight * previous_replicas / 100))


def ready_replicas(deployment: Object | None) -> int:
    """Available pods of the Deployment's current template; 0 when it is gone or not yet seen."""
    if deployment is None:
        return 0
    status = deployment.get("status") or {}
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return 0
    return min(int(status.get("availableReplicas", 0)), int(status.get("updatedReplicas", 0)))


def await_replicas(
    cluster: Cluster,
    clock: Clock,
    *,
    namespace: str,
    deployment: str,
    pod_selector: str,
    wanted: int,
    seconds: float,
    alive: Callable[[], None],
    said: Callable[[str], None],
) -> Readiness:
    """Watch until `wanted` pods are ready, a pod is beyond hope, or `seconds` have passed.

    What counts is the Deployment's status. Until its pods are ready they are what is watched, since
    they say what is wrong; then the Deployment is. `alive` is called between two watches (lease,
    signals); `said` gets progress.
    """
    deadline = clock.monotonic() + seconds
    ready = ready_replicas(cluster.get("Deployment", namespace, deployment))
    if ready >= wanted:
        return Readiness(ready=ready, wanted=wanted)
    said(f"{ready} of {wanted} pods of {deployment} are ready")
    while True:
        pods: list[Object] = []
        for pods in cluster.watch(
            "Pod", namespace, labels=pod_selector, timeout=_span(clock, deadline)
        ):
            hopeless = first_problem(pods, only_hopeless=True)
            if hopeless:
                return Readiness(ready=ready, wanted=wanted, problem=hopeless)
            if ready_pods(pods) >= wanted:
                break
        alive()
        for found in cluster.watch(
            "Deployment",
            namespace,
            fields=f"metadata.name={deployment}",
            timeout=_span(clock, deadline) if ready_pods(pods) >= wanted else 0.0,
        ):
            seen = ready_replicas(found[0] if found else None)
            if seen >= wanted:
                return Readiness(ready=seen, wanted=wanted)
            if seen != ready:
                said(f"{seen} of {wanted} pods of {deployment} are ready")
                ready = seen
        alive()
        if clock.monotonic() >= deadline:
            why = first_problem(pods) or "no pod says why"
            return Readiness(
                ready=ready,
                wanted=wanted,
                problem=f"{ready} of {wanted} pods were ready after {seconds:g} s: {why}",
            )


def _span(clock: Clock, deadline: float) -> float:
    """How long the next watch may last."""
    return max(0.0, min(WATCH_SECONDS, deadline - clock.monotonic()))


def ready_pods(pods: list[Object]) -> int:
    """How many of them are ready, and stay."""
    return sum(
        any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in (pod.get("status") or {}).get("conditions") or []
        )
        for pod in _staying(pods)
    )


def await_scaled_down(
    cluster: Cluster,
    clock: Clock,
    *,
    namespace: str,
    deployment: str,
    at_most: int,
    seconds: float,
    alive: Callable[[], None],
    said: Callable[[str], None],
) -> str:
    """Watch until the Deployment has at most that many pods; return what is wrong, or ""."""
    deadline = clock.monotonic() + seconds
    last = -1
    while True:
        for found in cluster.watch(
            "Deployment",
            namespace,
            fields=f"metadata.name={deployment}",
            timeout=_span(clock, deadline),
        ):
            pods = int((found[0].get("status") or {}).get("replicas", 0)) if found else 0
            if pods <= at_most:
                return ""
            if pods != last:
                said(f"{deployment} has {counted(pods, 'pod')}, waiting for {at_most}")
                last = pods
        alive()
        if clock.monotonic() >= deadline:
            return (
                f"{deployment} still has {counted(last, 'pod')} after {seconds:g} s, not {at_most}"
            )


def await_gone(
    cluster: Cluster,
    clock: Clock,
    *,
    namespace: str,
    pod_selector: str,
    seconds: float,
    alive: Callable[[], None],
) -> int:
    """Watch until no pod matches; return how many are left when `seconds` have passed."""
    deadline = clock.monotonic() + seconds
    while True:
        pods: list[Object] = []
        for pods in cluster.watch(
            "Pod", namespace, labels=pod_selector, timeout=_span(clock, deadline)
        ):
            if not pods:
                return 0
        alive()
        if clock.monotonic() >= deadline:
            return len(pods)


def first_problem(pods: list[Object], *, only_hopeless: bool = False) -> str:
    """Why a pod that is to stay is not ready, in words; "" when none says. `only_hopeless`: only
    what waiting will not mend."""
    staying = _staying(pods)
    for pod in staying:
        name = pod["metadata"]["name"]
        status = pod.get("status") or {}
        for container in status.get("containerStatuses") or []:
            problem = _container_problem(container, only_hopeless=only_hopeless)
            if problem:
                return f"pod {name}: {problem}"
        if only_hopeless:
            continue
        for condition in status.get("conditions") or []:
            if condition.get("status") == "False" and condition.get("message"):
                return f"pod {name}: {condition['type']}: {condition['message']}"
    if not staying and not only_hopeless:
        return "it has no pods at all (kubectl describe the Deployment and its ReplicaSet)"
    return ""


def _staying(pods: list[Object]) -> list[Object]:
    return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]


def _container_problem(container: Object, *, only_hopeless: bool) -> str:
    name = container.get("name", "")
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason", "")
    restarts = container.get("restartCount", 0)
    ended = (container.get("lastState") or {}).get("terminated") or {}
    exit_text = f", last exit code {ended['exitCode']}" if "exitCode" in ended else ""
    if reason in HOPELESS_WAITING:
        return f"container {name}: {reason}: {waiting.get('message', '')}".rstrip(": ")
    if restarts >= CRASHES and _crashes_again_and_again(container, ended):
        return f"container {name} has crashed {counted(restarts, 'time')}{exit_text}"
    if only_hopeless:
        return ""
    if reason:
        return f"container {name}: {reason} {waiting.get('message', '')}{exit_text}".rstrip()
    if not container.get("ready", False):
        return f"container {name} runs but is not ready: its readiness probe fails{exit_text}"
    return ""


def _crashes_again_and_again(container: Object, ended: Object) -> bool:
    """Whether it has just ended once more, after a short run: restarts alone may be months old."""
    if container.get("ready") or "running" in (container.get("state") or {}):
        return False
    try:
        ran = to_seconds(ended["finishedAt"]) - to_seconds(ended["startedAt"])
    except (KeyError, ValueError):
        return True
    return ran < LONG_RUN_SECONDS


def restarts_by_pod(pods: list[Object]) -> dict[str, int]:
    """Restarts of each pod's containers, summed."""
    return {
        pod["metadata"]["name"]: sum(
            container.get("restartCount", 0)
            for container in (pod.get("status") or {}).get("containerStatuses") or []
        )
        for pod in pods
    }


def selector_text(labels: dict[str, str]) -> str:
    """An equality selector as the API takes it."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
