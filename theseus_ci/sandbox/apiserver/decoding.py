"""From the bytes of a request to an object that has only fields its kind knows.

Builtin kinds are read as the real server's typed decoder does: a value of the wrong type is a 400,
null and empty optional collections vanish, unknown fields are collected. Custom resources keep
what their schema leaves open; their types are judged later, by `structural`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import yaml

from theseus_ci.sandbox.apiserver import quantities
from theseus_ci.sandbox.apiserver.errors import Object, bad_request
from theseus_ci.sandbox.apiserver.kinds import Resource
from theseus_ci.sandbox.apiserver.schema import ANY, META, Node, builtin

# Go fields without a pointer: their zero value is not written out.
OMITTED_WHEN_FALSE = frozenset(
    {"hostIPC", "hostNetwork", "hostPID", "paused", "publishNotReadyAddresses", "readOnly"}
    | {"stdin", "stdinOnce", "tty", "unschedulable"}
)
OMITTED_WHEN_ZERO = frozenset(
    {"availableReplicas", "fullyLabeledReplicas", "observedGeneration", "readyReplicas"}
    | {
        "currentReplicas",
        "unavailableReplicas",
        "updatedReplicas",
        "minReadySeconds",
        "initialDelaySeconds",
    }
    | {"nodePort", "hostPort", "timeoutSeconds", "periodSeconds"}
    | {"successThreshold", "failureThreshold", "generation"}
)
OMITTED_WHEN_ZERO_IN = {"Deployment": frozenset({"replicas"})}


class _YamlLoader(yaml.CSafeLoader):
    """Plain JSON types only: a date stays the string it was."""


_YamlLoader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def parse(body: bytes, *, as_yaml: bool = False) -> Any:
    """Parse a body; ApiError 400 when it is neither JSON nor (if allowed) YAML."""
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as problem:
        if not as_yaml:
            raise bad_request(
                f"couldn't get version/kind; json parse error: {problem}"
            ) from problem
    try:
        return yaml.load(body, Loader=_YamlLoader)  # noqa: S506 - a subclass of the safe loader
    except yaml.YAMLError as problem:
        raise bad_request(f"error decoding YAML: {problem}") from problem


class Cleaner:
    """Walks one object along its schema; `unknown` collects the paths of unknown fields."""

    def __init__(self, kind: str, version: str) -> None:
        self._kind = kind
        self._prefix = f'{kind} in version "{version}" cannot be handled as a {kind}: '
        self.unknown: list[str] = []

    def refuse(self, text: str) -> Exception:
        return bad_request(self._prefix + text)

    def clean(self, value: Any, node: Node, path: str) -> Any:
        """`value` as the typed decoder would have it; ApiError 400 on a wrong type."""
        if node.type == "object" or (not node.type and isinstance(value, dict)):
            return self._object(value, node, path)
        if node.type == "array":
            if not isinstance(value, list):
                raise self._mismatch(value, "array", path)
            return [
                self.clean(item, node.items, f"{path}[{index}]")
                for index, item in enumerate(value)
                if item is not None
            ]
        return self._scalar(value, node, path)

    def _object(self, value: Any, node: Node, path: str) -> Any:
        if not isinstance(value, dict):
            raise self._mismatch(value, "object", path)
        if node.free_form:
            return value
        cleaned: Object = {}
        for name, field in value.items():
            child = node.child(name)
            here = f"{path}.{name}" if path else name
            if child is None:
                self.unknown.append(here)
            elif field is not None:
                kept = self.clean(field, child, here)
                if not self._omitted(name, kept, child, node, path):
                    cleaned[name] = kept
        return cleaned

    def _omitted(self, name: str, value: Any, child: Node, parent: Node, path: str) -> bool:
        if name in parent.required or name not in parent.names:
            return False
        if value == [] or (value == {} and child.additional is not None):
            return True
        if value == "" and name == "value":
            return True
        if value is False:
            return name in OMITTED_WHEN_FALSE
        if value == 0 and isinstance(value, int):
            in_status = path == "status" and name in OMITTED_WHEN_ZERO_IN.get(self._kind, ())
            return name in OMITTED_WHEN_ZERO or in_status
        return False

    def _scalar(self, value: Any, node: Node, path: str) -> Any:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if isinstance(value, float) and node.type == "integer" and value.is_integer():
            return int(value)
        if node.format == "quantity" and (whole or isinstance(value, (float, str))):
            return self._quantity(str(value))
        fits = {
            "": True,
            "string": isinstance(value, str) or (whole and node.int_or_string),
            "integer": whole,
            "number": whole or isinstance(value, float),
            "boolean": isinstance(value, bool),
        }
        if fits.get(node.type, False):
            return value
        raise self._mismatch(value, node.format or node.type, path)

    def _quantity(self, text: str) -> str:
        try:
            return quantities.canonical(text)
        except ValueError:
            raise self.refuse(
                "quantities must match the regular expression "
                "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            ) from None

    def _mismatch(self, value: Any, wanted: str, path: str) -> Exception:
        names = {str: "string", bool: "bool", list: "array", dict: "object", type(None): "null"}
        given = names.get(type(value), "number")
        go_names = {"integer": "int", "boolean": "bool", "byte": "[]uint8", "object": "map"}
        target = go_names.get(wanted, wanted)
        return self.refuse(
            f"json: cannot unmarshal {given} into Go struct field {self._kind}.{path} "
            f"of type {target}"
        )


def clean_object(obj: Any, resource: Resource, version: str) -> tuple[Object, list[str]]:
    """Return (object with known fields only, paths of the unknown ones); ApiError 400."""
    cleaner = Cleaner(resource.kind, version)
    if not isinstance(obj, dict):
        raise bad_request("couldn't get version/kind; json parse error: body is not an object")
    if not resource.custom:
        cleaned = cleaner.clean(obj, resource.schema(version), "")
        return cleaned, cleaner.unknown
    metadata = obj.get("metadata") or {}
    pruned = prune(obj, resource.schema(version), "", cleaner.unknown, root=True)
    pruned["metadata"] = cleaner.clean(metadata, builtin(META), "metadata")
    return pruned, cleaner.unknown


def prune(value: Any, node: Node, path: str, unknown: list[str], *, root: bool = False) -> Any:
    """`value` without the fields that a custom resource's schema does not know, and without nulls
    where it allows none: those mean that the field is not given."""
    if isinstance(value, list):
        return [
            prune(item, node.items, f"{path}[{index}]", unknown) for index, item in enumerate(value)
        ]
    if not isinstance(value, dict):
        return value
    kept = {}
    implicit = ("apiVersion", "kind", "metadata") if root else ()
    for name, field in value.items():
        here = f"{path}.{name}" if path else name
        child = node.child(name)
        if name in implicit:
            kept[name] = field
        elif child is None:
            unknown.append(here)
        elif field is not None or child is ANY or child.raw.get("nullable"):
            kept[name] = prune(field, child, here, unknown)
    return kept


def strictness_problem(resource: Resource, version: str, unknown: Iterable[str]) -> Exception:
    """The 400 that fieldValidation=Strict answers unknown fields with."""
    listed = ", ".join(f'unknown field "{path}"' for path in unknown)
    return Cleaner(resource.kind, version).refuse(f"strict decoding error: {listed}")
