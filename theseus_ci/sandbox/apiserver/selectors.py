"""Label and field selectors, in query strings and in LabelSelector objects."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from theseus_ci.sandbox.apiserver.errors import Object, bad_request

Labels = Mapping[str, str]
SET_BASED = re.compile(r"^\s*([^\s!=,()]+)\s+(in|notin)\s*\(([^()]*)\)\s*$")
EQUALITY = re.compile(r"^\s*([^\s!=,()]+)\s*(==|=|!=)\s*([^\s!=,()]*)\s*$")
EXISTENCE = re.compile(r"^\s*(!?)\s*([^\s!=,()<>]+)\s*$")
COMPARISON = re.compile(r"^\s*([^\s!=,()<>]+)\s*([<>])\s*(-?\d+)\s*$")


@dataclass(frozen=True)
class Requirement:
    """One term: `operator` is in, notin, exists, !exists, < or >."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Labels) -> bool:
        present = self.key in labels
        if self.operator == "in":
            return present and labels[self.key] in self.values
        if self.operator == "notin":
            return not present or labels[self.key] not in self.values
        if self.operator == "exists":
            return present
        if self.operator == "!exists":
            return not present
        return present and self._compares(labels[self.key])

    def _compares(self, label: str) -> bool:
        try:
            number = int(label)
        except ValueError:
            return False
        bound = int(next(iter(self.values)))
        return number < bound if self.operator == "<" else number > bound


@dataclass(frozen=True)
class LabelSelector:
    """All requirements must hold; none at all matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Labels) -> bool:
        return all(requirement.matches(labels) for requirement in self.requirements)

    def __bool__(self) -> bool:
        return bool(self.requirements)


def _split_terms(text: str) -> list[str]:
    """Split at commas outside parentheses."""
    terms, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            terms.append(text[start:position])
            start = position + 1
    return [*terms, text[start:]]


def _parse_term(term: str) -> Requirement | None:
    if match := SET_BASED.match(term):
        values = frozenset(value.strip() for value in match[3].split(","))
        return Requirement(match[1], match[2], values)
    if match := COMPARISON.match(term):
        return Requirement(match[1], match[2], frozenset({match[3]}))
    if match := EQUALITY.match(term):
        return Requirement(match[1], "notin" if match[2] == "!=" else "in", frozenset({match[3]}))
    if match := EXISTENCE.match(term):
        return Requirement(match[2], "!exists" if match[1] else "exists")
    return None


def parse_labels(text: str) -> LabelSelector:
    """Parse a labelSelector query parameter; ApiError 400 when it cannot be parsed."""
    if not text.strip():
        return LabelSelector()
    requirements = []
    for term in _split_terms(text):
        requirement = _parse_term(term)
        if requirement is None:
            raise bad_request(
                f"unable to parse requirement: found '{term.strip()}', expected: a label selector"
            )
        requirements.append(requirement)
    return LabelSelector(tuple(requirements))


OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!exists"}


def from_object(selector: Object | None) -> LabelSelector:
    """The selector of a `metav1.LabelSelector` with valid operators."""
    selector = selector or {}
    requirements = [
        Requirement(key, "in", frozenset({value}))
        for key, value in (selector.get("matchLabels") or {}).items()
    ]
    requirements += [
        Requirement(term["key"], OPERATORS[term["operator"]], frozenset(term.get("values") or ()))
        for term in selector.get("matchExpressions") or []
    ]
    return LabelSelector(tuple(requirements))


def to_text(selector: Object | None) -> str:
    """A `metav1.LabelSelector` as the query string form that Scale objects carry."""
    selector = selector or {}
    terms = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for term in selector.get("matchExpressions") or []:
        if term["operator"] in ("In", "NotIn"):
            values = ",".join(sorted(term.get("values") or ()))
            terms.append(f"{term['key']} {OPERATORS[term['operator']]} ({values})")
        else:
            terms.append(("!" if term["operator"] == "DoesNotExist" else "") + term["key"])
    return ",".join(sorted(terms))


def _path(*names: str) -> Callable[[Object], str]:
    def read(obj: Object) -> str:
        value: Any = obj
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, bool):
            return "true" if value else "false"
        return "" if value is None else str(value)

    return read


def _paths(*dotted: str) -> dict[str, Callable[[Object], str]]:
    return {path: _path(*path.split(".")) for path in dotted}


COMMON_FIELDS = _paths("metadata.name", "metadata.namespace")
FIELDS: dict[tuple[str, str], dict[str, Callable[[Object], str]]] = {
    ("", "pods"): _paths(
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    ("", "events"): {
        **_paths(
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "type",
        ),
        "source": _path("source", "component"),
    },
    ("", "secrets"): _paths("type"),
    ("", "namespaces"): {**_paths("status.phase"), "name": _path("metadata", "name")},
    ("", "nodes"): _paths("spec.unschedulable"),
    ("", "services"): _paths("spec.clusterIP", "spec.type"),
    ("apps", "replicasets"): _paths("status.replicas"),
    ("batch", "jobs"): _paths("status.successful"),
}


@dataclass(frozen=True)
class FieldSelector:
    """Terms of (reader, wanted value, whether equal is wanted)."""

    terms: tuple[tuple[Callable[[Object], str], str, bool], ...] = ()

    def matches(self, obj: Object) -> bool:
        return all((read(obj) == value) is equal for read, value, equal in self.terms)

    def __bool__(self) -> bool:
        return bool(self.terms)


def pinned_name(text: str) -> str:
    """The one name that a fieldSelector leaves, which RBAC judges lists and watches by."""
    for term in text.split(","):
        label, _, value = term.partition("=")
        if label.strip() == "metadata.name" and value:
            return value.lstrip("=").strip()
    return ""


def parse_fields(text: str, key: tuple[str, str], version: str) -> FieldSelector:
    """Parse a fieldSelector for the resource `key`; ApiError 400 for fields it does not have."""
    terms = []
    readers = {**COMMON_FIELDS, **FIELDS.get(key, {})}
    for term in filter(None, (part.strip() for part in text.split(","))):
        match = re.match(r"^([^!=]+)(==|=|!=)(.*)$", term)
        if match is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        label, equal, value = match[1].strip(), match[2] != "!=", match[3].strip()
        if label not in readers:
            group_version = f"{key[0]}/{version}" if key[0] else version
            raise bad_request(
                f'Unable to find "{group_version}, Resource={key[1]}" that match label selector '
                f'"", field selector "{text}": field label not supported: {label}'
            )
        terms.append((readers[label], value, equal))
    return FieldSelector(tuple(terms))
