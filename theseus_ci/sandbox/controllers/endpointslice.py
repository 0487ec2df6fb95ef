"""EndpointSlice: which pods stand behind a Service, on which ports, and whether to send to them.

A pod that is told to stop is unready here at that very moment, although it goes on serving what it
has: that is how proxies learn in time to send it nothing new.
"""

from __future__ import annotations

import json

from theseus_ci.sandbox.client import ApiClient, Key, Object, key_of
from theseus_ci.sandbox.controllers.controller import Workloads
from theseus_ci.sandbox.controllers.events import Recorder
from theseus_ci.sandbox.controllers.ownership import controller_reference, is_controlled_by
from theseus_ci.sandbox.controllers.pods import is_finished, is_ready, is_terminating
from theseus_ci.sandbox.controllers.selectors import map_selects
from theseus_ci.sandbox.controllers.workqueue import WorkQueue

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"


class EndpointSliceController:
    def __init__(self, client: ApiClient, workloads: Workloads) -> None:
        self.queue = WorkQueue("endpointslice", self.sync)
        self.recorder = Recorder(client, "endpoint-slice-controller")
        self._services = workloads.services
        self._pods = workloads.pods
        self._slices = workloads.endpoint_slices
        self._labels: dict[Key, dict[str, str]] = {}
        self._services.informer.on_change(lambda _, obj: self.queue.add(key_of(obj)))
        self._pods.informer.on_change(self._pod_changed)
        self._slices.informer.on_change(self._slice_changed)

    async def sync(self, key: Key) -> None:
        service = self._services.get(key)
        if service is None or "deletionTimestamp" in service["metadata"]:
            return  # its slices go with it, by garbage collection
        if not service["spec"].get("selector") or service["spec"].get("type") == "ExternalName":
            return  # someone else's business
        known = [self._slices.get(key_of(obj)) for obj in self._managed(service)]
        existing = [obj for obj in known if obj is not None]
        wanted = slices_for(service, self._selected(service))
        for ports, wish in list(wanted.items()):
            match = _same_ports(existing, ports)
            if match is not None:
                existing.remove(match)
                await self._update(match, wish)
                del wanted[ports]
        # A slice whose ports nobody has any more serves the next set of ports, or goes.
        for wish in wanted.values():
            if existing:
                await self._update(existing.pop(0), wish)
            else:
                await self._slices.create(wish)
        for surplus in existing:
            await self._slices.delete(surplus)

    def _pod_changed(self, change: str, pod: Object) -> None:
        """Ask the Services that select the pod, and those that did before its labels changed."""
        key = key_of(pod)
        now = pod["metadata"].get("labels") or {}
        before = self._labels.get(key, now)
        if change == "DELETED":
            self._labels.pop(key, None)
        else:
            self._labels[key] = now
        for service in self._services.cached(key[0]):
            selector = service["spec"].get("selector")
            if map_selects(selector, now) or map_selects(selector, before):
                self.queue.add(key_of(service))

    def _slice_changed(self, _: str, obj: Object) -> None:
        labels = obj["metadata"].get("labels") or {}
        if labels.get(MANAGED_BY) == MANAGER and SERVICE_NAME in labels:
            self.queue.add((obj["metadata"]["namespace"], labels[SERVICE_NAME]))

    def _managed(self, service: Object) -> list[Object]:
        return [
            obj
            for obj in self._slices.cached(service["metadata"]["namespace"])
            if (obj["metadata"].get("labels") or {}).get(MANAGED_BY) == MANAGER
            and is_controlled_by(obj, service)
        ]

    def _selected(self, service: Object) -> list[Object]:
        selector = service["spec"]["selector"]
        pods = [
            pod
            for pod in self._pods.cached(service["metadata"]["namespace"])
            if map_selects(selector, pod["metadata"].get("labels"))
            and not is_finished(pod)
            and pod_addresses(pod)
        ]
        return sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))

    async def _update(self, known: Object, wish: Object) -> None:
        meta = {**known["metadata"], "labels": wish["metadata"]["labels"]}
        changed = {**known, "metadata": meta}
        for field in ("endpoints", "ports"):
            changed[field] = wish[field]
        if _content(changed) != _content(known):
            await self._slices.update(changed)


