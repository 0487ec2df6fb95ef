"""Container ports by name, as tcp checks may write them."""

from __future__ import annotations

from collections.abc import Callable

from theseus_ci.model import PodAddress
from theseus_ci.ports import Cluster


def port_names(cluster: Cluster) -> Callable[[str, PodAddress, str], int | None]:
    """Return a function that asks the cluster for the number of a pod's named port."""

    def look_up(namespace: str, pod: PodAddress, name: str) -> int | None:
        found = cluster.get("Pod", namespace, pod.name) or {}
        spec = found.get("spec", {})
        for container in spec.get("containers", []) + spec.get("initContainers", []):
            for port in container.get("ports", []):
                if port.get("name") == name:
                    return int(port["containerPort"])
        return None

    return look_up
