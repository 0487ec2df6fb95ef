"""Names by which a rollout recognises what it put into the user's objects."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from theseus_ci.mesh.routing import ServiceHost

ANNOTATION_DOMAIN = "theseus-ci.io/"
EMPTY_LABELS = {"theseus-ci.io/none": "true"}
"""Labels no pod has: the subset that stands in while no version may get traffic."""

_NAME_PART_MAX = 63
_LABEL_MAX = 63
_OWNED_SUBSET = "theseus-"
_ROUTE = "theseus."
_ROUTE_NAME = re.compile(
    r"theseus\.[a-z0-9-]+\.[a-z0-9-]+\.(marker|(previous|production|candidate|people)\.\d+)"
)
_TELLING_KEYS = ("version", "app.kubernetes.io/version", "track", "pod-template-hash")


def digest(value: object, length: int = 8) -> str:
    """A short hash of any JSON value, the same for every order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def annotation_name(kind: str, service: ServiceHost) -> str:
    """The annotation that holds `kind` of information about one service's rollout.

    Annotation names end after 63 characters; longer ones keep their beginning and get a hash.
    """
    name = f"{kind}.{service.key}"
    if len(name) > _NAME_PART_MAX:
        name = f"{name[: _NAME_PART_MAX - 13]}-{digest(name, 12)}"
    return ANNOTATION_DOMAIN + name


def route_name(service: ServiceHost, kind: str, number: int | None = None) -> str:
    """The name of a route that the rollout adds: `theseus.reviews.shop.candidate.1`."""
    return f"{_ROUTE}{service.key}.{kind}" + ("" if number is None else f".{number}")


def is_own_route(entry: Mapping[str, object], service: ServiceHost) -> bool:
    """Whether the rollout of this very service added the route."""
    prefix = f"{_ROUTE}{service.key}."
    return is_rollout_route(entry) and str(entry["name"]).startswith(prefix)


def is_rollout_route(entry: Mapping[str, object]) -> bool:
    """Whether the rollout of any service added the route."""
    return _ROUTE_NAME.fullmatch(str(entry.get("name", ""))) is not None


def is_owned_subset(name: str | None) -> bool:
    """Whether the name is one that only subsets of a rollout under way have."""
    return bool(name) and str(name).startswith(_OWNED_SUBSET)


def empty_subset(service_key: str) -> str:
    """The subset that selects nothing: production's destination while nothing runs yet."""
    return f"{_OWNED_SUBSET}none-{digest(service_key)}"


def owned_subset(labels: Mapping[str, str], taken: Mapping[str, Mapping[str, str]]) -> str:
    """A name for a subset of ours, derived from its labels: the same at every try.

    `taken` maps the subset names in use to their labels.
    """
    hint = slug(labels[telling_key(labels)])[: _LABEL_MAX - len(_OWNED_SUBSET) - 12].strip("-")
    for attempt in range(len(taken) + 1):
        suffix = digest([dict(labels), attempt] if attempt else dict(labels))
        name = "-".join(part for part in (_OWNED_SUBSET.rstrip("-"), hint, suffix) if part)
        if name not in taken or dict(taken[name]) == dict(labels):
            return name
    raise AssertionError("more names than subsets were tried")


def telling_key(labels: Mapping[str, str]) -> str:
    """The label whose value says most about the version."""
    return next((key for key in _TELLING_KEYS if key in labels), min(labels))


def slug(value: str) -> str:
    """A label's value as it can appear in a subset's name."""
    return re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")


def succeed(name: str, previous: Mapping[str, str], candidate: Mapping[str, str]) -> str:
    """The user's subset name for the next version: `reviews-v1` becomes `reviews-v2`.

    A name that does not contain the previous version's value (`stable`) is kept.
    """
    for key in sorted(previous, key=lambda key: (-len(previous[key]), key)):
        old, new = slug(previous[key]), slug(candidate.get(key, ""))
        word = re.compile(rf"(?<![a-z0-9]){re.escape(old)}(?![a-z0-9])")
        if old and new and old != new and word.search(name):
            return word.sub(new, name)[:_LABEL_MAX].strip("-")
    return name
