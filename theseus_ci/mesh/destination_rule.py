"""Editing a DestinationRule for a rollout: its own subsets in, and out again.

A route may name a subset only while the mesh knows it: add the subset, see it, then the route;
take the route away, see it gone everywhere, then the subset.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from theseus_ci.errors import StateError, WorldChanged
from theseus_ci.mesh.created import API_VERSION, as_created, mark_created, unmark_created
from theseus_ci.mesh.naming import EMPTY_LABELS, annotation_name, empty_subset
from theseus_ci.mesh.routing import Routing, ServiceHost, Side
from theseus_ci.mesh.undo import describe
from theseus_ci.mesh.virtual_service import namespace_of
from theseus_ci.model import Object, clone

Carries = Literal["previous", "candidate"]


class Replaced(msgspec.Struct, frozen=True):
    """A subset of the user whose place the candidate's took, to be put back by a rollback."""

    name: str  # what now stands in its place
    was: Object
    beside: bool  # the user's stayed where it was, since other routes name it


class Note(msgspec.Struct):
    """The undo record on a DestinationRule."""

    rollout: str
    owned: tuple[str, ...]
    no_subsets: bool  # the rule had no list of subsets before
    no_annotations: bool
    replaced: Replaced | None = None


def edit_destination_rule(dr: Object, routing: Routing) -> Object:
    """The rule with the subsets that the routing owns, behind the user's; idempotent."""
    draft, note = _stripped(dr, routing.service)
    wanted = _owned_subsets(draft, routing)
    if not wanted and note is None:
        return draft
    _subsets(draft, create=True).extend(wanted)
    names = tuple(str(subset["name"]) for subset in wanted)
    _write(draft, routing.service, _noted(dr, note, routing.rollout, names))
    return draft


def restore_destination_rule(dr: Object, service: ServiceHost, carries: Carries) -> Object | None:
    """The rule without anything of the rollout; None when it was made for it.

    A user's subset whose place the candidate's took comes back with `carries="previous"`.
    """
    draft, note = _stripped(dr, service)
    if note is not None and note.replaced is not None and carries == "previous":
        _put_back(draft, note.replaced)
    if note is not None and note.no_subsets and not subsets_of(draft):
        (draft.get("spec") or {}).pop("subsets", None)
    spec = draft.get("spec") or {}
    if not spec.get("subsets") and as_created(draft, service, _without_subsets(spec)):
        return None
    unmark_created(draft, service)
    return draft


def adopt_candidate(dr: Object, routing: Routing, final: Side, *, keep_previous: bool) -> Object:
    """The rule with the candidate's lasting subset in the place of the previous version's.

    Position and traffic policy of the user's subset stay. With `keep_previous` (other routes name
    the user's subset) the new one comes right behind it. The rollout's own subsets stay until the
    routes have left them. Idempotent. Raises WorldChanged when the user's subset is gone.
    """
    previous = routing.previous
    if previous is None or previous.owned:
        raise ValueError("only a subset of the user can be succeeded")
    draft = clone(dr)
    subsets = _subsets(draft, create=True)
    note = _read(draft, routing.service)
    if note is not None and note.replaced is not None:
        return draft
    at = next((i for i, one in enumerate(subsets) if one.get("name") == previous.subset), None)
    if at is None:
        raise WorldChanged(
            f"{describe(dr)} has no subset {previous.subset} any more",
            remedy="add the subset again as the backup has it, then repeat the step",
        )
    was = subsets[at]
    made = {**clone(was), "name": final.subset, "labels": dict(final.labels)}
    if keep_previous:
        subsets.insert(at + 1, made)
    else:
        subsets[at] = made
    noted = note or _noted(dr, None, routing.rollout, ())
    noted.replaced = Replaced(final.subset, clone(was), keep_previous)
    _drop(draft, routing.service)
    _write(draft, routing.service, noted)
    return draft


def new_destination_rule(
    service: ServiceHost, routing: Routing, traffic_policy: Object | None, *, name: str = ""
) -> Object:
    """A rule for the service with the routing's own subsets, to be deleted when it is restored.

    It hides any wildcard rule for the service, so it takes the policy that was in effect: see
    `policy.effective_traffic_policy`.
    """
    spec: Object = {"host": service.fqdn}
    if traffic_policy is not None:
        spec["trafficPolicy"] = clone(traffic_policy)
    made: Object = {
        "apiVersion": API_VERSION,
        "kind": "DestinationRule",
        "metadata": {"name": name or f"{service.name}-theseus", "namespace": service.namespace},
        "spec": spec,
    }
    return edit_destination_rule(mark_created(made, service, _without_subsets(spec)), routing)


