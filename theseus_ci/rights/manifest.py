"""Roles and their bindings as YAML for `kubectl apply`, and deploy/rbac.yaml among them.

Run as a module from the repository's root, it writes that file anew.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from theseus_ci.kinds import KINDS
from theseus_ci.mesh.policy import ROOT_NAMESPACE
from theseus_ci.rights.needed import ROLES, Right, Role, Scope

API = "rbac.authorization.k8s.io"
EXAMPLE_NAMESPACE = "shop"
ACCOUNT = "theseus-ci"
WIDTH = 99
HEAD = """\
What theseus-ci needs in a cluster for the services of one namespace ({namespace} here): exactly \
what its commands ask for. The same for your own namespace and account:
  theseus-ci doctor --rbac --namespace NAME [--account [NAMESPACE/]NAME]
Whether all of it is granted: theseus-ci doctor"""


class Subject(NamedTuple):
    """Who is granted something: a ServiceAccount, User or Group."""

    kind: str
    name: str
    namespace: str = ""


def whole(namespace: str, account: Subject, *, create: bool = True) -> str:
    """Everything: the ServiceAccount (with `create`), the roles, and their bindings to it."""
    parts = [_comment(HEAD.format(namespace=namespace))]
    if create:
        parts.append(_service_account(account))
    for role in ROLES:
        rules = [(rule.kind, rule.verbs, f"  # {rule.why}") for rule in role.rules]
        note = f"Needed when {role.when}." if role.when else ""
        parts.append(_role(role, namespace, rules, note))
        # in places that several namespaces' accounts share, each is bound beside the others
        suffix = "" if role.scope is Scope.SERVICE else f"-{account.namespace}"
        parts.append(_binding(role, namespace, account, role.name + suffix))
    return "---\n".join(parts)


def missing(rights: Sequence[Right], account: Subject) -> str:
    """What grants these rights to the account, as roles of their own."""
    parts: list[str] = []
    for namespace in dict.fromkeys(right.namespace for right in rights):
        own = [right for right in rights if right.namespace == namespace]
        rules = _by_kind(own)
        mark = hashlib.sha256(repr((account, rules)).encode()).hexdigest()[
            :8
        ]  # beside earlier ones
        scope = Scope.SERVICE if namespace else Scope.CLUSTER
        role = Role(f"{ACCOUNT}-more-{mark}", scope, ())
        parts.append(_role(role, namespace or "", rules, ""))
        parts.append(_binding(role, namespace or "", account, role.name))
    return "---\n".join(parts)


def _by_kind(rights: Iterable[Right]) -> list[tuple[str, tuple[str, ...], str]]:
    kinds: dict[str, list[str]] = {}
    for right in rights:
        kinds.setdefault(right.kind, []).append(right.verb)
    return [(kind, tuple(dict.fromkeys(verbs)), "") for kind, verbs in kinds.items()]


def _service_account(account: Subject) -> str:
    return (
        "apiVersion: v1\nkind: ServiceAccount\n"
        f"metadata: {{name: {account.name}, namespace: {account.namespace}}}\n"
    )


def _role(
    role: Role, namespace: str, rules: Iterable[tuple[str, tuple[str, ...], str]], note: str
) -> str:
    kind, metadata = _kind_and_metadata(role, namespace)
    lines = [f"apiVersion: {API}/v1", f"kind: {kind}", f"metadata: {metadata}", "rules:"]
    for name, verbs, remark in rules:
        lines += _rule(name, verbs, remark)
    return (_comment(note) if note else "") + "\n".join(lines) + "\n"


def _rule(name: str, verbs: Sequence[str], remark: str) -> Iterator[str]:
    kind = KINDS[name]
    yield f"  - apiGroups: [{json.dumps(kind.group) if not kind.group else kind.group}]{remark}"
    yield f"    resources: [{kind.plural}]"
    yield f"    verbs: [{', '.join(verbs)}]"


def _binding(role: Role, namespace: str, account: Subject, name: str) -> str:
    kind, metadata = _kind_and_metadata(role, namespace, name)
    subject = f"kind: {account.kind}, name: {json.dumps(account.name)}"
    if account.kind == "ServiceAccount":
        subject = f"kind: ServiceAccount, name: {account.name}, namespace: {account.namespace}"
    else:
        subject += f", apiGroup: {API}"
    return (
        f"apiVersion: {API}/v1\nkind: {kind}Binding\nmetadata: {metadata}\n"
        f"roleRef: {{apiGroup: {API}, kind: {kind}, name: {role.name}}}\n"
        f"subjects:\n  - {{{subject}}}\n"
    )


def _kind_and_metadata(role: Role, namespace: str, name: str = "") -> tuple[str, str]:
    named = name or role.name
    if role.scope is Scope.CLUSTER:
        return "ClusterRole", f"{{name: {named}}}"
    place = ROOT_NAMESPACE if role.scope is Scope.MESH else namespace
    return "Role", f"{{name: {named}, namespace: {place}}}"


def _comment(text: str) -> str:
    lines = [
        part
        for line in text.splitlines()
        for part in textwrap.wrap(line, WIDTH, initial_indent="# ", subsequent_indent="# ")
    ]
    return "\n".join(lines) + "\n"


def example() -> str:
    """The text of deploy/rbac.yaml."""
    account = Subject("ServiceAccount", ACCOUNT, EXAMPLE_NAMESPACE)
    return whole(EXAMPLE_NAMESPACE, account)


if __name__ == "__main__":
    Path("deploy", "rbac.yaml").write_text(example(), encoding="utf-8")
