"""Which resources are served: the builtin table, and what CustomResourceDefinitions add.

A `Resource` is one stored collection. It may be served in several versions that differ by their
apiVersion only; the objects are stored under the storage version and relabelled on their way out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from theseus_ci.sandbox.apiserver.schema import Node, builtin

Object = dict[str, Any]
Key = tuple[str, str]

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
SUBRESOURCE_KINDS = {
    "scale": ("autoscaling", "v1", "Scale"),
    "eviction": ("policy", "v1", "Eviction"),
    "binding": ("", "v1", "Binding"),
}
SUBRESOURCE_VERBS = {
    "status": ("get", "patch", "update"),
    "scale": ("get", "patch", "update"),
    "finalize": ("update",),
    "log": ("get",),
    "binding": ("create",),
    "eviction": ("create",),
}


@dataclass(frozen=True)
class Resource:
    """One collection. `versions` is in order of preference; `storage` is one of them."""

    group: str
    kind: str
    plural: str
    versions: tuple[str, ...] = ("v1",)
    storage: str = "v1"
    namespaced: bool = True
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = VERBS
    definition: str = ""
    custom: bool = False
    crd: Object = field(default_factory=dict, compare=False, hash=False, repr=False)
    schemas: dict[str, Node] = field(default_factory=dict, compare=False, hash=False, repr=False)

    @property
    def key(self) -> Key:
        return self.group, self.plural

    @property
    def list_kind(self) -> str:
        return str(self.crd.get("spec", {}).get("names", {}).get("listKind", self.kind + "List"))

    def api_version(self, version: str) -> str:
        return f"{self.group}/{version}" if self.group else version

    def schema(self, version: str) -> Node:
        """The schema of whole objects in `version`."""
        return self.schemas[version] if self.custom else builtin(self.definition)

    def has_status(self) -> bool:
        return "status" in self.subresources


def _io(path: str) -> str:
    return f"io.k8s.api.{path}"


def _core(kind: str, plural: str, *short: str, **more: Any) -> Resource:
    resource = Resource("", kind, plural, short_names=short, definition=_io(f"core.v1.{kind}"))
    return replace(resource, **more)


def _rbac(kind: str, plural: str, *, namespaced: bool) -> Resource:
    group = "rbac.authorization.k8s.io"
    return Resource(group, kind, plural, namespaced=namespaced, definition=_io(f"rbac.v1.{kind}"))


ALL = {"categories": ("all",)}
NAMESPACES = _core(
    "Namespace",
    "namespaces",
    "ns",
    namespaced=False,
    subresources=("finalize", "status"),
    verbs=tuple(verb for verb in VERBS if verb != "deletecollection"),
)
PODS = _core("Pod", "pods", "po", subresources=("binding", "eviction", "log", "status"), **ALL)
SERVICES = _core("Service", "services", "svc", subresources=("status",), **ALL)
NODES = _core("Node", "nodes", "no", namespaced=False, subresources=("status",))
DEPLOYMENTS = Resource(
    "apps",
    "Deployment",
    "deployments",
    short_names=("deploy",),
    categories=("all",),
    subresources=("scale", "status"),
    definition=_io("apps.v1.Deployment"),
)
REPLICASETS = Resource(
    "apps",
    "ReplicaSet",
    "replicasets",
    short_names=("rs",),
    categories=("all",),
    subresources=("scale", "status"),
    definition=_io("apps.v1.ReplicaSet"),
)
CRDS = Resource(
    "apiextensions.k8s.io",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    namespaced=False,
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    subresources=("status",),
    definition=(
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition"
    ),
)
BUILTIN = (
    _core("ConfigMap", "configmaps", "cm"),
    _core("Endpoints", "endpoints", "ep"),
    _core("Event", "events", "ev"),
    NAMESPACES,
    NODES,
    PODS,
    _core("Secret", "secrets"),
    _core("ServiceAccount", "serviceaccounts", "sa"),
    SERVICES,
    DEPLOYMENTS,
    REPLICASETS,
    Resource(
        "autoscaling",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        versions=("v2",),
        storage="v2",
        short_names=("hpa",),
        categories=("all",),
        subresources=("status",),
        definition=_io("autoscaling.v2.HorizontalPodAutoscaler"),
    ),
    Resource(
        "batch",
        "Job",
        "jobs",
        categories=("all",),
        subresources=("status",),
        definition=_io("batch.v1.Job"),
    ),
    Resource("coordination.k8s.io", "Lease", "leases", definition=_io("coordination.v1.Lease")),
    Resource(
        "discovery.k8s.io",
        "EndpointSlice",
        "endpointslices",
        definition=_io("discovery.v1.EndpointSlice"),
    ),
    Resource(
        "policy",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        short_names=("pdb",),
        subresources=("status",),
        definition=_io("policy.v1.PodDisruptionBudget"),
    ),
    _rbac("ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    _rbac("ClusterRole", "clusterroles", namespaced=False),
    _rbac("RoleBinding", "rolebindings", namespaced=True),
    _rbac("Role", "roles", namespaced=True),
    Resource(
        "authorization.k8s.io",
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
        namespaced=False,
        verbs=("create",),
        definition=_io("authorization.v1.SelfSubjectAccessReview"),
    ),
    Resource(
        "authentication.k8s.io",
        "SelfSubjectReview",
        "selfsubjectreviews",
        namespaced=False,
        verbs=("create",),
        definition=_io("authentication.v1.SelfSubjectReview"),
    ),
    CRDS,
)


def from_crd(crd: Object) -> Resource:
    """The resource that a valid CustomResourceDefinition defines."""
    spec = crd["spec"]
    names = spec["names"]
    served = [version for version in spec["versions"] if version["served"]]
    storage = next(version["name"] for version in spec["versions"] if version["storage"])
    subresources = {name for version in served for name in version.get("subresources") or {}}
    schemas = {
        version["name"]: Node(version.get("schema", {}).get("openAPIV3Schema", {}))
        for version in spec["versions"]
    }
    return Resource(
        spec["group"],
        names["kind"],
        names["plural"],
        versions=tuple(sorted((version["name"] for version in served), key=version_rank)),
        storage=storage,
        namespaced=spec["scope"] == "Namespaced",
        singular=names.get("singular", names["kind"].lower()),
        short_names=tuple(names.get("shortNames", ())),
        categories=tuple(names.get("categories", ())),
        subresources=tuple(sorted(subresources)),
        custom=True,
        crd=crd,
        schemas=schemas,
    )


def version_rank(version: str) -> tuple[int, int, int, str]:
    """Sort key that puts v1 before v1beta1 before v1alpha1, and newer before older."""
    for stage, word in ((1, "beta"), (2, "alpha")):
        if word in version:
            major, _, minor = version.removeprefix("v").partition(word)
            if major.isdigit() and minor.isdigit():
                return stage, -int(major), -int(minor), version
    number = version.removeprefix("v")
    if version.startswith("v") and number.isdigit():
        return 0, -int(number), 0, version
    return 3, 0, 0, version


class Registry:
    """The resources served now."""

    def __init__(self) -> None:
        self._by_key: dict[Key, Resource] = {resource.key: resource for resource in BUILTIN}
        self.revision = 0

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._by_key.values())

    def add(self, resource: Resource) -> None:
        self._by_key[resource.key] = resource
        self.revision += 1

    def remove(self, key: Key) -> None:
        if self._by_key.pop(key, None):
            self.revision += 1

    def get(self, key: Key) -> Resource | None:
        return self._by_key.get(key)

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource served at /apis/group/version/plural."""
        resource = self._by_key.get((group, plural))
        return resource if resource and version in resource.versions else None

    def groups(self) -> dict[str, list[str]]:
        """Every group (the core group is '') with its served versions, preferred first."""
        found: dict[str, set[str]] = {}
        for resource in self:
            found.setdefault(resource.group, set()).update(resource.versions)
        return {
            group: sorted(versions, key=version_rank) for group, versions in sorted(found.items())
        }
