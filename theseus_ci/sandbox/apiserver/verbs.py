"""Create, replace, patch and read objects: what every kind has in common.

A method takes an object that it may change, runs it through the same line as the real server
(decode, default, prepare, validate, admit, record ownership) and stores it. Objects handed out
belong to the store.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from theseus_ci.sandbox.apiserver import admission, apply, decoding, patches, strategy
from theseus_ci.sandbox.apiserver.defaults import apply_defaults
from theseus_ci.sandbox.apiserver.errors import (
    MODIFIED,
    ApiError,
    Cause,
    Object,
    already_exists,
    bad_request,
    conflict,
    forbidden_field,
    invalid,
    invalid_value,
    not_found,
    unrecognized,
    unsupported_media_type,
)
from theseus_ci.sandbox.apiserver.kinds import CRDS, NAMESPACES, Registry, Resource, from_crd
from theseus_ci.sandbox.apiserver.options import WriteOptions
from theseus_ci.sandbox.apiserver.store import Name, Store, Stored
from theseus_ci.sandbox.apiserver.validation_kinds import problems

SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH = 5
MERGE, JSON, STRATEGIC, APPLY = (
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
RBAC = "rbac.authorization.k8s.io"
CREATE_ON_UPDATE = frozenset(
    {("coordination.k8s.io", "leases"), ("", "endpoints"), ("", "events"), ("", "services")}
    | {(RBAC, plural) for plural in ("roles", "rolebindings")}
    | {(RBAC, plural) for plural in ("clusterroles", "clusterrolebindings")}
)
CONDITIONAL = frozenset(
    {
        ("coordination.k8s.io", "leases"),
        ("policy", "poddisruptionbudgets"),
        CRDS.key,
    }
)


def timestamp() -> str:
    """Now, as metadata carries it: RFC 3339 in UTC, whole seconds."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Target:
    """What a request is about: one collection, in one version, one namespace ('' for none)."""

    resource: Resource
    version: str
    namespace: str = ""
    subresource: str = ""

    def name(self, name: str) -> Name:
        return self.namespace, name

    def invalid(self, name: str, causes: list[Cause]) -> ApiError:
        return invalid(self.resource.group, self.resource.kind, name, causes)

    def not_found(self, name: str) -> ApiError:
        return not_found(self.resource.group, self.resource.plural, name)

    def conflict(self, name: str, why: str) -> ApiError:
        return conflict(self.resource.group, self.resource.plural, name, why)


@dataclass
class Written:
    """A write's outcome. `warnings` are the unknown fields that were dropped."""

    stored: Stored
    created: bool = False
    warnings: list[str] = field(default_factory=list)