def slices_for(service: Object, pods: list[Object]) -> dict[str, Object]:
    """The slices to have, by their ports.

    Usually one. Pods that resolve a named target port differently (two versions in the middle of a
    release) need one for each set of ports; without pods there is one without ports.
    """
    slices: dict[str, Object] = {}
    for pod in pods:
        ports = _ports(service, pod)
        signature = _signature(ports)
        if signature not in slices:
            slices[signature] = _empty_slice(service, ports)
        slices[signature]["endpoints"].append(_endpoint(service, pod))
    if not slices:
        slices[_signature([])] = _empty_slice(service, [])
    return slices


def pod_addresses(pod: Object) -> list[str]:
    """The pod's IPv4 addresses."""
    status = pod.get("status", {})
    found = [entry["ip"] for entry in status.get("podIPs") or [] if entry.get("ip")]
    if not found and status.get("podIP"):
        found = [status["podIP"]]
    return [address for address in found if ":" not in address][:1]


def _endpoint(service: Object, pod: Object) -> Object:
    serving, terminating = is_ready(pod), is_terminating(pod)
    early = bool(service["spec"].get("publishNotReadyAddresses"))
    endpoint: Object = {
        "addresses": pod_addresses(pod),
        "conditions": {
            "ready": early or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": {
            "kind": "Pod",
            "namespace": pod["metadata"]["namespace"],
            "name": pod["metadata"]["name"],
            "uid": pod["metadata"]["uid"],
        },
    }
    spec = pod["spec"]
    if spec.get("nodeName"):
        endpoint["nodeName"] = spec["nodeName"]
    if spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]:
        endpoint["hostname"] = spec["hostname"]
    return endpoint


def _ports(service: Object, pod: Object) -> list[Object]:
    """The Service's ports as this pod serves them; a named target it does not have is left out."""
    ports = []
    for port in service["spec"].get("ports") or []:
        number = _target(port, pod)
        if number is not None:
            resolved = {
                "name": port.get("name", ""),
                "port": number,
                "protocol": port.get("protocol", "TCP"),
            }
            if port.get("appProtocol"):
                resolved["appProtocol"] = port["appProtocol"]
            ports.append(resolved)
    return ports


def _target(port: Object, pod: Object) -> int | None:
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    protocol = port.get("protocol", "TCP")
    restartable = [c for c in pod["spec"].get("initContainers") or [] if c.get("restartPolicy")]
    for container in [*pod["spec"]["containers"], *restartable]:
        for candidate in container.get("ports") or []:
            same = candidate.get("name") == target
            if same and candidate.get("protocol", "TCP") == protocol:
                return int(candidate["containerPort"])
    return None


def _empty_slice(service: Object, ports: list[Object]) -> Object:
    meta = service["metadata"]
    labels = {**(meta.get("labels") or {}), SERVICE_NAME: meta["name"], MANAGED_BY: MANAGER}
    if service["spec"].get("clusterIP") == "None":
        labels[HEADLESS] = ""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": meta["namespace"],
            "generateName": f"{meta['name']}-",
            "labels": labels,
            "ownerReferences": [controller_reference(service)],
        },
        "addressType": "IPv4",
        "endpoints": [],
        "ports": ports,
    }


def _same_ports(slices: list[Object], signature: str) -> Object | None:
    for obj in slices:
        if _signature(obj.get("ports") or []) == signature:
            return obj
    return None


def _signature(ports: list[Object]) -> str:
    """The same text for the same ports, whatever their order."""
    filled = [{"name": "", "protocol": "TCP", **port} for port in ports]
    return json.dumps(sorted(filled, key=lambda port: str(port["name"])), sort_keys=True)


def _content(obj: Object) -> tuple[object, str, object]:
    labels = obj["metadata"].get("labels") or {}
    return obj.get("endpoints") or [], _signature(obj.get("ports") or []), labels
