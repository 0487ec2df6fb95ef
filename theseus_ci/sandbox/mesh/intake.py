"""From watches to changes: what concerns the mesh in each object, and which objects it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from theseus_ci.sandbox.mesh.events import EventRecorder
from theseus_ci.sandbox.mesh.pipeline import CONFIGURATION, Change
from theseus_ci.sandbox.mesh.translate import GATEWAY_PROXY, refusals, selects

Object = dict[str, Any]
Key = tuple[str, str]

ISTIO = "/apis/networking.istio.io/v1"
PATHS = {
    "Service": "/api/v1/services",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/endpointslices",
    "Pod": "/api/v1/pods",
    "VirtualService": f"{ISTIO}/virtualservices",
    "DestinationRule": f"{ISTIO}/destinationrules",
    "Gateway": f"{ISTIO}/gateways",
}
RELEVANT_METADATA = ("namespace", "name", "creationTimestamp")


class Intake:
    """Turns watch events into changes, each passed to every pipeline through `submit`."""

    def __init__(self, submit: Callable[[Change], None], events: EventRecorder) -> None:
        self._submit = submit
        self._events = events
        self._seen: dict[tuple[str, Key], Object] = {}

    def take(self, kind: str, event: str, obj: Object) -> None:
        """A watch event of an object of this kind."""
        key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        if event == "DELETED":
            self._seen.pop((kind, key), None)
            self._submit(Change(kind, key, None))
            return
        essence = _essence(kind, obj)
        if self._seen.get((kind, key)) == essence:
            return
        self._seen[kind, key] = essence
        problems = refusals(kind, essence) if kind in CONFIGURATION else []
        if problems and not (kind == "Gateway" and _is_foreign(essence)):
            self._events.warn(obj, "NotTranslated", "; ".join(problems))
            return
        self._submit(Change(kind, key, essence))


def _essence(kind: str, obj: Object) -> Object:
    """What the translation reads: everything else may change without consequence."""
    metadata = {name: obj["metadata"].get(name) for name in RELEVANT_METADATA}
    if kind in ("Pod", "EndpointSlice"):
        metadata["labels"] = obj["metadata"].get("labels") or {}
    if kind == "Pod":
        return {"metadata": metadata}
    if kind == "EndpointSlice":
        parts = {name: obj.get(name) or [] for name in ("ports", "endpoints")}
        return {"metadata": metadata, **parts}
    return {"metadata": metadata, "spec": obj.get("spec") or {}}


def _is_foreign(gateway: Object) -> bool:
    """A Gateway for other proxies than the sandbox's is none of its business."""
    selector = gateway["spec"].get("selector")
    return isinstance(selector, dict) and not selects(gateway, GATEWAY_PROXY)
