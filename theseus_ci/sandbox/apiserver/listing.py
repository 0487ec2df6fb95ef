"""Listing a collection: selection, consistent pages, and lists as of an earlier version."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from theseus_ci.sandbox.apiserver import selectors
from theseus_ci.sandbox.apiserver.errors import (
    Object,
    bad_request,
    expired,
    forbidden_field,
    invalid,
    too_large_version,
)
from theseus_ci.sandbox.apiserver.store import HistoryGoneError, Name, Store, Stored
from theseus_ci.sandbox.apiserver.verbs import Target

Matcher = Callable[[Stored], bool]
NOW = -1
TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start "
    "a new list without the continue parameter, or use the continue token in this response to "
    "retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True)
class Page:
    """Some objects of a list in order, and the list's own metadata."""

    items: list[Stored]
    metadata: Object


def matcher(target: Target, query: Mapping[str, str]) -> Matcher:
    """The selection a list, watch or deletion of a collection makes; ApiError 400."""
    resource = target.resource
    labels = selectors.parse_labels(query.get("labelSelector", ""))
    fields = selectors.parse_fields(query.get("fieldSelector", ""), resource.key, target.version)
    namespace = target.namespace

    def matches(stored: Stored) -> bool:
        metadata = stored.obj["metadata"]
        if namespace and metadata.get("namespace") != namespace:
            return False
        if labels and not labels.matches(metadata.get("labels") or {}):
            return False
        return not fields or fields.matches(stored.obj)

    return matches


def version_number(text: str) -> int | None:
    """A resourceVersion parameter; None when not given. ApiError 400 when it is no version."""
    if not text:
        return None
    if not text.isdigit():
        raise bad_request(f'invalid resource version "{text}": strconv.ParseUint: invalid syntax')
    return int(text)


def _token(version: int, after: Name) -> str:
    content = msgspec.json.encode({"v": "meta.k8s.io/v1", "rv": version, "start": list(after)})
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, Name]:
    try:
        padded = token + "=" * (-len(token) % 4)
        content = msgspec.json.decode(base64.urlsafe_b64decode(padded))
        namespace, name = content["start"]
        return int(content["rv"]), (namespace, name)
    except (binascii.Error, msgspec.DecodeError, KeyError, TypeError, ValueError) as problem:
        raise bad_request(f"continue key is not valid: {problem}") from problem


def _objects(
    store: Store, target: Target, version: int, *, after: Name | None
) -> dict[Name, Stored]:
    if version > store.version:
        raise too_large_version(version, store.version)
    try:
        return store.snapshot(target.resource.key, version)
    except HistoryGoneError:
        if after is not None:
            raise expired(TOO_OLD, continuation=_token(NOW, after)) from None
        oldest = store.collection(target.resource.key).forgotten
        raise expired(f"too old resource version: {version} ({oldest})") from None


def list_page(store: Store, target: Target, query: Mapping[str, str]) -> Page:
    """The page of a list that the query asks for; ApiError 400, 410, 422 or 504."""
    matches = matcher(target, query)
    limit = int(query["limit"]) if query.get("limit", "").isdigit() else 0
    asked, match = (
        version_number(query.get("resourceVersion", "")),
        query.get("resourceVersionMatch"),
    )
    if match and asked is None:
        detail = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        cause = forbidden_field("resourceVersionMatch", detail)
        raise invalid("meta.k8s.io", "ListOptions", "", [cause])
    version, after = store.version, None
    if query.get("continue"):
        given, after = _read_token(query["continue"])
        version = store.version if given == NOW else given
    elif match == "Exact" and asked is not None:
        version = asked
    elif asked is not None and asked > store.version:
        raise too_large_version(asked, store.version)
    objects = _objects(store, target, version, after=after)
    names = sorted(name for name in objects if after is None or name > after)
    chosen = [name for name in names if matches(objects[name])]
    metadata: Object = {"resourceVersion": str(version)}
    if limit and len(chosen) > limit:
        metadata["continue"] = _token(version, chosen[limit - 1])
        if not query.get("labelSelector") and not query.get("fieldSelector"):
            metadata["remainingItemCount"] = len(chosen) - limit
        chosen = chosen[:limit]
    return Page([objects[name] for name in chosen], metadata)
