"""What the server tells clients about the resources it serves."""

from __future__ import annotations

from theseus_ci.sandbox.apiserver.errors import Object
from theseus_ci.sandbox.apiserver.kinds import (
    SUBRESOURCE_KINDS,
    SUBRESOURCE_VERBS,
    Registry,
    Resource,
)

VERSION = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.3+theseus",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "linux/amd64",
}
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def api_versions() -> Object:
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [],
    }


def _group(name: str, versions: list[str]) -> Object:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def group_list(registry: Registry) -> Object:
    groups = [_group(name, versions) for name, versions in registry.groups().items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(registry: Registry, name: str) -> Object | None:
    """The APIGroup `name`, or None when there is none."""
    versions = registry.groups().get(name)
    if not name or not versions:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def _singular(resource: Resource) -> str:
    return resource.singular or resource.kind.lower()


def resource_list(registry: Registry, group: str, version: str) -> Object | None:
    """The APIResourceList of one group and version, or None when there is none."""
    if version not in registry.groups().get(group, []):
        return None
    listed: list[Object] = []
    for resource in sorted(registry, key=lambda item: item.plural):
        if resource.group != group or version not in resource.versions:
            continue
        entry: Object = {
            "name": resource.plural,
            "singularName": _singular(resource),
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": list(resource.verbs),
        }
        if resource.short_names:
            entry["shortNames"] = list(resource.short_names)
        if resource.categories:
            entry["categories"] = list(resource.categories)
        listed.append(entry)
        for name in resource.subresources:
            listed.append(_subresource(resource, name))
    group_version = f"{group}/{version}" if group else version
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": listed,
    }


def _subresource(resource: Resource, name: str) -> Object:
    entry: Object = {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(SUBRESOURCE_VERBS[name]),
    }
    if name in SUBRESOURCE_KINDS:
        entry["group"], entry["version"], entry["kind"] = SUBRESOURCE_KINDS[name]
        if not entry["group"]:
            del entry["group"], entry["version"]
    return entry


def aggregated(registry: Registry, *, core: bool) -> Object:
    """The APIGroupDiscoveryList of /api (the core group) or /apis (all others)."""
    items = [
        _discovery(registry, name, versions)
        for name, versions in registry.groups().items()
        if (not name) == core
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _discovery(registry: Registry, group: str, versions: list[str]) -> Object:
    listed = [
        {
            "version": version,
            "freshness": "Current",
            "resources": [
                _discovered(resource, version)
                for resource in sorted(registry, key=lambda item: item.plural)
                if resource.group == group and version in resource.versions
            ],
        }
        for version in versions
    ]
    return {"metadata": {"name": group} if group else {}, "versions": listed}


def _discovered(resource: Resource, version: str) -> Object:
    own = {"group": resource.group, "version": version, "kind": resource.kind}
    entry: Object = {
        "resource": resource.plural,
        "responseKind": own,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": _singular(resource),
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = []
    for name in resource.subresources:
        group, number, kind = SUBRESOURCE_KINDS.get(name, (own["group"], version, own["kind"]))
        entry["subresources"].append(
            {
                "subresource": name,
                "responseKind": {"group": group, "version": number, "kind": kind},
                "verbs": list(SUBRESOURCE_VERBS[name]),
            }
        )
    return entry
