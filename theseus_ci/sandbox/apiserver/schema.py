"""The field structure of a kind, as a tree that is unfolded while somebody walks it.

Patches, server-side apply, strict decoding and the validation of custom resources all walk an
object and its schema together. A `Node` wraps one OpenAPI schema; references are followed when a
child is asked for, so recursive schemas cost nothing.
"""

from __future__ import annotations

from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import msgspec

RawSchema = dict[str, Any]
META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"


@cache
def definitions() -> dict[str, RawSchema]:
    """All builtin definitions by their full name."""
    raw = files("theseus_ci.sandbox.apiserver.schemas").joinpath("builtin.json").read_bytes()
    loaded: dict[str, RawSchema] = msgspec.json.decode(raw)
    loaded[QUANTITY]["format"] = "quantity"
    return loaded


@cache
def istio_crds() -> list[dict[str, Any]]:
    """The CustomResourceDefinitions of the Istio kinds served."""
    raw = files("theseus_ci.sandbox.apiserver.schemas").joinpath("istio_crds.json").read_bytes()
    loaded: list[dict[str, Any]] = msgspec.json.decode(raw)
    return loaded


def _resolved(raw: RawSchema) -> RawSchema:
    reference = raw.get("$ref")
    if not isinstance(reference, str):
        return raw
    target = definitions()[reference.rsplit("/", 1)[-1]]
    extras = {key: value for key, value in raw.items() if key != "$ref"}
    return {**target, **extras} if extras else target


class Node:
    """One schema: what a value at this place may be and how it merges."""

    def __init__(self, raw: RawSchema) -> None:
        self.raw = _resolved(raw)
        self._children: dict[str, Node | None] = {}

    @cached_property
    def type(self) -> str:
        """object, array, string, integer, number, boolean, or '' when anything goes."""
        return str(self.raw.get("type", ""))

    @cached_property
    def format(self) -> str:
        return str(self.raw.get("format", ""))

    @cached_property
    def int_or_string(self) -> bool:
        return bool(
            self.format in ("int-or-string", "quantity")
            or self.raw.get("x-kubernetes-int-or-string")
        )

    @cached_property
    def names(self) -> dict[str, RawSchema]:
        """The declared fields."""
        properties: dict[str, RawSchema] = self.raw.get("properties", {})
        return properties

    @cached_property
    def additional(self) -> Node | None:
        """The schema of a map's values."""
        value = self.raw.get("additionalProperties")
        if isinstance(value, dict):
            return Node(value)
        return ANY if value is True else None

    @cached_property
    def items(self) -> Node:
        return Node(self.raw["items"]) if "items" in self.raw else ANY

    @cached_property
    def free_form(self) -> bool:
        """Whether unknown fields may stand here."""
        if self.raw.get("x-kubernetes-preserve-unknown-fields"):
            return True
        return self.type in ("", "object") and not self.names and self.additional is None

    @cached_property
    def required(self) -> list[str]:
        names: list[str] = self.raw.get("required", [])
        return names

    @cached_property
    def merge_key(self) -> str:
        return str(self.raw.get("x-kubernetes-patch-merge-key", ""))

    @cached_property
    def strategies(self) -> frozenset[str]:
        return frozenset(str(self.raw.get("x-kubernetes-patch-strategy", "")).split(","))

    @cached_property
    def list_keys(self) -> tuple[str, ...]:
        """The keys that identify an item of an associative list; empty for other lists."""
        if self.raw.get("x-kubernetes-list-type") != "map":
            return ()
        return tuple(self.raw.get("x-kubernetes-list-map-keys", ()))

    @cached_property
    def is_set(self) -> bool:
        return self.raw.get("x-kubernetes-list-type") == "set"

    @cached_property
    def atomic_map(self) -> bool:
        return self.raw.get("x-kubernetes-map-type") == "atomic"

    def child(self, name: str) -> Node | None:
        """The schema of field `name`; None when there is no such field."""
        if name not in self._children:
            if name in self.names:
                self._children[name] = Node(self.names[name])
            else:
                self._children[name] = self.additional or (ANY if self.free_form else None)
        return self._children[name]


ANY = Node({"x-kubernetes-preserve-unknown-fields": True})


@cache
def builtin(name: str) -> Node:
    """The schema of a builtin definition, such as io.k8s.api.apps.v1.Deployment."""
    return Node(definitions()[name])
