"""The environment of a container's process.

Beside what Kubernetes defines (env, envFrom, fieldRef, $(VAR) …), a process that has no network
or mount namespace of its own is told:

| variable | value |
|---|---|
| THESEUS_IMAGE | the image's name |
| THESEUS_POD_IP | the pod's address as in its status |
| THESEUS_BIND_ADDRESS | where it must listen instead, on loopback |
| THESEUS_PORT_<NAME>, THESEUS_PORT_<NUMBER> | the port to listen on for that containerPort |
| THESEUS_VOLUME_<NAME> | the folder of that volume |
| DEMO_ADDRESS, DEMO_PORT | as THESEUS_BIND_ADDRESS, and the port of the first containerPort |

Names are in upper case with `_` for `-`. The container's own env overrides each of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from theseus_ci.sandbox import network
from theseus_ci.sandbox.kubelet.config_source import ConfigMissingError, ConfigSource
from theseus_ci.sandbox.kubelet.downward import field_value, resource_value
from theseus_ci.sandbox.kubelet.images import LocalImage

_REFERENCE = re.compile(r"\$\$|\$\((?P<name>[^()$]+)\)")
_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


@dataclass(frozen=True)
class Surroundings:
    """What all containers of a pod share. `base`: variables of the sandbox and its API server."""

    base: Mapping[str, str]
    address: str
    volumes: Mapping[str, Path]


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace $(NAME) where NAME is known; $$ stands for one $."""

    def replacement(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None:
            return "$"
        return variables.get(name, match[0])

    return _REFERENCE.sub(replacement, text)


def variable_name(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def own_variables(
    pod: dict[str, Any], container: dict[str, Any], surroundings: Surroundings
) -> dict[str, str]:
    """What the sandbox adds."""
    address, _ = network.fold(surroundings.address, 0)
    variables = {
        **surroundings.base,
        "HOSTNAME": pod["metadata"]["name"],
        "THESEUS_IMAGE": container["image"],
        "THESEUS_POD_IP": surroundings.address,
        "THESEUS_BIND_ADDRESS": address,
        "DEMO_ADDRESS": address,
    }
    for position, port in enumerate(container.get("ports") or []):
        number = int(port["containerPort"])
        folded = str(network.fold(surroundings.address, number)[1])
        variables[f"THESEUS_PORT_{number}"] = folded
        if port.get("name"):
            variables[f"THESEUS_PORT_{variable_name(port['name'])}"] = folded
        if position == 0:
            variables["DEMO_PORT"] = folded
    for name, path in surroundings.volumes.items():
        variables[f"THESEUS_VOLUME_{variable_name(name)}"] = str(path)
    return variables


async def container_environment(
    pod: dict[str, Any],
    container: dict[str, Any],
    image: LocalImage,
    surroundings: Surroundings,
    source: ConfigSource,
) -> dict[str, str]:
    """The whole environment. Raises ConfigMissingError when something it refers to is not there."""
    variables = own_variables(pod, container, surroundings)
    for name, value in image.env.items():
        variables[name] = expand(value, variables)
    namespace = pod["metadata"]["namespace"]
    for entry in container.get("envFrom") or []:
        variables.update(await _env_from(entry, namespace, source))
    for entry in container.get("env") or []:
        value_from = entry.get("valueFrom")
        if value_from:
            found = await _value_from(value_from, pod, container, source)
            if found is not None:
                variables[entry["name"]] = found
        else:
            variables[entry["name"]] = expand(entry.get("value") or "", variables)
    return variables


async def _env_from(entry: dict[str, Any], namespace: str, source: ConfigSource) -> dict[str, str]:
    kind, reference = (
        ("configmap", entry["configMapRef"])
        if entry.get("configMapRef")
        else ("secret", entry.get("secretRef") or {})
    )
    optional = bool(reference.get("optional"))
    data = await source.read(kind, namespace, reference.get("name", ""), optional=optional)
    prefix = entry.get("prefix", "")
    return {
        prefix + key: value.decode("utf-8", "surrogateescape")
        for key, value in data.items()
        if _NAME.fullmatch(prefix + key)
    }


async def _value_from(
    value_from: dict[str, Any],
    pod: dict[str, Any],
    container: dict[str, Any],
    source: ConfigSource,
) -> str | None:
    """The value, or None for an optional one that is absent."""
    if "fieldRef" in value_from:
        return field_value(pod, value_from["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in value_from:
        return resource_value(pod, container["name"], value_from["resourceFieldRef"])
    for field, kind in (("configMapKeyRef", "configmap"), ("secretKeyRef", "secret")):
        if field in value_from:
            reference = value_from[field]
            optional = bool(reference.get("optional"))
            namespace = pod["metadata"]["namespace"]
            data = await source.read(kind, namespace, reference["name"], optional=optional)
            if reference["key"] in data:
                return data[reference["key"]].decode("utf-8", "surrogateescape")
            if optional:
                return None
            raise ConfigMissingError(
                f"couldn't find key {reference['key']} in {kind} {namespace}/{reference['name']}"
            )
    raise ConfigMissingError(f"unsupported valueFrom: {', '.join(value_from)}")
