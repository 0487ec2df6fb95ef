"""Blocking requests to the sandbox's API server, and what its objects say to people."""

from __future__ import annotations

import base64
import copy
import json
from pathlib import Path
from typing import Any

import requests
import yaml

from theseus_ci.kinds import KINDS, Kind

Object = dict[str, Any]
DUMPED = (
    "Service",
    "ConfigMap",
    "Secret",
    "Deployment",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "Lease",
    "VirtualService",
    "DestinationRule",
    "Gateway",
)
_SERVERS_OWN = ("resourceVersion", "generation", "managedFields", "uid", "creationTimestamp")
_REVISION = "deployment.kubernetes.io/revision"


class Api:
    """The API server as its administrator sees it."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        content = yaml.safe_load(kubeconfig.read_text())
        cluster = content["clusters"][0]["cluster"]
        authority = folder / "ca.pem"
        authority.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
        self.server = str(cluster["server"])
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = str(authority)
        self._session.headers["Authorization"] = f"Bearer {content['users'][0]['user']['token']}"

    def close(self) -> None:
        self._session.close()

    def apply(self, obj: Object, namespace: str) -> Object:
        """Server-side apply, as a user's tool does it."""
        kind = _kind(obj)
        path = kind.path(namespace, obj["metadata"]["name"])
        query = "?fieldManager=somebody&force=true"
        return self._ask("PATCH", path + query, obj, "application/apply-patch+yaml")

    def create(self, kind: str, namespace: str, obj: Object) -> Object:
        made = {"apiVersion": KINDS[kind].api_version, "kind": kind, **obj}
        return self._ask("POST", KINDS[kind].path(namespace), made, "application/json")

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        answer = self._session.get(self.server + KINDS[kind].path(namespace, name), timeout=30)
        return None if answer.status_code == 404 else dict(_checked(answer))

    def list(self, kind: str, namespace: str) -> list[Object]:
        answer = self._session.get(self.server + KINDS[kind].path(namespace), timeout=30)
        return list(_checked(answer)["items"])

    def merge(self, kind: str, namespace: str, name: str, patch: Object) -> Object:
        path = KINDS[kind].path(namespace, name)
        return self._ask("PATCH", path, patch, "application/merge-patch+json")

    def dry_run(self, kind: str, namespace: str, obj: Object) -> requests.Response:
        """What the server says of a creation that it does not carry out."""
        url = self.server + KINDS[kind].path(namespace) + "?dryRun=All"
        return self._session.post(url, json=obj, timeout=30)

    def token(self, namespace: str, account: str) -> str:
        """A token of a ServiceAccount."""
        path = KINDS["ServiceAccount"].path(namespace, account)
        body = {"spec": {"expirationSeconds": 3600}}
        return str(self._ask("POST", f"{path}/token", body, "application/json")["status"]["token"])

    def delete(self, kind: str, namespace: str, name: str) -> None:
        path = KINDS[kind].path(namespace, name)
        answer = self._session.delete(self.server + path, timeout=30)
        if answer.status_code != 404:
            _checked(answer)

    def evict(self, namespace: str, pod: str) -> None:
        """As a drain of its node does. Fails where a disruption budget forbids it."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        path = KINDS["Pod"].path(namespace, pod)
        self._ask("POST", f"{path}/eviction", body, "application/json")

    def dump(self, namespace: str) -> dict[str, Object]:
        """Every object of the namespace, without what the server alone decides."""
        return {
            f"{kind} {obj['metadata']['name']}": content(obj)
            for kind in DUMPED
            for obj in self.list(kind, namespace)
        }

    def versions(self, namespace: str) -> dict[str, str]:
        """The resourceVersion of every object that only people and releases write."""
        return {
            f"{kind} {obj['metadata']['name']}": obj["metadata"]["resourceVersion"]
            for kind in DUMPED
            if kind not in ("Deployment", "HorizontalPodAutoscaler", "Lease", "ConfigMap")
            for obj in self.list(kind, namespace)
        } | {
            f"{kind} {obj['metadata']['name']}": str(obj["metadata"].get("generation", 0))
            for kind in ("Deployment", "HorizontalPodAutoscaler")
            for obj in self.list(kind, namespace)
        }

    def _ask(self, method: str, path: str, body: Object, content_type: str) -> Object:
        answer = self._session.request(
            method,
            self.server + path,
            data=json.dumps(body),
            headers={"Content-Type": content_type},
            timeout=30,
        )
        return _checked(answer)


def content(obj: Object) -> Object:
    """The part of an object that people write: no status, nothing of the server's."""
    shown = copy.deepcopy(obj)
    shown.pop("status", None)
    for key in _SERVERS_OWN:
        shown["metadata"].pop(key, None)
    annotations = shown["metadata"].get("annotations") or {}
    annotations.pop(_REVISION, None)  # the controller's count of templates
    if not annotations:
        shown["metadata"].pop("annotations", None)
    return shown


def _kind(obj: Object) -> Kind:
    """Also of kinds that no release has to do with."""
    name = str(obj["kind"])
    if name in KINDS:
        return KINDS[name]
    group, _, version = obj["apiVersion"].rpartition("/")
    return Kind(group, version, f"{name.lower()}s", namespaced=False)


def _checked(answer: requests.Response) -> Object:
    assert answer.status_code < 300, f"{answer.request.method} {answer.url}: {answer.text}"
    return dict(answer.json())
