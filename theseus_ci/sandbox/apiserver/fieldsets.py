"""Sets of field paths, in the notation of `managedFields`.

A path is a tuple of steps: `f:name` for a field, `k:{"name":"app"}` for an item of an associative
list, `v:"x"` for a member of a set. A path in a set means that the thing itself is owned: a leaf,
or the existence of a list item.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from theseus_ci.sandbox.apiserver.errors import Object
from theseus_ci.sandbox.apiserver.schema import ANY, META, Node, builtin

Path = tuple[str, ...]
FieldSet = frozenset[Path]
MISSING = object()
MANAGED: Path = ("f:metadata", "f:managedFields")
KEY_DEFAULTS = {"protocol": "TCP"}
UNOWNED = frozenset(
    {("f:apiVersion",), ("f:kind",)}
    | {
        ("f:metadata", f"f:{name}")
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "generation",
            "managedFields",
            "resourceVersion",
        )
    }
)


def json_text(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def key_step(item: Object, keys: tuple[str, ...]) -> str:
    """The step that leads to `item` in an associative list."""
    identity = {key: item.get(key, KEY_DEFAULTS.get(key)) for key in keys}
    return "k:" + json_text({key: value for key, value in identity.items() if value is not None})


def child_node(node: Node, name: str, *, root: bool = False) -> Node:
    if root and name == "metadata":
        return builtin(META)
    return node.child(name) or ANY


def leaf_values(obj: Object, node: Node) -> dict[Path, Any]:
    """The owned paths of a whole object and what stands there (True for a list item)."""
    found = dict(_walk(obj, node, (), root=True))
    for path in UNOWNED & found.keys():
        del found[path]
    return {path: value for path, value in found.items() if path[:2] != MANAGED}


def leaves(obj: Object, node: Node) -> FieldSet:
    """The paths of a whole object, without what nobody can own."""
    return frozenset(leaf_values(obj, node))


def _walk(value: Any, node: Node, path: Path, *, root: bool = False) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and not node.atomic_map:
        if not value and path:
            yield path, value
        for name, field in value.items():
            yield from _walk(field, child_node(node, name, root=root), (*path, f"f:{name}"))
    elif isinstance(value, list) and node.list_keys:
        for item in value:
            here = (*path, key_step(item, node.list_keys))
            yield here, True
            yield from _walk(item, node.items, here)
    elif isinstance(value, list) and node.is_set:
        yield from (((*path, "v:" + json_text(item)), True) for item in value)
    else:
        yield path, value


def lookup(obj: Any, path: Path) -> Any:
    """The value at `path`, or MISSING."""
    for step in path:
        kind, name = step[0], step[2:]
        if kind == "f":
            obj = obj.get(name, MISSING) if isinstance(obj, dict) else MISSING
        elif isinstance(obj, list):
            obj = next((item for item in obj if item_matches(item, step)), MISSING)
        else:
            return MISSING
    return obj


def item_matches(item: Any, step: str) -> bool:
    wanted = msgspec.json.decode(step[2:])
    if step[0] == "v":
        return bool(item == wanted)
    return isinstance(item, dict) and all(
        item.get(key, KEY_DEFAULTS.get(key)) == value for key, value in wanted.items()
    )


def remove(obj: Any, path: Path) -> Any:
    """`obj` without what stands at `path`; parents that this empties go as well."""
    step, rest = path[0], path[1:]
    if step[0] == "f":
        name = step[2:]
        if not isinstance(obj, dict) or name not in obj:
            return obj
        result = dict(obj)
        if rest:
            result[name] = remove(obj[name], rest)
        if not rest or (result[name] in ({}, []) and obj[name] not in ({}, [])):
            del result[name]
        return result
    if not isinstance(obj, list):
        return obj
    kept = []
    for item in obj:
        if not item_matches(item, step):
            kept.append(item)
        elif rest:
            kept.append(remove(item, rest))
    return kept


def encode(paths: Iterable[Path]) -> Object:
    """A set as the FieldsV1 object of a managedFields entry."""
    tree: Object = {}
    owned = set(paths)
    for path in sorted(owned):
        branch = tree
        for step in path:
            branch = branch.setdefault(step, {})
    for path in owned:
        branch = tree
        for step in path:
            branch = branch[step]
        if branch:
            branch["."] = {}
    return tree


def decode(fields: Object, path: Path = ()) -> Iterator[Path]:
    """The paths in a FieldsV1 object."""
    if not fields and path:
        yield path
    for step, below in fields.items():
        if step == ".":
            yield path
        else:
            yield from decode(below, (*path, step))


def changed(before: Object, after: Object, node: Node) -> tuple[FieldSet, FieldSet]:
    """(paths that `after` adds or sets anew, paths that are gone)."""
    old, new = leaf_values(before, node), leaf_values(after, node)
    touched = {path for path, value in new.items() if old.get(path, MISSING) != value}
    return frozenset(touched), frozenset(old.keys() - new.keys())


def written(path: Path) -> str:
    """A path as conflict messages print it: .spec.containers[name="app"].image"""
    text = ""
    for step in path:
        if step[0] == "f":
            text += f".{step[2:]}"
        elif step[0] == "v":
            text += f"[={step[2:]}]"
        else:
            keys = msgspec.json.decode(step[2:])
            text += "[" + ",".join(f"{key}={json_text(keys[key])}" for key in sorted(keys)) + "]"
    return text
