"""What each kind does to an object before it is created or replaced.

Which fields a client cannot write, what counts as a new generation, and what may never change.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from theseus_ci.sandbox.apiserver.errors import Cause, Object, forbidden_field, invalid_value
from theseus_ci.sandbox.apiserver.kinds import NODES, Key, Resource

IMMUTABLE = "field is immutable"
GENERATIONS: frozenset[Key] = frozenset(
    {
        ("", "pods"),
        ("apps", "deployments"),
        ("apps", "replicasets"),
        ("policy", "poddisruptionbudgets"),
        ("batch", "jobs"),
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        ("discovery.k8s.io", "endpointslices"),
    }
)
STATUS_MAY_WRITE: dict[Key, tuple[str, ...]] = {
    ("", "pods"): ("labels", "annotations", "finalizers"),
    ("", "nodes"): ("labels", "annotations"),
    ("apps", "deployments"): ("annotations",),
    ("apps", "replicasets"): ("annotations",),
}
NO_GENERATION_STATUS = ("metadata", "status", "apiVersion", "kind")


def _content(obj: Object) -> Object:
    return {name: value for name, value in obj.items() if name not in NO_GENERATION_STATUS}


def has_generation(resource: Resource) -> bool:
    return resource.custom or resource.key in GENERATIONS


def prepare_create(resource: Resource, obj: Object) -> None:
    """Bring a new object into its first state; `obj` is changed."""
    if resource.has_status() and resource.key != NODES.key:
        obj.pop("status", None)
    if has_generation(resource):
        obj["metadata"]["generation"] = 1
    else:
        obj["metadata"].pop("generation", None)
    if resource.key == ("", "pods"):
        obj["status"] = {"phase": "Pending", "qosClass": quality_class(obj["spec"])}
    elif resource.key == ("", "namespaces"):
        finalizers = obj.setdefault("spec", {}).setdefault("finalizers", [])
        if "kubernetes" not in finalizers:
            finalizers.append("kubernetes")
        obj["status"] = {"phase": "Active"}
        labels = obj["metadata"].setdefault("labels", {})
        labels["kubernetes.io/metadata.name"] = obj["metadata"].get("name", "")
    elif resource.key == ("", "services"):
        obj["status"] = {"loadBalancer": {}}
    elif resource.key in (("apps", "deployments"), ("batch", "jobs")):
        obj["status"] = {}
        if resource.key == ("batch", "jobs"):
            _select_by_uid(obj)
    elif resource.key == ("policy", "poddisruptionbudgets"):
        counts = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
        obj["status"] = dict.fromkeys(counts, 0)
    elif resource.key == ("apps", "replicasets"):
        obj["status"] = {"replicas": 0}
    elif resource.key == ("autoscaling", "horizontalpodautoscalers"):
        obj["status"] = {"desiredReplicas": 0, "currentMetrics": None}


def _select_by_uid(job: Object) -> None:
    """Give a Job the selector and the labels by which it finds its own pods."""
    spec, metadata = job["spec"], job["metadata"]
    if spec.get("manualSelector"):
        return
    uid, name = metadata["uid"], metadata.get("name", "")
    prefix = "batch.kubernetes.io/"
    spec["selector"] = {"matchLabels": {f"{prefix}controller-uid": uid}}
    own = {"controller-uid": uid, "job-name": name}
    own |= {f"{prefix}{key}": value for key, value in own.items()}
    for labelled in (job, spec["template"]):
        labels = labelled["metadata"].setdefault("labels", {})
        labels.update(own)


def prepare_update(resource: Resource, obj: Object, old: Object, subresource: str) -> None:
    """Undo what this request may not write, and count the generation; `obj` is changed."""
    if subresource == "status":
        metadata, status = obj["metadata"], obj.get("status")
        obj.clear()
        obj.update(old)
        obj["metadata"] = {**old["metadata"], "managedFields": metadata.get("managedFields")}
        for name in STATUS_MAY_WRITE.get(resource.key, ()):
            if name in metadata:
                obj["metadata"][name] = metadata[name]
        if status is None:
            obj.pop("status", None)
        else:
            obj["status"] = status
        return
    if resource.has_status():
        obj.pop("status", None)
        if "status" in old:
            obj["status"] = old["status"]
    if resource.key == ("", "namespaces") and subresource != "finalize":
        obj["spec"] = old["spec"]
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = old["metadata"][
            "name"
        ]
    if has_generation(resource):
        generation = old["metadata"].get("generation", 1)
        obj["metadata"]["generation"] = generation + (_content(obj) != _content(old))


def quality_class(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort, by cpu and memory of every container."""
    declared, guaranteed = False, True
    for container in spec.get("containers") or []:
        resources = container.get("resources") or {}
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        for name in ("cpu", "memory"):
            declared = declared or name in limits or name in requests
            guaranteed = guaranteed and name in limits and limits[name] == requests.get(name)
    if not declared:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def immutable(resource: Resource, obj: Object, old: Object) -> Iterator[Cause]:
    """Causes for changes that this kind never allows."""
    if resource.key in (("apps", "deployments"), ("apps", "replicasets"), ("batch", "jobs")):
        yield from _unchanged(obj, old, "selector")
    if resource.key == ("batch", "jobs"):
        yield from _unchanged(obj, old, "template")
        yield from _unchanged(obj, old, "completions")
    elif resource.key == ("", "pods"):
        yield from _pod(obj, old)
    elif resource.key == ("", "services"):
        yield from _service(obj, old)
    elif resource.key == ("discovery.k8s.io", "endpointslices"):
        if obj.get("addressType") != old.get("addressType"):
            yield invalid_value("addressType", obj.get("addressType"), IMMUTABLE)
    elif resource.group == "rbac.authorization.k8s.io" and "roleRef" in old:
        if obj.get("roleRef") != old["roleRef"]:
            yield invalid_value("roleRef", obj.get("roleRef"), "cannot change roleRef")
    elif resource.key in (("", "configmaps"), ("", "secrets")):
        yield from _data(obj, old)
    elif resource.key == ("apiextensions.k8s.io", "customresourcedefinitions"):
        for name in ("scope", "group"):
            yield from _unchanged(obj, old, name)


