"""HorizontalPodAutoscaler without metrics: a cluster in which no pod is ever busy.

It keeps a workload within minReplicas and maxReplicas at once, and takes it down to minReplicas
when it has stood above for the scale-down stabilisation window, as if load had just ended. This
and the conditions are what a release has to live with; it never scales up for load. A share of a
request that a container does not make cannot be told, idle or not: then it leaves the size alone.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from functools import partial

from theseus_ci.sandbox.client import ApiClient, ApiError, Key, Object, key_of
from theseus_ci.sandbox.controllers import conditions
from theseus_ci.sandbox.controllers.controller import Workloads
from theseus_ci.sandbox.controllers.events import Recorder
from theseus_ci.sandbox.controllers.resource import Resource
from theseus_ci.sandbox.controllers.scale_down import Brake
from theseus_ci.sandbox.controllers.selectors import selects
from theseus_ci.sandbox.controllers.workqueue import WorkQueue

BELOW = "Current number of replicas below Spec.MinReplicas"
ABOVE = "Current number of replicas above Spec.MaxReplicas"
IDLE = "All metrics below target"


class AutoscalerController:
    """`stabilization` is in seconds, for autoscalers that do not say it themselves."""

    def __init__(self, client: ApiClient, workloads: Workloads, stabilization: float) -> None:
        self.queue = WorkQueue("horizontalpodautoscaler", self.sync)
        self.recorder = Recorder(client, "horizontal-pod-autoscaler")
        self._client = client
        self._stabilization = stabilization
        self._autoscalers = workloads.autoscalers
        self._pods = workloads.pods
        self._targets: dict[tuple[str, str], Resource] = {
            ("apps", "Deployment"): workloads.deployments,
            ("apps", "ReplicaSet"): workloads.replica_sets,
        }
        self._brakes: dict[Key, Brake] = {}
        self._autoscalers.informer.on_change(self._autoscaler_changed)
        self._pods.informer.on_change(self._pod_changed)
        for (_, kind), resource in self._targets.items():
            resource.informer.on_change(partial(self._target_changed, kind))

    async def sync(self, key: Key) -> None:
        autoscaler = self._autoscalers.get(key)
        if autoscaler is None:
            self._brakes.pop(key, None)
            return
        if "deletionTimestamp" in autoscaler["metadata"]:
            return
        before = copy.deepcopy(autoscaler.setdefault("status", {}))
        failure: ApiError | None = None
        try:
            await self._reconcile(autoscaler)
        except ApiError as error:
            failure = error
        if autoscaler["status"] != before:
            await self._autoscalers.update(autoscaler, "status")
        if failure is not None:
            raise failure

    def _autoscaler_changed(self, change: str, autoscaler: Object) -> None:
        self.queue.add(key_of(autoscaler))
        if change != "MODIFIED":
            self._enqueue_all(autoscaler["metadata"]["namespace"])

    def _pod_changed(self, change: str, pod: Object) -> None:
        """Pods that come and go can make two autoscalers' selectors ambiguous, or clear again."""
        namespace = pod["metadata"]["namespace"]
        if change != "MODIFIED" and len(list(self._autoscalers.cached(namespace))) > 1:
            self._enqueue_all(namespace)

    def _target_changed(self, kind: str, _: str, target: Object) -> None:
        namespace, name = key_of(target)
        for autoscaler in self._autoscalers.cached(namespace):
            reference = autoscaler["spec"]["scaleTargetRef"]
            if (reference["kind"], reference["name"]) == (kind, name):
                self.queue.add(key_of(autoscaler))

    def _enqueue_all(self, namespace: str) -> None:
        for autoscaler in self._autoscalers.cached(namespace):
            self.queue.add(key_of(autoscaler))

    async def _reconcile(self, autoscaler: Object) -> None:
        """Scale as needed; leaves the new status in `autoscaler`."""
        spec, status = autoscaler["spec"], autoscaler["status"]
        scale = await self._read_scale(autoscaler)
        if scale is None:
            return
        current = int(scale["spec"].get("replicas", 0))
        least, most = int(spec.get("minReplicas", 1)), int(spec["maxReplicas"])
        if current == 0:
            message = "scaling is disabled since the replica count of the target is zero"
            conditions.put(status, "ScalingActive", "False", "ScalingDisabled", message)
            desired, reason = 0, ""
        elif current > most:
            desired, reason = most, ABOVE
        elif current < least:
            desired, reason = least, BELOW
        elif self._is_ambiguous(autoscaler) or self._lacks_request(autoscaler):
            status["currentReplicas"] = current
            return
        else:
            desired, reason = self._recommend(autoscaler, current), IDLE
        if desired != current:
            await self._rescale(autoscaler, scale, desired, reason)
            if reason == IDLE:
                now = asyncio.get_running_loop().time()
                self._brakes[key_of(autoscaler)].stepped(current - desired, now)
        status["currentReplicas"] = current
        status["desiredReplicas"] = desired
        status["observedGeneration"] = autoscaler["metadata"].get("generation", 1)

    async def _read_scale(self, autoscaler: Object) -> Object | None:
        """The target's scale, or None (and a condition) when there is none to be had."""
        target = self._target(autoscaler)
        reference = autoscaler["spec"]["scaleTargetRef"]
        if target is None:
            kind = f"{reference['kind']} in {reference.get('apiVersion', '')}"
            self._cannot_read(autoscaler, f"no scale is known for kind {kind}")
            return None
        path = target.path(autoscaler["metadata"]["namespace"], reference["name"], "scale")
        try:
            scale = await self._client.get(path)
        except ApiError as error:
            self._cannot_read(autoscaler, error.message)
            if error.status == 404:
                return None  # its creation will bring us back
            raise
        message = "the HPA controller was able to get the target's current scale"
        conditions.put(autoscaler["status"], "AbleToScale", "True", "SucceededGetScale", message)
        return scale

    def _cannot_read(self, autoscaler: Object, why: str) -> None:
        self.recorder.warning(autoscaler, "FailedGetScale", why)
        message = f"the HPA controller was unable to get the target's current scale: {why}"
        conditions.put(autoscaler["status"], "AbleToScale", "False", "FailedGetScale", message)

    def _recommend(self, autoscaler: Object, current: int) -> int:
        """The size for an idle cluster, held back by the stabilisation window."""
        status, key = autoscaler["status"], key_of(autoscaler)
        least = int(autoscaler["spec"].get("minReplicas", 1))
        message = "the HPA was able to successfully calculate a replica count from idle pods"
        conditions.put(status, "ScalingActive", "True", "ValidMetricFound", message)
        rules = (autoscaler["spec"].get("behavior") or {}).get("scaleDown") or {}
        window = rules.get("stabilizationWindowSeconds")
        window = self._stabilization if window is None else float(window)
        brake, now = self._brakes.setdefault(key, Brake()), asyncio.get_running_loop().time()
        left = brake.window_left(current, least, window, now)
        if left > 0:
            self.queue.add_after(key, left)
            message = (
                "recent recommendations were higher than current one, "
                "applying the highest recent recommendation"
            )
            conditions.put(status, "AbleToScale", "True", "ScaleDownStabilized", message)
            message = "the desired count is within the acceptable range"
            conditions.put(status, "ScalingLimited", "False", "DesiredWithinRange", message)
            return current
        message = "recommended size matches current size"
        conditions.put(status, "AbleToScale", "True", "ReadyForNewScale", message)
        lowest, wait = brake.lowest(current, rules, now)
        if lowest > least:
            if wait > 0:
                self.queue.add_after(key, wait)
            message = "the desired replica count is decreasing faster than the maximum scale rate"
            conditions.put(status, "ScalingLimited", "True", "ScaleDownLimit", message)
            return min(current, lowest)
        message = "the desired replica count is less than the minimum replica count"
        conditions.put(status, "ScalingLimited", "True", "TooFewReplicas", message)
        return least

    async def _rescale(self, autoscaler: Object, scale: Object, desired: int, why: str) -> None:
        target = self._target(autoscaler)
        assert target is not None  # the scale was read from it
        name = autoscaler["spec"]["scaleTargetRef"]["name"]
        path = target.path(autoscaler["metadata"]["namespace"], name, "scale")
        status = autoscaler["status"]
        changed = {**scale, "spec": {**scale["spec"], "replicas": desired}}
        try:
            saved = await self._client.replace(path, changed)
        except ApiError as error:
            message = f"the HPA controller was unable to update the target scale: {error.message}"
            conditions.put(status, "AbleToScale", "False", "FailedUpdateScale", message)
            if error.status != 409:
                message = f"New size: {desired}; reason: {why}; error: {error.message}"
                self.recorder.warning(autoscaler, "FailedRescale", message)
            raise
        message = f"the HPA controller was able to update the target scale to {desired}"
        conditions.put(status, "AbleToScale", "True", "SucceededRescale", message)
        status["lastScaleTime"] = conditions.timestamp(conditions.now())
        message = f"New size: {desired}; reason: {why}"
        self.recorder.normal(autoscaler, "SuccessfulRescale", message)
        await target.informer.reached(saved["metadata"]["resourceVersion"])

    def _is_ambiguous(self, autoscaler: Object) -> bool:
        """Whether pods of this target are also selected by another autoscaler's target."""
        namespace = autoscaler["metadata"]["namespace"]
        own = self._selector(autoscaler)
        pods = [
            pod["metadata"].get("labels") or {}
            for pod in self._pods.cached(namespace)
            if selects(own, pod["metadata"].get("labels"))
        ]
        claimants = [
            key_of(other)
            for other in self._autoscalers.cached(namespace)
            if any(selects(self._selector(other), labels) for labels in pods)
        ]
        if len(claimants) < 2:
            return False
        names = " ".join(f"{space}/{name}" for space, name in sorted(claimants))
        message = f"pods by selector {_text(own)} are controlled by multiple HPAs: [{names}]"
        self.recorder.warning(autoscaler, "AmbiguousSelector", message)
        status = autoscaler["status"]
        conditions.put(status, "ScalingActive", "False", "AmbiguousSelector", message)
        return True

    def _lacks_request(self, autoscaler: Object) -> bool:
        """Whether a container does not request what a metric wants a share of."""
        why = self._missing_request(autoscaler)
        if not why:
            return False
        self.recorder.warning(autoscaler, "FailedGetResourceMetric", why)
        message = f"the HPA was unable to compute the replica count: {why}"
        status = autoscaler["status"]
        conditions.put(status, "ScalingActive", "False", "FailedGetResourceMetric", message)
        return True

    def _missing_request(self, autoscaler: Object) -> str:
        """The first that is missing, as the real controller words it; empty when none is."""
        selector = self._selector(autoscaler)
        pods = [
            pod
            for pod in self._pods.cached(autoscaler["metadata"]["namespace"])
            if selects(selector, pod["metadata"].get("labels"))
        ]
        for resource, only in _shares(autoscaler["spec"].get("metrics") or []):
            for pod in pods:
                for container in pod["spec"]["containers"]:
                    requests = (container.get("resources") or {}).get("requests") or {}
                    if only in ("", container["name"]) and resource not in requests:
                        where = f"container {container['name']} of Pod {pod['metadata']['name']}"
                        what = f"missing request for {resource} in {where}"
                        return f"failed to get {resource} utilization: {what}"
        return ""

    def _selector(self, autoscaler: Object) -> Object | None:
        """The LabelSelector of its target, as far as the target is known."""
        target = self._target(autoscaler)
        if target is None:
            return None
        name = autoscaler["spec"]["scaleTargetRef"]["name"]
        obj = target.informer.objects.get((autoscaler["metadata"]["namespace"], name))
        return obj["spec"].get("selector") if obj else None

    def _target(self, autoscaler: Object) -> Resource | None:
        reference = autoscaler["spec"]["scaleTargetRef"]
        group = str(reference.get("apiVersion", "")).partition("/")[0]
        return self._targets.get((group, reference["kind"]))


def _shares(metrics: list[Object]) -> Iterator[tuple[str, str]]:
    """(resource, container) of each metric that is a share of requests; "" stands for every
    container."""
    for metric in metrics:
        source = metric.get("resource") or metric.get("containerResource") or {}
        if source.get("target", {}).get("type") == "Utilization":
            yield str(source["name"]), str(source.get("container", ""))


def _text(selector: Object | None) -> str:
    labels = (selector or {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
