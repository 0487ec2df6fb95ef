"""The three patch types that need no ownership: JSON merge, JSON and strategic merge patch.

All are pure: the target is not changed, though the result may share parts with it.
"""

from __future__ import annotations

from typing import Any

import jsonpatch
import jsonpointer

from theseus_ci.sandbox.apiserver.errors import ApiError, Object, bad_request
from theseus_ci.sandbox.apiserver.schema import ANY, Node

PATCH_DIRECTIVE = "$patch"
RETAIN = "$retainKeys"
ORDER = "$setElementOrder/"
DELETE_FROM = "$deleteFromPrimitiveList/"


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def json_patch(target: Object, operations: Any) -> Object:
    """RFC 6902; ApiError 422 when an operation cannot be carried out, 400 when it is malformed."""
    if not isinstance(operations, list):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of "
            "type jsonpatch.Patch"
        )
    try:
        result: Object = jsonpatch.JsonPatch(operations).apply(target)
    except jsonpatch.JsonPatchTestFailed as problem:
        raise _unprocessable(f"testing path failed: {problem}") from problem
    except (jsonpatch.JsonPatchConflict, jsonpointer.JsonPointerException) as problem:
        raise _unprocessable(str(problem)) from problem
    except (jsonpatch.InvalidJsonPatch, TypeError, KeyError) as problem:
        raise bad_request(f"error decoding patch: {problem}") from problem
    return result


def _unprocessable(text: str) -> ApiError:
    message = f"the server rejected our request due to an error in our request: {text}"
    return ApiError(422, "Invalid", message, details={})


def strategic_patch(target: Any, patch: Any, node: Node) -> Any:
    """Kubernetes' own merge: lists of objects merge by the key that the schema names."""
    if not isinstance(patch, dict):
        return patch
    directive = patch.get(PATCH_DIRECTIVE)
    if directive == "delete":
        return {}
    if directive == "replace":
        return without_directives(patch)
    if directive not in (None, "merge"):
        raise bad_request(f"Unknown patch type found: {directive} in patch")
    result = dict(target) if isinstance(target, dict) else {}
    if RETAIN in patch:
        result = {name: value for name, value in result.items() if name in patch[RETAIN]}
    for name, value in patch.items():
        if name.startswith(DELETE_FROM):
            field = name.removeprefix(DELETE_FROM)
            if field in result:
                result[field] = [item for item in result[field] if item not in value]
        elif name in (PATCH_DIRECTIVE, RETAIN) or name.startswith(ORDER):
            continue
        elif value is None:
            result.pop(name, None)
        else:
            result[name] = _field(result.get(name), value, node.child(name) or ANY)
    return _reordered(result, target, patch, node)


def _reordered(result: Object, target: Any, patch: Object, node: Node) -> Object:
    for directive, order in patch.items():
        name = directive.removeprefix(ORDER)
        if directive.startswith(ORDER) and isinstance(result.get(name), list):
            child = node.child(name) or ANY
            result[name] = _ordered(result[name], target, name, order, child)
    return result


def _field(current: Any, value: Any, node: Node) -> Any:
    if isinstance(value, dict):
        return strategic_patch(current, value, node)
    if not isinstance(value, list):
        return value
    if "merge" not in node.strategies:
        return [without_directives(item) for item in value]
    existing = current if isinstance(current, list) else []
    if node.merge_key:
        return _merge_list(existing, value, node)
    return [*existing, *(item for item in value if item not in existing)]


def _merge_list(current: list[Any], patch: list[Any], node: Node) -> list[Any]:
    key = node.merge_key
    replacing = any(item.get(PATCH_DIRECTIVE) == "replace" and len(item) == 1 for item in patch)
    result = [] if replacing else list(current)
    for item in patch:
        if item == {PATCH_DIRECTIVE: "replace"}:
            continue
        if key not in item:
            raise bad_request(f"map: map[] does not contain declared merge key: {key}")
        place = next((i for i, old in enumerate(result) if old.get(key) == item[key]), None)
        directive = item.get(PATCH_DIRECTIVE)
        if directive == "delete":
            result = [old for old in result if old.get(key) != item[key]]
        elif place is None:
            result.append(without_directives(item))
        else:
            result[place] = strategic_patch(result[place], item, node.items)
    return result


def _ordered(merged: list[Any], target: Any, name: str, order: list[Any], node: Node) -> list[Any]:
    """Items named by `order` in that order; the others keep their place behind a neighbour."""
    key = node.merge_key

    def identity(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    wanted = [identity(item) for item in order]
    ranked = sorted(
        (item for item in merged if identity(item) in wanted),
        key=lambda item: wanted.index(identity(item)),
    )
    original = target.get(name) if isinstance(target, dict) else None
    before = [identity(item) for item in original or []]
    for item in merged:
        own = identity(item)
        if own in wanted:
            continue
        preceding = before[: before.index(own)] if own in before else before
        places = [i for i, other in enumerate(ranked) if identity(other) in preceding]
        ranked.insert(places[-1] + 1 if places else 0, item)
    return ranked


def without_directives(value: Any) -> Any:
    """A value from a strategic patch, fit to be stored where nothing was before."""
    if isinstance(value, list):
        return [
            without_directives(item)
            for item in value
            if not (isinstance(item, dict) and item.get(PATCH_DIRECTIVE) == "delete")
        ]
    if isinstance(value, dict):
        return {
            name: without_directives(field)
            for name, field in value.items()
            if field is not None and not name.startswith("$")
        }
    return value