def _unchanged(obj: Object, old: Object, name: str) -> Iterator[Cause]:
    value = (obj.get("spec") or {}).get(name)
    if value != (old.get("spec") or {}).get(name):
        yield invalid_value(f"spec.{name}", value, IMMUTABLE)


POD_MUTABLE = ("activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations")


def _pod(obj: Object, old: Object) -> Iterator[Cause]:
    def fixed(spec: Object) -> Object:
        kept = {name: value for name, value in spec.items() if name not in POD_MUTABLE}
        kept["containers"] = [
            {name: value for name, value in container.items() if name != "image"}
            for container in spec.get("containers") or []
        ]
        return kept

    if fixed(obj["spec"]) != fixed(old["spec"]):
        yield forbidden_field(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
            "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to "
            "be set to 1 if it was previously negative)",
        )


def _service(obj: Object, old: Object) -> Iterator[Cause]:
    now, before = obj["spec"], old["spec"]
    external = "ExternalName" in (now.get("type"), before.get("type"))
    if not external and now.get("clusterIP") != before.get("clusterIP"):
        yield invalid_value("spec.clusterIP", now.get("clusterIP"), IMMUTABLE)


def _data(obj: Object, old: Object) -> Iterator[Cause]:
    if "type" in old and obj.get("type") != old["type"]:
        yield invalid_value("type", obj.get("type"), IMMUTABLE)
    if not old.get("immutable"):
        return
    if not obj.get("immutable"):
        yield forbidden_field("immutable", "field is immutable when `immutable` is set")
    for name in ("data", "binaryData"):
        if obj.get(name) != old.get(name):
            yield forbidden_field(name, "field is immutable when `immutable` is set")


def same(obj: Object, old: Object) -> bool:
    """Whether a write would change nothing but its own bookkeeping."""

    def essence(value: Object) -> bytes:
        metadata = {k: v for k, v in value["metadata"].items() if k != "resourceVersion"}
        return msgspec.json.encode({**value, "metadata": metadata}, order="sorted")

    return essence(obj) == essence(old)
