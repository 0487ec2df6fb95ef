"""Which resources the API server has, asked of itself."""

from __future__ import annotations

from dataclasses import dataclass

from theseus_ci.sandbox.client import ApiClient, ApiError, Object

LIFE = frozenset({"list", "watch", "delete"})


@dataclass(frozen=True)
class ResourceType:
    """One resource in one version; `prefix` is "/api/v1" or "/apis/GROUP/VERSION"."""

    prefix: str
    group: str
    plural: str
    kind: str
    namespaced: bool


async def discover(client: ApiClient) -> list[ResourceType]:
    """Every resource whose objects can be listed, watched and deleted, once each.

    A group's preferred version counts; other versions only for what it lacks. Events are left
    out: nothing depends on them, and there are many.
    """
    found: dict[tuple[str, str], ResourceType] = {}
    for group, prefix in await _versions(client):
        try:
            listed = await client.get(prefix)
        except ApiError as error:
            if error.status in (404, 503):  # a group on its way in or out
                continue
            raise
        for entry in listed.get("resources") or []:
            plural = entry["name"]
            if "/" in plural or plural == "events" or not set(entry.get("verbs") or []) >= LIFE:
                continue
            known = ResourceType(prefix, group, plural, entry["kind"], entry["namespaced"])
            found.setdefault((group, plural), known)
    return list(found.values())


async def _versions(client: ApiClient) -> list[tuple[str, str]]:
    """(group, path prefix) of every group and version, preferred ones first within a group."""
    versions = [("", "/api/v1")]
    for group in (await client.get("/apis")).get("groups") or []:
        preferred = (group.get("preferredVersion") or group["versions"][0])["groupVersion"]
        names = [version["groupVersion"] for version in group["versions"]]
        ordered = sorted(names, key=lambda name: name != preferred)
        versions += [(group["name"], f"/apis/{name}") for name in ordered]
    return versions


def group_of(obj: Object) -> str:
    """The API group of an object or an ownerReference."""
    group, slash, _ = str(obj["apiVersion"]).rpartition("/")
    return group if slash else ""
