"""Users that may do less than everything."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path
from typing import Any

import requests
import yaml

from theseus_ci.clock import SystemClock
from theseus_ci.kube.cluster import KubernetesCluster
from theseus_ci.kube.connect import connect
from theseus_ci.sandbox.cluster import Sandbox


class Users:
    """Adds users to a control plane: by its token file, or as service accounts where it reads that
    file but once."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._config: dict[str, Any] = yaml.safe_load(sandbox.kubeconfig.read_text())
        self._real = (sandbox.directory / "etcd").exists()

    def add(self, namespace: str, folder: Path) -> tuple[str, KubernetesCluster]:
        """(name, the Cluster port as that user), with no rights at all."""
        name = f"user-{secrets.token_hex(3)}"
        if self._real:
            token = self._service_account(namespace, name)
            name = f"system:serviceaccount:{namespace}:{name}"
        else:
            token = secrets.token_urlsafe(16)
            with (self._sandbox.directory / "tokens.csv").open("a") as tokens:
                tokens.write(f"{token},{name},{name}\n")
        path = folder / f"{token[:8]}.kubeconfig"
        config = {**self._config, "users": [{**self._config["users"][0], "user": {"token": token}}]}
        path.write_text(yaml.safe_dump(config))
        return name, KubernetesCluster(connect(str(path)), SystemClock(), retry_seconds=5)

    def _service_account(self, namespace: str, name: str) -> str:
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self._post(path, {"metadata": {"name": name}})
        answer = self._post(f"{path}/{name}/token", {"spec": {"expirationSeconds": 3600}})
        return str(answer["status"]["token"])

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        cluster = self._config["clusters"][0]["cluster"]
        authority = self._sandbox.directory / "test-ca.pem"
        authority.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
        answer = requests.post(
            cluster["server"] + path,
            json=body,
            headers={"Authorization": f"Bearer {self._config['users'][0]['user']['token']}"},
            verify=str(authority),
            timeout=30,
        )
        assert answer.ok, answer.text
        return dict(answer.json())
