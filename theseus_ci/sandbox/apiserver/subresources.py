"""Requests on parts of an object, and the reviews that are asked for but never stored."""

from __future__ import annotations

from typing import Any

from theseus_ci.sandbox.apiserver import decoding, deletion, patches, rbac, selectors
from theseus_ci.sandbox.apiserver.errors import (
    MODIFIED,
    ApiError,
    Cause,
    Object,
    bad_request,
    conflict,
    invalid_value,
    required,
    success,
    too_many_requests,
    unsupported_media_type,
)
from theseus_ci.sandbox.apiserver.identity import User
from theseus_ci.sandbox.apiserver.kinds import PODS
from theseus_ci.sandbox.apiserver.options import DeleteOptions, WriteOptions, delete_options
from theseus_ci.sandbox.apiserver.schema import builtin
from theseus_ci.sandbox.apiserver.store import Stored
from theseus_ci.sandbox.apiserver.verbs import JSON, MERGE, STRATEGIC, Target, Verbs, timestamp

BUDGETS = ("policy", "poddisruptionbudgets")


def scale_of(stored: Stored) -> Object:
    """The Scale of a Deployment or ReplicaSet."""
    obj = stored.obj
    spec, status, metadata = obj["spec"], obj.get("status") or {}, obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    scale_status: Object = {"replicas": status.get("replicas", 0)}
    selector = selectors.to_text(spec.get("selector"))
    if selector:
        scale_status["selector"] = selector
    replicas = spec.get("replicas", 0)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in kept if name in metadata},
        "spec": {"replicas": replicas} if replicas else {},
        "status": scale_status,
    }


def replace_scale(
    verbs: Verbs, target: Target, name: str, body: Any, options: WriteOptions
) -> Object:
    """Set the replicas of an object from a Scale; ApiError 400, 409 or 422."""
    if not isinstance(body, dict) or body.get("kind", "Scale") != "Scale":
        raise bad_request("cannot handle the body as a Scale")
    cleaner = decoding.Cleaner("Scale", "v1")
    scale = cleaner.clean(body, builtin("io.k8s.api.autoscaling.v1.Scale"), "")
    current = verbs.get(target, name)
    metadata = scale.get("metadata") or {}
    version = metadata.get("resourceVersion")
    if version and version != current.obj["metadata"]["resourceVersion"]:
        raise target.conflict(name, MODIFIED)
    if metadata.get("uid", current.obj["metadata"]["uid"]) != current.obj["metadata"]["uid"]:
        raise target.conflict(name, "Precondition failed: UID in precondition does not match")
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        cause = invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
        raise target.invalid(name, [cause])
    obj = current.copy()
    obj["spec"]["replicas"] = replicas
    return scale_of(verbs.update(target, name, obj, options).stored)


def patched_scale(verbs: Verbs, target: Target, name: str, kind: str, body: bytes) -> Any:
    """The Scale of an object after a patch of content type `kind`; ApiError as for any patch."""
    before, patch = scale_of(verbs.get(target, name)), decoding.parse(body)
    if kind == JSON:
        return patches.json_patch(before, patch)
    if kind == MERGE:
        return patches.merge_patch(before, patch)
    if kind == STRATEGIC:
        node = builtin("io.k8s.api.autoscaling.v1.Scale")
        return patches.strategic_patch(before, patch, node)
    raise unsupported_media_type([JSON, MERGE, STRATEGIC])


