"""Dividing the service's share within one route's destinations, and joining it again.

A route here is the list under an entry's `route`: `{destination, weight, headers}` each. Weights
follow Istio: a sole destination gets everything whatever its weight, else an absent one is 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from theseus_ci.errors import Refused
from theseus_ci.mesh.naming import digest
from theseus_ci.mesh.routing import Split
from theseus_ci.model import Object, clone

Route = list[Object]

# What became of one destination of the original route, a letter each; kept in the undo record.
KEPT = "."  # not the previous version: only its weight may be scaled
PREVIOUS = "p"  # sends to the previous version
PAIR = "b"  # became two destinations, the previous version's and the candidate's
CANDIDATE = "c"  # sends to the candidate

_WEIGHT_MAX = 2**31 - 1


class RouteRecord(msgspec.Struct, frozen=True):
    """What one route was before we divided a share in it, and what we wrote."""

    kinds: str  # one letter for each original destination
    subsets: tuple[str | None, ...]  # original subset of each that is not KEPT
    was: tuple[int | None, ...]  # original weights
    wrote: tuple[int | None, ...]  # weights written, one for each destination as it is now
    shape: str  # digest of hosts, ports and subsets as they are now


def share(route: Sequence[Object], index: int) -> int:
    """The destination's weight within its route: what it counts, not what is written."""
    return 1 if len(route) == 1 else int(route[index].get("weight") or 0)


def shape(route: Sequence[Object]) -> str:
    """A digest of where the route sends to, weights and headers left aside."""
    return digest([one.get("destination") for one in route])


def as_written(route: Sequence[Object], record: RouteRecord) -> bool:
    """Whether targets and weights are those we wrote."""
    weights = tuple(one.get("weight") for one in route)
    return shape(route) == record.shape and weights == record.wrote


def divide(
    route: Sequence[Object], split: Split, written_in: str
) -> tuple[Route, RouteRecord] | None:
    """The route with the previous version's share divided; None when it has no such destination.

    With weight 0 and 100 the share has one destination and every weight stays as it is.
    """
    edited = [
        index
        for index, one in enumerate(route)
        if split.is_previous(one.get("destination") or {}, written_in)
    ]
    if not edited:
        return None
    pairs = 0 < split.weight < 100 and any(share(route, index) for index in edited)
    divided: Route = []
    kinds = ""
    for index, one in enumerate(route):
        kind = _kind(index in edited, share(route, index), split, pairs=pairs)
        divided += _divided(one, kind, split)
        kinds += kind
    if pairs:
        _set_weights(divided, _scaled(route, kinds, split.weight))
    record = RouteRecord(
        kinds=kinds,
        subsets=tuple(route[index]["destination"].get("subset") for index in edited),
        was=tuple(one.get("weight") for one in route),
        wrote=tuple(one.get("weight") for one in divided),
        shape=shape(divided),
    )
    return divided, record


def _kind(edited: bool, weight: int, split: Split, *, pairs: bool) -> str:
    if not edited:
        return KEPT
    if pairs and weight:
        return PAIR
    return CANDIDATE if split.weight == 100 else PREVIOUS


def _divided(one: Object, kind: str, split: Split) -> Route:
    if kind == KEPT:
        return [clone(one)]
    previous, candidate = with_subset(one, split.previous), with_subset(one, split.candidate)
    return {PREVIOUS: [previous], CANDIDATE: [candidate], PAIR: [previous, candidate]}[kind]


def with_subset(one: Object, subset: str | None) -> Object:
    """A copy of a route's destination that names the subset, or none."""
    copied = clone(one)
    if subset is None:
        copied["destination"].pop("subset", None)
    else:
        copied["destination"]["subset"] = subset
    return copied


