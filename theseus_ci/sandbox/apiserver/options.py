"""What a request says besides its object: the query parameters of writes and deletions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from theseus_ci.sandbox.apiserver.errors import (
    Cause,
    Object,
    invalid,
    required,
    unsupported,
)

POLICIES = ("Orphan", "Background", "Foreground")


@dataclass(frozen=True)
class WriteOptions:
    """Options of create, update and patch. `manager` is never empty but for an apply."""

    manager: str
    dry_run: bool = False
    validation: str = "Warn"
    force: bool = False


@dataclass(frozen=True)
class DeleteOptions:
    """Options of a deletion; None and '' mean: not given."""

    dry_run: bool = False
    grace: int | None = None
    policy: str = ""
    uid: str = ""
    version: str = ""


def _dry_run(values: list[str], kind: str) -> bool:
    for value in values:
        if value != "All":
            raise invalid("meta.k8s.io", kind, "", [unsupported("dryRun", value, ["All"])])
    return bool(values)


def write_options(query: Mapping[str, str], user_agent: str, kind: str) -> WriteOptions:
    """Read CreateOptions, UpdateOptions or PatchOptions; ApiError 422 for what they cannot be."""
    validation = query.get("fieldValidation", "") or "Warn"
    directives = ["", "Ignore", "Strict", "Warn"]
    if validation not in directives:
        cause = unsupported("fieldValidation", validation, directives)
        raise invalid("meta.k8s.io", kind, "", [cause])
    manager = query.get("fieldManager", "")
    if len(manager) > 128:
        detail = "Too long: may not be more than 128 bytes"
        cause = Cause("FieldValueTooLong", "fieldManager", detail)
        raise invalid("meta.k8s.io", kind, "", [cause])
    if not manager and kind != "ApplyOptions":
        manager = user_agent.partition("/")[0][:128] or "unknown"
    elif not manager:
        cause = required("fieldManager", "is required for apply patch")
        raise invalid("meta.k8s.io", "PatchOptions", "", [cause])
    return WriteOptions(
        manager=manager,
        dry_run=_dry_run([query["dryRun"]] if query.get("dryRun") else [], kind),
        validation=validation,
        force=query.get("force", "") == "true",
    )


def delete_options(query: Mapping[str, str], body: Object) -> DeleteOptions:
    """Read DeleteOptions from the body or the query; ApiError 422 for what they cannot be."""
    grace = body.get("gracePeriodSeconds")
    if grace is None and query.get("gracePeriodSeconds", "").isdigit():
        grace = int(query["gracePeriodSeconds"])
    policy = body.get("propagationPolicy") or query.get("propagationPolicy", "")
    if policy and policy not in POLICIES:
        cause = unsupported("propagationPolicy", policy, [*sorted(POLICIES), "nil"])
        raise invalid("meta.k8s.io", "DeleteOptions", "", [cause])
    if not policy and body.get("orphanDependents") is not None:
        policy = "Orphan" if body["orphanDependents"] else "Background"
    dry_runs = body.get("dryRun") or ([query["dryRun"]] if query.get("dryRun") else [])
    preconditions = body.get("preconditions") or {}
    return DeleteOptions(
        dry_run=_dry_run(dry_runs, "DeleteOptions"),
        grace=None if grace is None else max(grace, 0),
        policy=policy,
        uid=preconditions.get("uid") or "",
        version=preconditions.get("resourceVersion") or "",
    )
