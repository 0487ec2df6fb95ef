"""OpenAPI documents: enough for kubectl to validate on the server, to explain, and to apply."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from theseus_ci.sandbox.apiserver.discovery import VERSION
from theseus_ci.sandbox.apiserver.errors import Object
from theseus_ci.sandbox.apiserver.kinds import Registry, Resource
from theseus_ci.sandbox.apiserver.schema import META, definitions
from theseus_ci.sandbox.apiserver.verbs import APPLY, JSON, MERGE, STRATEGIC

PREFIX = "#/components/schemas/"
EITHER = [{"type": "integer"}, {"type": "string"}]
PARAMETERS = ("dryRun", "fieldManager", "fieldValidation", "force")


def _prefix(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _converted(node: Any) -> Any:
    """A Swagger 2 schema as OpenAPI 3."""
    if isinstance(node, list):
        return [_converted(item) for item in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    if isinstance(reference, str):
        target = {"$ref": PREFIX + reference.rsplit("/", 1)[-1]}
        extras = {name: value for name, value in node.items() if name != "$ref"}
        return {"allOf": [target], **extras} if extras else target
    if node.get("format") in ("int-or-string", "quantity"):
        return {"oneOf": EITHER}
    return {name: _converted(value) for name, value in node.items()}


def _referenced(schemas: dict[str, Any], names: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = _converted(schemas[name])
        waiting += _references(found[name])
    return found


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [name for item in node for name in _references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"].removeprefix(PREFIX)] if isinstance(node.get("$ref"), str) else []
    return own + [name for value in node.values() for name in _references(value)]


def _custom_name(resource: Resource, version: str) -> str:
    return ".".join([*reversed(resource.group.split(".")), version, resource.kind])


def _identity(resource: Resource, version: str) -> Object:
    return {"group": resource.group, "version": version, "kind": resource.kind}


def _custom_schema(resource: Resource, version: str) -> Object:
    raw = resource.schema(version).raw
    properties = {
        **raw.get("properties", {}),
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"$ref": PREFIX + META},
    }
    return {
        **raw,
        "properties": properties,
        "x-kubernetes-group-version-kind": [_identity(resource, version)],
    }


def _paths(resource: Resource, version: str, schema: str) -> Object:
    base = f"/{_prefix(resource.group, version)}"
    if resource.namespaced:
        base += "/namespaces/{namespace}"
    base += f"/{resource.plural}"
    identity = _identity(resource, version)
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
        for name in PARAMETERS
    ]
    answer = {"200": {"description": "OK"}}

    def operation(action: str, media: list[str]) -> Object:
        content = {kind: {"schema": {"$ref": PREFIX + schema}} for kind in media}
        return {
            "parameters": parameters,
            "requestBody": {"content": content, "required": True},
            "responses": answer,
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": identity,
        }

    patch_types = [JSON, MERGE, *([] if resource.custom else [STRATEGIC]), APPLY]
    paths = {base: {"post": operation("post", ["*/*"])}}
    if "patch" in resource.verbs:
        paths[f"{base}/{{name}}"] = {
            "put": operation("put", ["*/*"]),
            "patch": operation("patch", patch_types),
        }
    return paths


def document(registry: Registry, group: str, version: str) -> Object | None:
    """The OpenAPI 3 document of one group and version, or None when there is none."""
    served = [r for r in registry if r.group == group and version in r.versions]
    if not served:
        return None
    names, custom, paths = [META], {}, {}
    for resource in served:
        name = resource.definition
        if resource.custom:
            name = _custom_name(resource, version)
            custom[name] = _custom_schema(resource, version)
        else:
            names.append(name)
        paths.update(_paths(resource, version, name))
    if group == "":
        names += ["io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"]
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
        "paths": paths,
        "components": {"schemas": {**_referenced(definitions(), names), **custom}},
    }


def index(registry: Registry) -> Object:
    """The list of documents at /openapi/v3."""
    paths = {}
    for group, versions in registry.groups().items():
        for version in versions:
            path = _prefix(group, version)
            resources = [r for r in registry if r.group == group and version in r.versions]
            state = [
                [r.plural, r.crd.get("metadata", {}).get("resourceVersion")] for r in resources
            ]
            digest = hashlib.sha256(msgspec.json.encode(state)).hexdigest().upper()
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
    return {"paths": paths}


def swagger() -> Object:
    """The OpenAPI 2 document at /openapi/v2: the schemas of the builtin kinds, without paths."""
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
        "paths": {},
        "definitions": definitions(),
    }