def subsets_of(dr: Object) -> list[Object]:
    """The rule's subsets; an empty list when it has none."""
    found = (dr.get("spec") or {}).get("subsets")
    return found if isinstance(found, list) else []


def is_for(dr: Object, service: ServiceHost) -> bool:
    """Whether the rule is the service's own, not a wildcard's."""
    return service.resolves(str((dr.get("spec") or {}).get("host", "")), namespace_of(dr))


def owned_names(dr: Object, service: ServiceHost) -> frozenset[str]:
    """The subsets that a rollout of the service has put into the rule."""
    note = _read(dr, service)
    return frozenset(note.owned) if note else frozenset()


def succeeded(dr: Object, service: ServiceHost) -> Replaced | None:
    """The user's subset whose place the candidate's has already taken, if so."""
    note = _read(dr, service)
    return note.replaced if note else None


def _owned_subsets(dr: Object, routing: Routing) -> list[Object]:
    made = [
        _subset(dr, side.subset, side.labels, side.stands_for)
        for side in (routing.previous, routing.candidate)
        if side is not None and side.owned
    ]
    if routing.previous is None:
        made.insert(0, _subset(dr, empty_subset(routing.service.key), EMPTY_LABELS, ""))
    return made


def _subset(dr: Object, name: str, labels: Mapping[str, str], stands_for: str) -> Object:
    made: Object = {"name": name, "labels": dict(labels)}
    model = next((one for one in subsets_of(dr) if stands_for and one["name"] == stands_for), {})
    if "trafficPolicy" in model:
        made["trafficPolicy"] = clone(model["trafficPolicy"])
    return made


def _stripped(dr: Object, service: ServiceHost) -> tuple[Object, Note | None]:
    """A copy without the rollout's subsets and record, and the record."""
    draft = clone(dr)
    note = _read(draft, service)
    if note is not None:
        _drop(draft, service)
        kept = [one for one in subsets_of(draft) if one.get("name") not in note.owned]
        if note.owned:
            draft["spec"]["subsets"] = kept
    return draft, note


def _put_back(draft: Object, replaced: Replaced) -> None:
    subsets = _subsets(draft, create=True)
    at = next((i for i, one in enumerate(subsets) if one.get("name") == replaced.name), None)
    if replaced.beside:
        if at is not None:
            del subsets[at]
    elif at is None:
        subsets.append(clone(replaced.was))
    else:
        subsets[at] = clone(replaced.was)


def _noted(dr: Object, note: Note | None, rollout: str, owned: Sequence[str]) -> Note:
    if note is not None:
        return Note(rollout, tuple(owned), note.no_subsets, note.no_annotations, note.replaced)
    return Note(
        rollout=rollout,
        owned=tuple(owned),
        no_subsets="subsets" not in (dr.get("spec") or {}),
        no_annotations="annotations" not in (dr.get("metadata") or {}),
    )


def _subsets(draft: Object, *, create: bool) -> list[Object]:
    spec = draft.setdefault("spec", {})
    if create and not isinstance(spec.get("subsets"), list):
        spec["subsets"] = []
    found: list[Object] = spec["subsets"]
    return found


def _without_subsets(spec: Object) -> Object:
    return {key: value for key, value in spec.items() if key != "subsets"}


def _read(dr: Object, service: ServiceHost) -> Note | None:
    annotations = (dr.get("metadata") or {}).get("annotations") or {}
    text = annotations.get(annotation_name("undo", service))
    if text is None:
        return None
    try:
        found: dict[str, Any] = json.loads(text)
        replaced = Replaced(**found["replaced"]) if found["replaced"] else None
        return Note(**{**found, "owned": tuple(found["owned"]), "replaced": replaced})
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(
            f"the rollout's record on {describe(dr)} cannot be read: {error!r}",
            remedy="restore the object from the backup that begin recorded",
        ) from error


def _write(draft: Object, service: ServiceHost, note: Note) -> None:
    metadata = draft.setdefault("metadata", {})
    text = json.dumps(msgspec.to_builtins(note), separators=(",", ":"), ensure_ascii=False)
    metadata.setdefault("annotations", {})[annotation_name("undo", service)] = text


def _drop(draft: Object, service: ServiceHost) -> None:
    note = _read(draft, service)
    metadata = draft["metadata"]
    del metadata["annotations"][annotation_name("undo", service)]
    if note is not None and note.no_annotations and not metadata["annotations"]:
        del metadata["annotations"]
