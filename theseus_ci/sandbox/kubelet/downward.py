"""What a container may learn of its own pod: fieldRef and resourceFieldRef."""

from __future__ import annotations

import math
import os
import re
from typing import Any

from theseus_ci.sandbox.kubelet.config_source import ConfigMissingError

_SUBSCRIPT = re.compile(r"metadata\.(?P<map>labels|annotations)\['(?P<key>[^']+)'\]")
_UNITS = {
    "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip
_QUANTITY = re.compile(r"(?P<number>\d+(\.\d*)?|\.\d+)(?P<unit>m|k|M|G|T|Ki|Mi|Gi|Ti)?")


def field_value(pod: dict[str, Any], path: str) -> str:
    """The value of a fieldPath; the pod must hold its address. Raises ConfigMissingError."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    match = _SUBSCRIPT.fullmatch(path)
    if match is not None:
        return str((metadata.get(match["map"]) or {}).get(match["key"], ""))
    if path in {"metadata.labels", "metadata.annotations"}:
        pairs = metadata.get(path.partition(".")[2]) or {}
        return "\n".join(f'{key}="{value}"' for key, value in sorted(pairs.items()))
    simple = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.hostIP": status.get("hostIP", ""),
        "status.hostIPs": status.get("hostIP", ""),
        "status.podIP": status.get("podIP", ""),
        "status.podIPs": status.get("podIP", ""),
    }
    if path not in simple:
        raise ConfigMissingError(f"unsupported fieldPath: {path}")
    return str(simple[path])


def resource_value(pod: dict[str, Any], own: str, reference: dict[str, Any]) -> str:
    """The value of a resourceFieldRef in the container named `own`. Raises ConfigMissingError.

    A missing limit reads as what the machine has, as on a real node.
    """
    name = reference.get("containerName") or own
    spec = pod["spec"]
    containers = [*spec["containers"], *(spec.get("initContainers") or [])]
    container = next((item for item in containers if item["name"] == name), None)
    if container is None:
        raise ConfigMissingError(f"container {name} not found")
    section, _, resource = str(reference["resource"]).partition(".")
    amounts = (container.get("resources") or {}).get(section) or {}
    whole = parse_quantity(str(amounts[resource])) if resource in amounts else _machine(resource)
    divisor = parse_quantity(str(reference.get("divisor") or "1")) or 1.0
    return str(math.ceil(whole / divisor))


def parse_quantity(text: str) -> float:
    """A resource quantity as a number of its base unit. Raises ConfigMissingError."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ConfigMissingError(f"not a resource quantity: {text!r}")
    return float(match["number"]) * _UNITS[match["unit"] or ""]


def _machine(resource: str) -> float:
    if resource == "cpu":
        return float(os.cpu_count() or 1)
    if resource == "memory":
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return 0.0
