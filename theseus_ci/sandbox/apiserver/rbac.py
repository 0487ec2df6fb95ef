"""Role-based access control, decided from the stored roles and bindings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from theseus_ci.sandbox.apiserver.errors import ApiError, Object, forbidden
from theseus_ci.sandbox.apiserver.identity import AUTHENTICATED, MASTERS, User
from theseus_ci.sandbox.apiserver.store import Store

GROUP = "rbac.authorization.k8s.io"
READ = ["get", "list", "watch"]
WRITE = ["create", "delete", "deletecollection", "patch", "update"]


@dataclass(frozen=True)
class Attributes:
    """What somebody wants to do. `path` is set for requests that are not about resources."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def _subject_is(subject: Object, user: User, namespace: str) -> bool:
    kind, name = subject.get("kind"), subject.get("name")
    if kind == "User":
        return bool(name == user.name)
    if kind == "Group":
        return name in user.groups
    space = subject.get("namespace") or namespace
    return user.name == f"system:serviceaccount:{space}:{name}"


def _rules(store: Store, user: User, namespace: str) -> Iterator[Object]:
    for stored in store.collection((GROUP, "clusterrolebindings")).objects.values():
        yield from _bound(store, stored.obj, user, "")
    if namespace:
        for (space, _), stored in store.collection((GROUP, "rolebindings")).objects.items():
            if space == namespace:
                yield from _bound(store, stored.obj, user, namespace)


def _bound(store: Store, binding: Object, user: User, namespace: str) -> Iterator[Object]:
    subjects = binding.get("subjects") or []
    if not any(_subject_is(subject, user, namespace) for subject in subjects):
        return
    role = binding["roleRef"]
    plural, space = ("clusterroles", "") if role["kind"] == "ClusterRole" else ("roles", namespace)
    stored = store.get((GROUP, plural), (space, role["name"]))
    if stored is not None:
        yield from stored.obj.get("rules") or []


def _has(values: list[str] | None, wanted: str) -> bool:
    return values is not None and (wanted in values or "*" in values)


def _resource_matches(rule: Object, wanted: Attributes) -> bool:
    resources = rule.get("resources") or []
    if "*" in resources or wanted.full_resource in resources:
        return True
    return bool(wanted.subresource) and f"*/{wanted.subresource}" in resources


def _allows(rule: Object, wanted: Attributes) -> bool:
    if not _has(rule.get("verbs"), wanted.verb):
        return False
    if wanted.path:
        return any(
            pattern in (wanted.path, "*")
            or (pattern.endswith("*") and wanted.path.startswith(pattern[:-1]))
            for pattern in rule.get("nonResourceURLs") or []
        )
    names = rule.get("resourceNames")
    return (
        _has(rule.get("apiGroups"), wanted.group)
        and _resource_matches(rule, wanted)
        and (not names or wanted.name in names)
    )


def allowed(store: Store, user: User, wanted: Attributes) -> bool:
    """Whether `user` may do that."""
    if user.master:
        return True
    return any(_allows(rule, wanted) for rule in _rules(store, user, wanted.namespace))


def check(store: Store, user: User, wanted: Attributes) -> None:
    """ApiError 403, in the real server's words, unless `user` may do that."""
    if not allowed(store, user, wanted):
        raise refusal(user, wanted)


def refusal(user: User, wanted: Attributes) -> ApiError:
    if wanted.path:
        why = f'User "{user.name}" cannot {wanted.verb} path "{wanted.path}"'
        return forbidden("", "", "", why)
    where = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    why = (
        f'User "{user.name}" cannot {wanted.verb} resource "{wanted.full_resource}" in API group '
        f'"{wanted.group}" {where}'
    )
    return forbidden(wanted.group, wanted.resource, wanted.name, why)


def _role(name: str, rules: list[Object]) -> Object:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRole",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        },
        "rules": rules,
    }


def _binding(name: str, role: str, group: str) -> Object:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": group}],
    }


def _rule(groups: list[str], resources: list[str], verbs: list[str]) -> Object:
    return {"apiGroups": groups, "resources": resources, "verbs": verbs}


def bootstrap_objects() -> list[Object]:
    """The roles and bindings that a cluster starts with, as far as the served kinds need them."""
    core = [
        "configmaps",
        "endpoints",
        "events",
        "pods",
        "pods/log",
        "pods/status",
        "services",
        "services/status",
    ]
    workloads = [
        "deployments",
        "deployments/scale",
        "deployments/status",
        "replicasets",
        "replicasets/scale",
        "replicasets/status",
    ]
    readable = [
        _rule([""], [*core, "serviceaccounts", "namespaces"], READ),
        _rule(["apps"], workloads, READ),
        _rule(["autoscaling"], ["horizontalpodautoscalers"], READ),
        _rule(["batch"], ["jobs"], READ),
        _rule(["discovery.k8s.io"], ["endpointslices"], READ),
        _rule(["policy"], ["poddisruptionbudgets"], READ),
    ]
    writable = [
        _rule([""], ["configmaps", "pods", "pods/eviction", "secrets", "services"], WRITE),
        _rule([""], ["secrets"], READ),
        _rule(["apps"], ["deployments", "deployments/scale", "replicasets"], WRITE),
        _rule(["autoscaling"], ["horizontalpodautoscalers"], WRITE),
        _rule(["batch"], ["jobs"], WRITE),
        _rule(["coordination.k8s.io"], ["leases"], [*READ, *WRITE]),
        _rule(["policy"], ["poddisruptionbudgets"], WRITE),
    ]
    roles = _rule([GROUP], ["roles", "rolebindings"], [*READ, *WRITE])
    everything = [
        _rule(["*"], ["*"], ["*"]),
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ]
    paths = ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*"]
    discovery = [
        {"nonResourceURLs": [*paths, "/readyz", "/version", "/version/"], "verbs": ["get"]}
    ]
    reviews = [
        _rule(["authorization.k8s.io"], ["selfsubjectaccessreviews"], ["create"]),
        _rule(["authentication.k8s.io"], ["selfsubjectreviews"], ["create"]),
    ]
    return [
        _role("cluster-admin", everything),
        _role("view", readable),
        _role("edit", [*readable, *writable]),
        _role("admin", [*readable, *writable, roles]),
        _role("system:discovery", discovery),
        _role("system:basic-user", reviews),
        _binding("cluster-admin", "cluster-admin", MASTERS),
        _binding("system:discovery", "system:discovery", AUTHENTICATED),
        _binding("system:basic-user", "system:basic-user", AUTHENTICATED),
    ]
