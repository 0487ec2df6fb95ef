"""Users that may do less than everything."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import yaml

from tests.contract.given import ControlPlane, kubectl
from theseus_ci.clock import SystemClock
from theseus_ci.kube.cluster import KubernetesCluster
from theseus_ci.kube.connect import connect


class Users:
    """Adds users to a control plane: by its token file, or as service accounts where it has none,
    or reads it but once."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane
        self._config: dict[str, Any] = yaml.safe_load(control_plane.kubeconfig.read_text())

    def add(self, namespace: str, folder: Path) -> tuple[str, KubernetesCluster]:
        """(name, the Cluster port as that user), with no rights at all."""
        name = f"user-{secrets.token_hex(3)}"
        if self._control_plane.tokens is None:
            token = self._service_account(namespace, name)
            name = f"system:serviceaccount:{namespace}:{name}"
        else:
            token = secrets.token_urlsafe(16)
            with self._control_plane.tokens.open("a") as tokens:
                tokens.write(f"{token},{name},{name}\n")
        path = folder / f"{name.rpartition(':')[2]}.kubeconfig"
        config = {**self._config, "users": [{**self._config["users"][0], "user": {"token": token}}]}
        path.write_text(yaml.safe_dump(config))
        return name, KubernetesCluster(connect(str(path)), SystemClock(), retry_seconds=5)

    def _service_account(self, namespace: str, name: str) -> str:
        place = ("--namespace", namespace)
        kubectl(self._control_plane.kubeconfig, "create", "serviceaccount", name, *place)
        return kubectl(self._control_plane.kubeconfig, "create", "token", name, *place).strip()