class Verbs:
    """The generic verbs over one store."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self.registry = registry

    def get(self, target: Target, name: str) -> Stored:
        stored = self.store.get(target.resource.key, target.name(name))
        if stored is None:
            raise target.not_found(name)
        return stored

    def create(self, target: Target, body: Any, options: WriteOptions) -> Written:
        """Create an object; ApiError when it is refused."""
        obj, warnings = self._decoded(target, body, options)
        metadata = obj["metadata"]
        if metadata.get("resourceVersion"):
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
        self._place(target, metadata)
        if target.resource.namespaced:
            name = metadata.get("name", "")
            admission.check_namespace(self.store, target.resource, target.namespace, name)
        return self._insert(target, obj, options, warnings)

    def _insert(
        self,
        target: Target,
        obj: Object,
        options: WriteOptions,
        warnings: list[str],
        *,
        applied: bool = False,
    ) -> Written:
        resource, metadata = target.resource, obj["metadata"]
        if not metadata.get("name") and metadata.get("generateName"):
            suffix = "".join(random.choices(SUFFIX_ALPHABET, k=SUFFIX_LENGTH))
            metadata["name"] = metadata["generateName"] + suffix
        for server_owned in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
            metadata.pop(server_owned, None)
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = timestamp()
        apply_defaults(resource.key, obj)
        strategy.prepare_create(resource, obj)
        self._judge(target, obj, None)
        name = target.name(metadata["name"])
        if self.store.get(resource.key, name):
            raise already_exists(resource.group, resource.plural, metadata["name"])
        if not applied:
            self._track(target, None, obj, options)
        if resource.key == CRDS.key:
            _establish(obj)
        if options.dry_run:
            return Written(Stored(obj, 0), created=True, warnings=warnings)
        stored = self.store.put(resource.key, name, obj)
        self._after_write(resource, stored)
        return Written(stored, created=True, warnings=warnings)

    def replace(self, target: Target, name: str, body: Any, options: WriteOptions) -> Written:
        """Replace an object (or, by `target.subresource`, its status); ApiError when refused."""
        obj, warnings = self._decoded(target, body, options)
        self._place(target, obj["metadata"], name)
        stored = self.store.get(target.resource.key, target.name(name))
        if stored is None:
            may_create = target.resource.key in CREATE_ON_UPDATE and not target.subresource
            if not may_create or obj["metadata"].get("resourceVersion"):
                raise target.not_found(name)
            return self.create(target, obj, options)
        return self.update(target, name, obj, options, warnings)

    def update(
        self,
        target: Target,
        name: str,
        obj: Object,
        options: WriteOptions,
        warnings: list[str] | None = None,
        *,
        applied: bool = False,
    ) -> Written:
        """Store `obj`, decoded, in the place of an existing object.

        `applied`: it comes from server-side apply and has its ownership records already.
        """
        resource, current = target.resource, self.get(target, name)
        old = current.obj
        self._check_version(target, name, obj, current, conditional=not applied)
        self._carry_over(obj, old)
        self._carry_allocated(resource, obj, old)
        apply_defaults(resource.key, obj)
        strategy.prepare_update(resource, obj, old, target.subresource)
        if target.subresource != "status":
            self._judge(target, obj, old)
        elif resource.custom:
            self._check(target, obj)
        if not applied:
            self._track(target, old, obj, options)
        if strategy.same(obj, old):
            return Written(current, warnings=warnings or [])
        if options.dry_run:
            return Written(Stored(obj, current.version), warnings=warnings or [])
        if _finished(resource, obj):
            self.store.put(resource.key, target.name(name), obj)
            return Written(self.remove(resource, target.name(name)), warnings=warnings or [])
        stored = self.store.put(resource.key, target.name(name), obj)
        self._after_write(resource, stored)
        return Written(stored, warnings=warnings or [])

    def patch(
        self, target: Target, name: str, kind: str, body: bytes, options: WriteOptions
    ) -> Written:
        """Apply a patch of content type `kind`; ApiError when it or its outcome is refused."""
        resource = target.resource
        accepted = [JSON, MERGE, *([] if resource.custom else [STRATEGIC]), APPLY]
        if kind not in accepted:
            raise unsupported_media_type(accepted)
        parsed = decoding.parse(body, as_yaml=kind == APPLY)
        if kind == APPLY:
            return self._apply(target, name, parsed, options)
        current = self.get(target, name)
        before = self.presented(resource, target.version, current.copy())
        node = resource.schema(target.version)
        if kind == JSON:
            after: Any = patches.json_patch(before, parsed)
        elif not isinstance(parsed, dict):
            raise bad_request("error decoding patch: the patch must be an object")
        elif kind == MERGE:
            after = patches.merge_patch(before, parsed)
        else:
            after = patches.strategic_patch(before, parsed, node)
        return self.replace(target, name, after, options)

    def _apply(self, target: Target, name: str, body: Any, options: WriteOptions) -> Written:
        resource, version = target.resource, target.version
        applied, warnings = self._decoded(target, body, options, complete=True)
        self._place(target, applied["metadata"], name)
        writer = apply.Writer(
            options.manager, "Apply", resource.api_version(version), target.subresource
        )
        current = self.store.get(resource.key, target.name(name))
        node, now = resource.schema(version), timestamp()
        applied["apiVersion"] = resource.api_version(version)
        if current is None:
            if target.subresource or applied["metadata"].get("uid"):
                raise target.not_found(name)
            fresh = apply.apply(None, applied, node, writer, now, force=options.force)
            fresh["apiVersion"] = resource.api_version(resource.storage)
            if resource.namespaced:
                admission.check_namespace(self.store, resource, target.namespace, name)
            return self._insert(target, fresh, options, warnings, applied=True)
        live = self.presented(resource, version, current.copy())
        merged = apply.apply(live, applied, node, writer, now, force=options.force)
        merged["apiVersion"] = resource.api_version(resource.storage)
        return self.update(target, name, merged, options, warnings, applied=True)

    def presented(self, resource: Resource, version: str, obj: Object) -> Object:
        """`obj` as it looks in `version`; shares its parts with `obj`."""
        if version == resource.storage:
            return obj
        return {**obj, "apiVersion": resource.api_version(version)}

    def remove(self, resource: Resource, name: Name) -> Stored:
        """Delete for good, whatever finalizers say; the object exists."""
        stored = self.store.delete(resource.key, name)
        if resource.key == CRDS.key:
            names = stored.obj["spec"]
            key = names["group"], names["names"]["plural"]
            self.registry.remove(key)
            self.store.drop(key)
        return stored

    def _after_write(self, resource: Resource, stored: Stored) -> None:
        if resource.key == CRDS.key:
            self.registry.add(from_crd(stored.obj))

    def _decoded(
        self, target: Target, body: Any, options: WriteOptions, *, complete: bool = False
    ) -> tuple[Object, list[str]]:
        """The object in the storage version, and the unknown fields that were dropped."""
        resource, version = target.resource, target.version
        if not isinstance(body, dict):
            raise bad_request("couldn't get version/kind; json parse error: not an object")
        wanted = {"kind": resource.kind, "apiVersion": resource.api_version(version)}
        for name, value in wanted.items():
            given = body.get(name)
            if not given and (resource.custom or complete):
                what = f"Object '{name[0].upper()}{name[1:]}' is missing in the body"
                raise unrecognized(resource.kind, what)
            if given and given != value:
                if name == "kind":
                    raise bad_request(
                        f'{given} in version "{version}" cannot be handled as a {resource.kind}'
                    )
                raise bad_request(
                    f"the API version in the data ({given}) does not match the expected API "
                    f"version ({value})"
                )
        obj, unknown = decoding.clean_object({**body, **wanted}, resource, version)
        if unknown and options.validation == "Strict":
            raise decoding.strictness_problem(resource, version, unknown)
        obj["apiVersion"] = resource.api_version(resource.storage)
        obj.setdefault("metadata", {})
        return obj, unknown if options.validation == "Warn" else []

    def _place(self, target: Target, metadata: Object, name: str = "") -> None:
        """Make metadata agree with the URL; ApiError 400 when it says something else."""
        given = metadata.get("name")
        if name and given and given != name:
            raise bad_request(
                f"the name of the object ({given}) does not match the name on the URL ({name})"
            )
        if name:
            metadata["name"] = name
        space = metadata.get("namespace")
        if target.resource.namespaced:
            if space and space != target.namespace:
                raise bad_request(
                    "the namespace of the provided object does not match the namespace sent on "
                    "the request"
                )
            metadata["namespace"] = target.namespace

    def _check_version(
        self, target: Target, name: str, obj: Object, current: Stored, *, conditional: bool
    ) -> None:
        metadata, old = obj["metadata"], current.obj["metadata"]
        version, uid = metadata.get("resourceVersion"), metadata.get("uid")
        if not version:
            strict = target.resource.custom or target.resource.key in CONDITIONAL
            if conditional and strict:
                detail = "must be specified for an update"
                causes = [invalid_value("metadata.resourceVersion", 0, detail)]
                raise invalid(target.resource.group, target.resource.plural, name, causes)
        elif not version.isdigit():
            raise bad_request(f"invalid resource version {version!r}")
        elif version != old["resourceVersion"]:
            raise target.conflict(name, MODIFIED)
        if uid and uid != old["uid"]:
            why = (
                f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['uid']}"
            )
            raise target.conflict(name, why)

    @staticmethod
    def _carry_over(obj: Object, old: Object) -> None:
        metadata, before = obj["metadata"], old["metadata"]
        for name in (
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
            "generateName",
            "resourceVersion",
        ):
            if name in before:
                metadata[name] = before[name]
            else:
                metadata.pop(name, None)

    @staticmethod
    def _carry_allocated(resource: Resource, obj: Object, old: Object) -> None:
        if resource.key == ("", "services") and isinstance(obj.get("spec"), dict):
            for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                if not obj["spec"].get(name) and name in old["spec"]:
                    obj["spec"][name] = old["spec"][name]

    def _check(self, target: Target, obj: Object) -> list[Cause]:
        resource = target.resource
        causes = problems(resource, resource.storage, obj)
        if causes:
            raise target.invalid(obj["metadata"].get("name", ""), causes)
        return causes

    def _judge(self, target: Target, obj: Object, old: Object | None) -> None:
        """Validate and admit; ApiError when the object is refused."""
        resource = target.resource
        causes = [
            *problems(resource, resource.storage, obj),
            *admission.unrunnable(resource, obj),
        ]
        if old is not None:
            new_finalizers = set(obj["metadata"].get("finalizers") or ()) - set(
                old["metadata"].get("finalizers") or ()
            )
            if old["metadata"].get("deletionTimestamp") and new_finalizers:
                detail = "no new finalizers can be added if the object is being deleted"
                causes.append(forbidden_field("metadata.finalizers", detail))
            causes += strategy.immutable(resource, obj, old)
        if causes:
            raise target.invalid(obj["metadata"].get("name", ""), causes)
        admission.admit(self.store, resource, obj, old)

    def _track(
        self, target: Target, old: Object | None, obj: Object, options: WriteOptions
    ) -> None:
        resource, version = target.resource, target.version
        writer = apply.Writer(
            options.manager, "Update", resource.api_version(version), target.subresource
        )
        apply.track_update(old, obj, resource.schema(version), writer, timestamp())


def _finished(resource: Resource, obj: Object) -> bool:
    """Whether an object that is being deleted has nothing left to wait for."""
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if resource.key == NAMESPACES.key:
        return not (obj.get("spec") or {}).get("finalizers")
    return not metadata.get("deletionGracePeriodSeconds")


def _establish(crd: Object) -> None:
    """The status that the real server's controllers give a definition within moments."""
    now, spec = timestamp(), crd["spec"]
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": message,
            "lastTransitionTime": now,
        }
        for kind, reason, message in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
    ]
    stored = [version["name"] for version in spec["versions"] if version["storage"]]
    crd["status"] = {
        "conditions": conditions,
        "acceptedNames": spec["names"],
        "storedVersions": stored,
    }
