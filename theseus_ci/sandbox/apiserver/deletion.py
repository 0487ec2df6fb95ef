"""Deleting: preconditions, grace, finalizers, and namespaces that empty before they go."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from theseus_ci.sandbox.apiserver.errors import Object, forbidden, resource_details, success
from theseus_ci.sandbox.apiserver.kinds import NAMESPACES, PODS
from theseus_ci.sandbox.apiserver.options import DeleteOptions
from theseus_ci.sandbox.apiserver.store import Stored
from theseus_ci.sandbox.apiserver.verbs import Target, Verbs

ANSWERED_WITH_OBJECT = frozenset({PODS.key, ("", "services"), ("", "serviceaccounts")})
POLICY_FINALIZERS = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}
PROTECTED = frozenset({"default", "kube-system", "kube-public"})


def delete(verbs: Verbs, target: Target, name: str, options: DeleteOptions) -> tuple[Object, bool]:
    """Delete or begin to; returns (the answer, whether the object is gone).

    ApiError 404 when there is none, 409 when a precondition fails, 403 for what must stay.
    """
    resource = target.resource
    current = verbs.get(target, name)
    _check_preconditions(target, name, current.obj["metadata"], options)
    if resource.key == NAMESPACES.key and name in PROTECTED:
        raise forbidden("", "namespaces", name, "this namespace may not be deleted")
    obj = current.copy()
    metadata = obj["metadata"]
    grace = _grace(target, obj, options)
    finalizers = _finalizers(metadata.get("finalizers") or [], options.policy)
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)
    pending = bool(finalizers) or grace > 0
    if resource.key == NAMESPACES.key:
        pending = pending or bool((obj.get("spec") or {}).get("finalizers"))
        obj.setdefault("status", {})["phase"] = "Terminating"
    if not pending:
        gone = current if options.dry_run else verbs.remove(resource, target.name(name))
        if resource.key in ANSWERED_WITH_OBJECT:
            return verbs.presented(resource, target.version, gone.obj), True
        details = resource_details(name, resource.group, resource.plural)
        return success({**details, "uid": metadata["uid"]}), True
    marked = _marked(verbs, target, current, obj, grace, dry_run=options.dry_run)
    return verbs.presented(resource, target.version, marked.obj), False


def _check_preconditions(
    target: Target, name: str, metadata: Object, options: DeleteOptions
) -> None:
    if options.uid and options.uid != metadata["uid"]:
        raise target.conflict(
            name,
            f"the UID in the precondition ({options.uid}) does not match the UID in record "
            f"({metadata['uid']}). The object might have been deleted and then recreated",
        )
    if options.version and options.version != metadata["resourceVersion"]:
        raise target.conflict(
            name,
            f"the ResourceVersion in the precondition ({options.version}) does not match the "
            f"ResourceVersion in record ({metadata['resourceVersion']}). The object might have "
            "been modified",
        )


def _grace(target: Target, obj: Object, options: DeleteOptions) -> int:
    """Seconds until a pod's end; 0 for other kinds and for pods that nothing runs."""
    if target.resource.key != PODS.key:
        return 0
    spec, status = obj["spec"], obj.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    grace = options.grace
    if grace is None:
        grace = spec.get("terminationGracePeriodSeconds", 30)
    before = obj["metadata"].get("deletionGracePeriodSeconds")
    return max(0, grace if before is None else min(grace, before))


def _finalizers(present: list[str], policy: str) -> list[str]:
    if not policy:
        return present
    kept = [name for name in present if name not in POLICY_FINALIZERS.values()]
    return [*kept, POLICY_FINALIZERS[policy]] if policy in POLICY_FINALIZERS else kept


def _marked(
    verbs: Verbs, target: Target, current: Stored, obj: Object, grace: int, *, dry_run: bool
) -> Stored:
    """Store that deletion has begun; repeating a deletion changes only a shorter grace."""
    metadata, before = obj["metadata"], current.obj["metadata"]
    known = before.get("deletionTimestamp")
    if not known or grace < before.get("deletionGracePeriodSeconds", 0):
        end = datetime.now(timezone.utc) + timedelta(seconds=grace)
        metadata["deletionTimestamp"] = end.strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata["deletionGracePeriodSeconds"] = grace
        if target.resource.key == NAMESPACES.key:
            del metadata["deletionGracePeriodSeconds"]
        if "generation" in metadata and not known:
            metadata["generation"] += 1
    if obj == current.obj or dry_run:
        return Stored(obj, current.version)
    return verbs.store.put(target.resource.key, target.name(metadata["name"]), obj)
