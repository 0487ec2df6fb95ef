"""deploy/rbac.yaml and the list of rights are one."""

from __future__ import annotations

from pathlib import Path

import yaml

from theseus_ci.mesh.policy import ROOT_NAMESPACE
from theseus_ci.rights.manifest import EXAMPLE_NAMESPACE, Subject, example, missing
from theseus_ci.rights.needed import ROLES, Right, rights

FILE = Path(__file__).parents[2] / "deploy" / "rbac.yaml"
USER = Subject("User", "jane")


def granted(documents: list[dict[str, object]]) -> set[tuple[str, str, str, str | None]]:
    """(group, resource, verb, namespace) of each right in roles; the namespace None is all."""
    found: set[tuple[str, str, str, str | None]] = set()
    for one in documents:
        if one["kind"] not in ("Role", "ClusterRole"):
            continue
        metadata, rules = one["metadata"], one["rules"]
        assert isinstance(metadata, dict)
        assert isinstance(rules, list)
        for rule in rules:
            found |= {
                (group, resource, verb, metadata.get("namespace"))
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
            }
    return found


def test_the_file_is_up_to_date() -> None:
    assert FILE.read_text(encoding="utf-8") == example(), (
        "run: python -m theseus_ci.rights.manifest"
    )


def test_the_file_grants_the_list_and_nothing_else() -> None:
    documents = list(yaml.safe_load_all(FILE.read_text(encoding="utf-8")))
    listed = [right for role in ROLES for right in rights(role, EXAMPLE_NAMESPACE, ROOT_NAMESPACE)]
    wanted = {(one.group, one.plural, one.verb, one.namespace) for one in listed}
    assert granted(documents) == wanted
    for role in ROLES:
        own = list(rights(role, EXAMPLE_NAMESPACE, ROOT_NAMESPACE))
        assert len(own) == len({(one.kind, one.verb) for one in own}), "listed twice"
    everywhere = [one for one in listed if one.namespace is None]
    assert [(one.verb, one.plural) for one in everywhere] == [
        ("list", "virtualservices"),
        ("list", "destinationrules"),
    ]


def test_what_is_missing_is_granted_beside_what_was_granted_before() -> None:
    first = list(yaml.safe_load_all(missing([Right("Lease", "get", "shop")], USER)))
    second = list(yaml.safe_load_all(missing([Right("Lease", "create", "shop")], USER)))
    assert granted(first) == {("coordination.k8s.io", "leases", "get", "shop")}
    names = {one["metadata"]["name"] for one in [*first, *second]}
    assert len(names) == 2, "the second role must not replace the first"
    binding = next(one for one in first if one["kind"] == "RoleBinding")
    assert binding["roleRef"]["name"] == first[0]["metadata"]["name"]
    assert binding["subjects"] == [
        {"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}
    ]
