"""What a request asks for, read from its method, path, query and Accept header."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from theseus_ci.sandbox.apiserver.discovery import AGGREGATED
from theseus_ci.sandbox.apiserver.errors import not_acceptable

NAMESPACE_SUBRESOURCES = ("status", "finalize")
METHODS = {"POST": "create", "PUT": "update", "PATCH": "patch"}
PLAIN, TABLE, PARTIAL = "", "Table", "PartialObjectMetadata"
PARTIAL_LIST = "PartialObjectMetadataList"
JSON_TYPE, YAML_TYPE = "application/json", "application/yaml"


@dataclass(frozen=True)
class Route:
    """A resource request. `verb` is RBAC's verb for it, '' for a method no resource knows."""

    group: str
    version: str
    plural: str
    namespace: str
    name: str
    subresource: str
    verb: str


def parse_route(method: str, path: str, query: Mapping[str, str]) -> Route | None:
    """The resource request that a path makes; None when it is about something else."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    is_namespace_itself = len(rest) == 3 and rest[2] in NAMESPACE_SUBRESOURCES
    if rest[0] == "namespaces" and len(rest) > 2 and not is_namespace_itself:
        namespace, rest = rest[1], rest[2:]
    if len(rest) > 3:
        return None
    plural, name, subresource = (*rest, "", "")[:3]
    verb = METHODS.get(method, "")
    if method in ("GET", "HEAD"):
        watching = query.get("watch", "") in ("true", "1")
        verb = "get" if name else ("watch" if watching else "list")
    elif method == "DELETE":
        verb = "delete" if name else "deletecollection"
    return Route(group, version, plural, namespace, name, subresource, verb)


@dataclass(frozen=True)
class Format:
    """How the answer shall look: `shape` is PLAIN, TABLE, PARTIAL or PARTIAL_LIST."""

    shape: str = PLAIN
    yaml: bool = False


def negotiate(accept: str) -> Format:
    """The first format in an Accept header that we speak; ApiError 406 when there is none."""
    for offer in (accept or "*/*").split(","):
        kind, *parameters = [part.strip() for part in offer.split(";")]
        values = dict(part.partition("=")[::2] for part in parameters)
        shape = values.get("as", PLAIN)
        if kind in (JSON_TYPE, "application/*", "*/*"):
            if shape == PLAIN:
                return Format()
            if shape in (TABLE, PARTIAL, PARTIAL_LIST) and values.get("v", "v1") == "v1":
                return Format(shape)
        elif kind == YAML_TYPE and shape == PLAIN:
            return Format(yaml=True)
    raise not_acceptable([JSON_TYPE, YAML_TYPE])


def wants_aggregated(accept: str) -> bool:
    """Whether aggregated discovery comes before plain discovery in an Accept header."""
    wanted = dict(part.partition("=")[::2] for part in AGGREGATED.split(";")[1:])
    for offer in accept.split(","):
        kind, *parameters = [part.strip() for part in offer.split(";")]
        values = dict(part.partition("=")[::2] for part in parameters)
        if kind == JSON_TYPE and all(values.get(k) == v for k, v in wanted.items()):
            return True
        if kind in (JSON_TYPE, "*/*") and "as" not in values:
            return False
    return False