def _scaled(route: Sequence[Object], kinds: str, weight: int) -> list[int | None]:
    """Weights in which every proportion is exact; absent ones stay absent."""
    if len(route) == 1:
        return [100 - weight, weight]
    scaled: list[int | None] = []
    for one, kind in zip(route, kinds, strict=True):
        own = int(one.get("weight") or 0)
        if kind == PAIR:
            scaled += [own * (100 - weight), own * weight]
        else:
            scaled.append(None if one.get("weight") is None else own * 100)
    factor = math.gcd(*(value for value in scaled if value))
    reduced = [None if value is None else value // factor for value in scaled]
    if sum(value or 0 for value in reduced) > _WEIGHT_MAX:
        raise Refused(
            f"weights {[one.get('weight') for one in route]} are too large to be divided exactly",
            remedy="write the route's weights as smaller numbers of the same proportion",
        )
    return reduced


def _set_weights(route: Route, weights: Sequence[int | None]) -> None:
    for one, weight in zip(route, weights, strict=True):
        if weight is None:
            one.pop("weight", None)
        else:
            one["weight"] = weight


class _Group(msgspec.Struct, frozen=True):
    """Destinations of the present route that were one originally."""

    members: list[Object]
    ours: bool
    subset: str | None = None  # the original's, when ours


def rejoin(
    route: Sequence[Object],
    record: RouteRecord | None,
    split: Split,
    written_in: str,
    *,
    trace_lost: bool = False,
) -> Route:
    """The route as it would be without our division, with whatever the user changed since.

    Without a record (an entry that the user added or copied) only what must be ours is joined:
    owned subsets, and with `trace_lost` (our notes were removed) pairs of the user's subsets too.
    """
    exact = record is not None and shape(route) == record.shape
    if record is not None and not exact and _is_original(route, record):
        return clone(list(route))
    if record is not None and exact:
        groups = _recorded_groups(route, record)
    else:
        groups = _found_groups(route, record, split, written_in, pairs=trace_lost)
    if not any(group.ours for group in groups):
        return clone(list(route))
    joined = [
        with_subset(group.members[0], group.subset) if group.ours else clone(group.members[0])
        for group in groups
    ]
    _set_weights(joined, _joined_weights(route, groups, record, exact=exact))
    return joined


def _is_original(route: Sequence[Object], record: RouteRecord) -> bool:
    """Whether somebody has put the user's route back, as an applied file does."""
    if tuple(one.get("weight") for one in route) != record.was:
        return False
    subsets = [
        (one.get("destination") or {}).get("subset")
        for one, kind in zip(route, record.kinds, strict=True)
        if kind != KEPT
    ]
    return subsets == list(record.subsets)


def _recorded_groups(route: Sequence[Object], record: RouteRecord) -> list[_Group]:
    groups, position, subsets = [], 0, iter(record.subsets)
    for kind in record.kinds:
        length = 2 if kind == PAIR else 1
        members = list(route[position : position + length])
        ours = kind != KEPT
        groups.append(_Group(members, ours, next(subsets) if ours else None))
        position += length
    return groups


def _found_groups(
    route: Sequence[Object],
    record: RouteRecord | None,
    split: Split,
    written_in: str,
    *,
    pairs: bool,
) -> list[_Group]:
    """Groups by subset names, for a route that is not as we wrote it."""
    originals = list(record.subsets) if record else []
    groups: list[_Group] = []
    position = 0
    while position < len(route):
        one = route[position]
        subset = _own_subset(one, split, written_in)
        pair = subset == split.previous and _is_pair(route, position, split)
        owned = (subset == split.previous and split.previous_owned) or (
            (pair or subset == split.candidate) and split.candidate_owned
        )
        recorded = subset == split.previous or (
            record is not None and subset is not None and CANDIDATE in record.kinds
        )
        ours = subset is not None and (owned or (bool(originals) and recorded) or (pair and pairs))
        members = list(route[position : position + 2]) if ours and pair else [one]
        groups.append(_Group(members, ours, _original(originals, split) if ours else None))
        position += len(members)
    return groups


def _original(originals: list[str | None], split: Split) -> str | None:
    """The subset to go back to: as recorded, in order; else the user's own, else none."""
    if originals:
        return originals.pop(0) if len(originals) > 1 else originals[0]
    return None if split.previous_owned else split.previous


def _own_subset(one: Object, split: Split, written_in: str) -> str | None:
    destination = one.get("destination") or {}
    subset = destination.get("subset")
    if subset is None or subset not in (split.previous, split.candidate):
        return None
    return str(subset) if split.mine(destination, written_in) else None


def _is_pair(route: Sequence[Object], position: int, split: Split) -> bool:
    if position + 1 >= len(route) or split.candidate is None:
        return False
    first, second = route[position]["destination"], route[position + 1].get("destination") or {}
    return bool({**first, "subset": split.candidate} == second)


def _joined_weights(
    route: Sequence[Object], groups: list[_Group], record: RouteRecord | None, *, exact: bool
) -> list[int | None]:
    now = [sum(int(one.get("weight") or 0) for one in group.members) for group in groups]
    present: list[int | None] = [
        group.members[0].get("weight") if len(group.members) == 1 else total
        for group, total in zip(groups, now, strict=True)
    ]
    if record is None:
        sole = len(groups) == 1 and len(groups[0].members) > 1
        return [None] if sole else present
    if len(groups) == 1 and len(record.was) == 1:
        return list(record.was)
    if exact and _proportional(now, _written_totals(record)):
        return list(record.was)
    return present


def _written_totals(record: RouteRecord) -> list[int]:
    totals, wrote = [], iter(record.wrote)
    for kind in record.kinds:
        totals.append(sum(int(next(wrote) or 0) for _ in range(2 if kind == PAIR else 1)))
    return totals


def _proportional(now: Sequence[int], wrote: Sequence[int]) -> bool:
    return all(a * sum(wrote) == b * sum(now) for a, b in zip(now, wrote, strict=True))
