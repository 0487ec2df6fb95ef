"""Choosing the subsets by which the mesh tells the previous version's pods from the candidate's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from theseus_ci.errors import Refused
from theseus_ci.mesh.destination_rule import is_for, owned_names, subsets_of
from theseus_ci.mesh.naming import is_owned_subset, owned_subset
from theseus_ci.mesh.routing import ServiceHost, Side
from theseus_ci.mesh.undo import SECTIONS
from theseus_ci.mesh.virtual_service import namespace_of, original_routes
from theseus_ci.model import Object

Labels = Mapping[str, str]


class Choice(msgspec.Struct, frozen=True):
    """The two sides, and the user's subsets that cannot tell them apart."""

    previous: Side | None
    candidate: Side
    replaces: frozenset[str]


def choose_sides(
    service: ServiceHost,
    virtual_services: Sequence[Object],
    destination_rules: Sequence[Object],
    previous_labels: Labels | None,
    candidate_labels: Labels,
    *,
    others: Sequence[Labels] = (),
) -> Choice:
    """Use the user's subsets where they select one version alone, else subsets of our own.

    Labels are those of the pods: the template's, and `pod-template-hash` where the caller knows
    it. `others` are the labels of further pods of the service, which our subsets must not select.
    `previous_labels=None` is a first release. The same objects and labels give the same choice,
    also when a rollout has edited the objects already.

    Raises Refused when nothing tells the two pod sets apart, or routes name several subsets of
    the previous version.
    """
    known = _Subsets(service, virtual_services, destination_rules)
    if previous_labels is None:
        return _first_release(known, candidate_labels, others)
    replaces = known.selecting(previous_labels, candidate_labels)
    model = next((name for name in replaces if name in known.used), "")
    previous = _previous(known, previous_labels, candidate_labels, others, model)
    candidate = _candidate(known, previous, previous_labels, candidate_labels, others)
    return Choice(previous, candidate, frozenset(replaces))


class _Subsets:
    """The service's subsets as the user wrote them, all names in use, and those routes name."""

    def __init__(
        self,
        service: ServiceHost,
        virtual_services: Sequence[Object],
        destination_rules: Sequence[Object],
    ) -> None:
        self.users: dict[str, dict[str, str]] = {}
        self.taken: dict[str, dict[str, str]] = {}
        for rule in destination_rules:
            if not is_for(rule, service):
                continue
            owned = owned_names(rule, service)
            for subset in subsets_of(rule):
                name, labels = str(subset.get("name", "")), dict(subset.get("labels") or {})
                self.taken.setdefault(name, labels)
                if name not in owned and not is_owned_subset(name):
                    self.users.setdefault(name, labels)
        self.used = frozenset(_named_subsets(service, virtual_services))

    def selecting(self, *pods: Labels, but: Sequence[Labels] = ()) -> list[str]:
        """The user's subsets that select all of `pods` and none of `but`; those in use first."""
        found = [
            name
            for name, labels in self.users.items()
            if all(selects(labels, pod) for pod in pods)
            and not any(selects(labels, pod) for pod in but)
        ]
        return sorted(found, key=lambda name: name not in self.used)


def selects(labels: Labels, pod: Labels) -> bool:
    """Whether a subset with these labels takes the pod in."""
    return all(pod.get(key) == value for key, value in labels.items())


def _named_subsets(service: ServiceHost, virtual_services: Iterable[Object]) -> Iterator[str]:
    for vs in virtual_services:
        original = original_routes(vs)
        for section in SECTIONS:
            for entry in (original.get("spec") or {}).get(section) or []:
                for one in entry.get("route") or []:
                    destination = one.get("destination") or {}
                    mine = service.resolves(str(destination.get("host", "")), namespace_of(vs))
                    if mine and destination.get("subset"):
                        yield str(destination["subset"])


def _first_release(known: _Subsets, candidate: Labels, others: Sequence[Labels]) -> Choice:
    replaces = known.selecting(candidate)
    labels = _telling(candidate, {}, others, "candidate")
    model = next((name for name in replaces if name in known.used), "")
    name = owned_subset(labels, known.taken)
    return Choice(None, Side(name, labels, owned=True, stands_for=model), frozenset(replaces))


def _previous(
    known: _Subsets, previous: Labels, candidate: Labels, others: Sequence[Labels], model: str
) -> Side:
    alone = known.selecting(previous, but=[candidate])
    in_use = [name for name in alone if name in known.used]
    if len(in_use) > 1:
        raise Refused(
            f"routes name {len(in_use)} subsets of the previous version: {', '.join(in_use)}",
            remedy="let the routes name one of them; give the other's policy to it",
        )
    if alone:
        return Side(alone[0], known.users[alone[0]], owned=False)
    labels = _telling(previous, candidate, others, "previous version")
    return Side(owned_subset(labels, known.taken), labels, owned=True, stands_for=model)


def _candidate(
    known: _Subsets, previous: Side, before: Labels, after: Labels, others: Sequence[Labels]
) -> Side:
    alone = known.selecting(after, but=[before, *others])
    if alone:
        return Side(alone[0], known.users[alone[0]], owned=False)
    model = previous.stands_for if previous.owned else previous.subset
    labels = {} if previous.owned else {key: after[key] for key in previous.labels if key in after}
    if not labels or any(selects(labels, pod) for pod in (before, *others)):
        labels = {**labels, **_telling(after, before, others, "candidate")}
    return Side(owned_subset(labels, known.taken), labels, owned=True, stands_for=model)


def _telling(own: Labels, other: Labels, others: Sequence[Labels], who: str) -> dict[str, str]:
    """The labels that only these pods have; all of them when further pods share those."""
    labels = {key: value for key, value in own.items() if other.get(key) != value}
    if labels and any(selects(labels, pod) for pod in others):
        labels = dict(own)
    if not labels or any(selects(labels, pod) for pod in others):
        raise Refused(
            f"no label tells the {who}'s pods from the others': {_written(own)}"
            f" beside {_written(other)}",
            remedy="give the two versions different values of a label such as `version` in their"
            " pod templates, or let them be told apart by pod-template-hash",
        )
    return labels


def _written(labels: Labels) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items())) or "no labels"
