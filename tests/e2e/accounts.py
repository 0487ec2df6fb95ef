"""Users that may do just what a test says, on either control plane."""

from __future__ import annotations

import csv
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.e2e.api import Object
from tests.e2e.world import World
from theseus_ci.mesh.policy import ROOT_NAMESPACE
from theseus_ci.rights.needed import INIT, MESH_DEFAULTS, RELEASES, ROUTES, Right, Role, rights

RBAC = "rbac.authorization.k8s.io"


class Account(NamedTuple):
    """A user, and the kubeconfig to act as it."""

    name: str
    kubeconfig: Path


def all_rights(
    world: World, roles: tuple[Role, ...] = (RELEASES, MESH_DEFAULTS, ROUTES, INIT)
) -> list[Right]:
    """The rights of these roles; by default, all that no manifest of companions needs."""
    return [one for role in roles for one in rights(role, world.namespace, ROOT_NAMESPACE)]


def account(world: World, allowed: Iterable[Right], base: Path | None = None) -> Account:
    """A new user with these rights; its kubeconfig is `base` (the sandbox's) but for the user."""
    name = f"user-{secrets.token_hex(4)}"
    if (world.sandbox.directory / "etcd").exists():  # a real server reads its token file but once
        token = service_account_token(world, name)
        subject: Object = {"kind": "ServiceAccount", "name": name, "namespace": world.namespace}
        full = f"system:serviceaccount:{world.namespace}:{name}"
    else:
        token, full = secrets.token_urlsafe(16), name
        tokens = world.sandbox.directory / "tokens.csv"
        with tokens.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow([token, name, name, ""])
        subject = {"kind": "User", "apiGroup": RBAC, "name": name}
    _grant(world, name, subject, list(allowed))
    return Account(full, kubeconfig(world, name, token, base))


def kubeconfig(world: World, name: str, token: str, base: Path | None = None) -> Path:
    content: Any = yaml.safe_load((base or world.sandbox.kubeconfig).read_text())
    content["users"][0]["user"] = {"token": token}
    return world.write(f"kubeconfig-{name}", content)


def service_account_token(world: World, name: str) -> str:
    """A token of a ServiceAccount in the world's namespace, made where it is missing."""
    if world.api.get("ServiceAccount", world.namespace, name) is None:
        world.api.create("ServiceAccount", world.namespace, {"metadata": {"name": name}})
    return world.api.token(world.namespace, name)


def _grant(world: World, name: str, subject: Object, allowed: list[Right]) -> None:
    for namespace in dict.fromkeys(right.namespace for right in allowed):
        rules: dict[tuple[str, str], list[str]] = {}
        for right in allowed:
            if right.namespace == namespace:
                rules.setdefault((right.group, right.plural), []).append(right.verb)
        kind = "Role" if namespace else "ClusterRole"
        metadata = {"name": name}
        role = {
            "apiVersion": f"{RBAC}/v1",
            "kind": kind,
            "metadata": metadata,
            "rules": [
                {"apiGroups": [group], "resources": [resource], "verbs": verbs}
                for (group, resource), verbs in rules.items()
            ],
        }
        binding = {
            "apiVersion": f"{RBAC}/v1",
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": name},
            "subjects": [subject],
        }
        for obj in (role, binding):
            world.api.apply(obj, namespace or "")