def bind(verbs: Verbs, target: Target, name: str, body: Object, options: WriteOptions) -> Object:
    """Assign a pod to a node; ApiError 409 when it is assigned or going away."""
    node = (body.get("target") or {}).get("name")
    if not node:
        raise target.invalid(name, [required("target.name")])
    obj = verbs.get(target, name).copy()
    if obj["metadata"].get("deletionTimestamp"):
        why = f"pod {name} is being deleted, cannot be assigned to a host"
        raise conflict("", "pods/binding", name, why)
    if obj["spec"].get("nodeName"):
        why = f'pod {name} is already assigned to node "{obj["spec"]["nodeName"]}"'
        raise conflict("", "pods/binding", name, why)
    obj["spec"]["nodeName"] = node
    conditions = obj.setdefault("status", {}).setdefault("conditions", [])
    conditions[:] = [c for c in conditions if c.get("type") != "PodScheduled"]
    conditions.append({"type": "PodScheduled", "status": "True", "lastTransitionTime": timestamp()})
    if not options.dry_run:
        verbs.store.put(PODS.key, target.name(name), obj)
    return {**success({}), "code": 201}


def evict(verbs: Verbs, target: Target, name: str, body: Object, options: WriteOptions) -> Object:
    """Delete a pod unless a PodDisruptionBudget forbids it; ApiError 429 then."""
    deletion_options = delete_options({}, body.get("deleteOptions") or {})
    if options.dry_run:
        deletion_options = DeleteOptions(dry_run=True, grace=deletion_options.grace)
    pod = verbs.get(target, name)
    labels = pod.obj["metadata"].get("labels") or {}
    budgets = [
        (key, stored)
        for key, stored in verbs.store.collection(BUDGETS).objects.items()
        if key[0] == target.namespace
        and selectors.from_object(stored.obj["spec"].get("selector")).matches(labels)
        and stored.obj["spec"].get("selector") is not None
    ]
    finished = (pod.obj.get("status") or {}).get("phase") in ("Succeeded", "Failed", "Pending")
    if len(budgets) > 1 and not finished:
        text = "This pod has more than one PodDisruptionBudget, which the eviction subresource"
        raise ApiError(500, "InternalError", f"{text} does not support.")
    if budgets and not finished:
        key, stored = budgets[0]
        _spend(verbs, key, stored, name, dry_run=deletion_options.dry_run)
    deletion.delete(verbs, target, name, deletion_options)
    return {**success({}), "code": 201}


def _spend(verbs: Verbs, key: tuple[str, str], budget: Stored, pod: str, *, dry_run: bool) -> None:
    status = budget.obj.get("status") or {}
    if status.get("disruptionsAllowed", 0) <= 0:
        healthy, wanted = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
        text = (
            f"The disruption budget {key[1]} needs {wanted} healthy pods and has {healthy} "
            "currently"
        )
        raise too_many_requests(
            "Cannot evict pod as it would violate the pod's disruption budget.",
            [Cause("DisruptionBudget", "", text)],
        )
    if not dry_run:
        obj = budget.copy()
        obj["status"]["disruptionsAllowed"] -= 1
        obj["status"].setdefault("disruptedPods", {})[pod] = timestamp()
        verbs.store.put(BUDGETS, key, obj)


def review(verbs: Verbs, target: Target, body: Object, user: User) -> Object:
    """Answer a SelfSubjectAccessReview or SelfSubjectReview."""
    metadata = {"creationTimestamp": None}
    api_version = target.resource.api_version(target.version)
    answer: Object = {
        "kind": target.resource.kind,
        "apiVersion": api_version,
        "metadata": metadata,
    }
    if target.resource.kind == "SelfSubjectReview":
        info = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
        answer["status"] = {"userInfo": {name: value for name, value in info.items() if value}}
        return answer
    spec = body.get("spec") or {}
    given = {
        name: spec[name]
        for name in ("resourceAttributes", "nonResourceAttributes")
        if spec.get(name) is not None
    }
    if len(given) != 1:
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise target.invalid("", [invalid_value("spec.resourceAttributes", None, detail)])
    fields = ("verb", "group", "resource", "subresource", "namespace", "name", "path")
    wanted = next(iter(given.values()))
    attributes = rbac.Attributes(**{name: wanted[name] for name in fields if name in wanted})
    answer["spec"] = spec
    answer["status"] = {"allowed": rbac.allowed(verbs.store, user, attributes)}
    return answer
