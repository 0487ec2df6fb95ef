"""Volumes as folders of the pod's own directory.

A process has no mounts of its own: it finds a volume by THESEUS_VOLUME_<NAME>, not at its
mountPath.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from theseus_ci.sandbox.kubelet.config_source import ConfigMissingError, ConfigSource
from theseus_ci.sandbox.kubelet.downward import field_value, resource_value

SERVICE_ACCOUNT_VOLUME = "kube-api-access-"
"""Injected by a real API server into every pod; processes use the sandbox's kubeconfig instead."""


async def mount_volumes(
    pod: dict[str, Any], directory: Path, source: ConfigSource
) -> dict[str, Path]:
    """Write every volume below `directory`; returns name to folder. Raises ConfigMissingError."""
    mounted = {}
    for volume in pod["spec"].get("volumes") or []:
        name = str(volume["name"])
        if name.startswith(SERVICE_ACCOUNT_VOLUME):
            continue
        folder = directory / name
        folder.mkdir(parents=True, exist_ok=True)
        if "emptyDir" not in volume:
            _write_files(folder, await _files(pod, volume, source))
        mounted[name] = folder
    return mounted


async def _files(
    pod: dict[str, Any], volume: dict[str, Any], source: ConfigSource
) -> dict[str, bytes]:
    """Relative path to content of a volume that is made of files."""
    if "projected" in volume:
        files: dict[str, bytes] = {}
        for part in volume["projected"].get("sources") or []:
            files.update(await _files(pod, part, source))
        return files
    namespace = pod["metadata"]["namespace"]
    if "downwardAPI" in volume:
        return _downward_files(pod, volume["downwardAPI"])
    for field, kind, key in (
        ("configMap", "configmap", "name"),
        ("secret", "secret", "secretName"),
    ):
        if field in volume:
            reference = volume[field]
            name = reference.get(key) or reference.get("name", "")
            optional = bool(reference.get("optional"))
            data = await source.read(kind, namespace, name, optional=optional)
            return _selected(data, reference.get("items"), kind, name, optional=optional)
    kind = next((key for key in volume if key != "name"), "nothing")
    raise ConfigMissingError(
        f"a volume of type {kind} is not supported in the sandbox"
        " (only emptyDir, configMap, secret, downwardAPI and projected)"
    )


def _selected(
    data: dict[str, bytes], items: Any, kind: str, name: str, *, optional: bool
) -> dict[str, bytes]:
    if not items:
        return data
    files = {}
    for item in items:
        if item["key"] in data:
            files[item["path"]] = data[item["key"]]
        elif not optional:
            raise ConfigMissingError(f'{kind} "{name}" has no key "{item["key"]}"')
    return files


def _downward_files(pod: dict[str, Any], volume: dict[str, Any]) -> dict[str, bytes]:
    files = {}
    for item in volume.get("items") or []:
        if "fieldRef" in item:
            value = field_value(pod, item["fieldRef"]["fieldPath"])
        else:
            value = resource_value(pod, "", item["resourceFieldRef"])
        files[item["path"]] = value.encode()
    return files


def _write_files(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts:
            raise ConfigMissingError(f"a volume's path must stay inside it: {name}")
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        fresh.touch(mode=0o600)
        fresh.write_bytes(content)
        fresh.replace(path)
