"""Who controls whom: ownerReferences, adoption of orphans and release of strangers.

An object has at most one controller. Selectors only ever choose among orphans: what belongs to
another controller is left alone, however well its labels match.
"""

from __future__ import annotations

from collections.abc import Iterable

from theseus_ci.sandbox.client import ApiError, Object
from theseus_ci.sandbox.controllers.resource import Resource
from theseus_ci.sandbox.controllers.selectors import selects


def controller_of(obj: Object) -> Object | None:
    """The ownerReference of the object's controller, if it has one."""
    for reference in obj["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            return dict(reference)
    return None


def is_controlled_by(obj: Object, owner: Object) -> bool:
    reference = controller_of(obj)
    return reference is not None and reference["uid"] == owner["metadata"]["uid"]


def controller_reference(owner: Object) -> Object:
    """The ownerReference that makes `owner` the controller."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


async def claim(
    owner: Object, owners: Resource, candidates: Iterable[Object], resource: Resource
) -> list[Object]:
    """Those candidates the owner controls, after adopting orphans that its selector matches.

    `candidates` are objects of `resource` in the owner's namespace. Controlled ones that the
    selector no longer matches are released.
    """
    selector = owner["spec"].get("selector")
    claimed = []
    may_adopt: bool | None = None
    for obj in candidates:
        matches = selects(selector, obj["metadata"].get("labels"))
        if controller_of(obj) is None:
            if not matches or "deletionTimestamp" in obj["metadata"]:
                continue
            if may_adopt is None:
                may_adopt = await _is_alive(owner, owners)
            if may_adopt and await _adopt(owner, obj, resource):
                claimed.append(obj)
        elif is_controlled_by(obj, owner):
            if matches:
                claimed.append(obj)
            elif "deletionTimestamp" not in owner["metadata"]:
                await _release(owner, obj, resource)
    return claimed


async def _is_alive(owner: Object, owners: Resource) -> bool:
    """Asked of the server itself: an owner on its way out must not take in new dependents."""
    if "deletionTimestamp" in owner["metadata"]:
        return False
    meta = owner["metadata"]
    try:
        fresh = await owners.read(meta["namespace"], meta["name"])
    except ApiError as error:
        if error.status == 404:
            return False
        raise
    same = fresh["metadata"]["uid"] == meta["uid"]
    return same and "deletionTimestamp" not in fresh["metadata"]


async def _adopt(owner: Object, obj: Object, resource: Resource) -> bool:
    references = [*(obj["metadata"].get("ownerReferences") or []), controller_reference(owner)]
    return await _set_references(obj, references, resource)


async def _release(owner: Object, obj: Object, resource: Resource) -> None:
    uid = owner["metadata"]["uid"]
    rest = [ref for ref in obj["metadata"]["ownerReferences"] if ref["uid"] != uid]
    await _set_references(obj, rest, resource)


async def _set_references(obj: Object, references: list[Object], resource: Resource) -> bool:
    """Write the list, on the very version it was computed from; False if the object is gone."""
    version = obj["metadata"]["resourceVersion"]
    patch = {"metadata": {"ownerReferences": references or None, "resourceVersion": version}}
    try:
        await resource.patch(obj, patch)
    except ApiError as error:
        if error.status == 404:
            return False
        raise
    return True
