"""A cluster of one node to test the kubelet in: API server and kubelet, no controllers.

Set THESEUS_TEST_KUBECONFIG to run the same tests on another API server that has neither scheduler
nor kubelet.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import requests
import yaml

from theseus_ci.sandbox.kubelet.context import KUBELET_MARKER
from theseus_ci.sandbox.network import fold
from theseus_ci.sandbox.processes import find_marked, python_command, spawn

T = TypeVar("T")
Object = dict[str, Any]
DEADLINE_SECONDS = 30.0
OTHER_SERVER = os.environ.get("THESEUS_TEST_KUBECONFIG")
SHELL_IMAGE = "test/shell:1"
IMAGES: list[Object] = [
    {"image": "test/shell:*", "command": ["/bin/sh", "-c"], "useContainerCommand": True},
    {
        "image": "test/environment",
        "command": [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"],
        "env": {"FROM_IMAGE": "port $(THESEUS_PORT_HTTP)", "OVERRIDDEN": "by image"},
    },
    {"image": "test/missing", "command": ["/nowhere/to/be/found"]},
]


def until(attempt: Callable[[], T], what: str = "") -> T:
    """Repeat until the result is truthy."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (result := attempt()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.03)
    return result


class Api:
    """Blocking requests to an API server, as its administrator."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server = str(cluster["server"])
        self._session = requests.Session()
        self._session.trust_env = False

        def file(name: str, entry: Object, key: str) -> str:
            if entry.get(key):
                return str(kubeconfig.parent / entry[key])
            path = folder / name
            path.write_bytes(base64.b64decode(entry[f"{key}-data"]))
            return str(path)

        if self.server.startswith("https"):
            self._session.verify = file("ca.pem", cluster, "certificate-authority")
        if "token" in user:
            self._session.headers["Authorization"] = f"Bearer {user['token']}"
        else:
            self._session.cert = (
                file("client.pem", user, "client-certificate"),
                file("client.key", user, "client-key"),
            )

    def request(
        self, method: str, path: str, body: object = None, **query: str
    ) -> requests.Response:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        return self._session.request(
            method,
            self.server + path,
            params=query,
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": kind},
            timeout=DEADLINE_SECONDS,
        )

    def apply(self, method: str, path: str, body: object = None) -> Object:
        answer = self.request(method, path, body)
        assert answer.ok, answer.text
        return dict(answer.json())


@dataclass
class Node:
    """A running kubelet, and one namespace to put pods into."""

    api: Api
    kubeconfig: Path
    directory: Path
    namespace: str
    name: str
    options: tuple[str, ...]
    kubelet: subprocess.Popen[bytes] | None = None

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}"

    @property
    def log(self) -> Path:
        return self.directory.parent / f"{self.name}.log"

    def start(self) -> None:
        before = self.log.read_text().count("is ready") if self.log.exists() else 0
        with self.log.open("ab") as output:
            self.kubelet = spawn(
                python_command(
                    "theseus_ci.sandbox.kubelet",
                    *("--kubeconfig", str(self.kubeconfig)),
                    *("--directory", str(self.directory)),
                    *("--node-name", self.name),
                    *self.options,
                ),
                environment=os.environ,
                directory=self.directory.parent,
                stdout=output,
                stderr=output,
            )
        until(lambda: self.log.read_text().count("is ready") > before, "the kubelet is ready")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.kubelet is not None
        self.kubelet.send_signal(number)
        return self.kubelet.wait(DEADLINE_SECONDS)

    def processes(self) -> list[int]:
        """All processes of this kubelet's pods."""
        return find_marked(KUBELET_MARKER, str(self.directory))

    def create(self, name: str, *containers: Object, **spec: Any) -> Object:
        """Create a pod on this node (the scheduler of another one must not take it)."""
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}, "annotations": {"note": "n"}},
            "spec": {
                "containers": list(containers),
                "nodeName": self.name,
                "terminationGracePeriodSeconds": 5,
                **spec,
            },
        }
        if spec.get("nodeName", self) is None:
            del pod["spec"]["nodeName"]  # type: ignore[attr-defined]
        answer = self.api.request("POST", f"{self.path}/pods", pod)
        assert answer.ok, answer.text
        return dict(answer.json())

    def config(self, plural: str, name: str, data: dict[str, str]) -> None:
        body = {"apiVersion": "v1", "metadata": {"name": name}, "data": data}
        body["kind"] = {"configmaps": "ConfigMap", "secrets": "Secret"}[plural]
        self.api.apply("POST", f"{self.path}/{plural}", body)

    def pod(self, name: str) -> Object | None:
        answer = self.api.request("GET", f"{self.path}/pods/{name}")
        return dict(answer.json()) if answer.status_code == 200 else None

    def status(self, name: str) -> Object:
        pod = self.pod(name)
        assert pod is not None, f"{name} is gone"
        return dict(pod.get("status") or {})

    def container(self, name: str, which: int = 0, section: str = "containerStatuses") -> Object:
        statuses = self.status(name).get(section) or []
        return dict(statuses[which]) if len(statuses) > which else {"state": {}, "restartCount": 0}

    def ready(self, name: str) -> Object:
        """The pod's status once it is ready."""
        until(lambda: conditions(self.status(name)).get("Ready") == "True", f"{name} is ready")
        return self.status(name)

    def phase(self, name: str, phase: str) -> Object:
        until(lambda: self.status(name).get("phase") == phase, f"{name} is {phase}")
        return self.status(name)

    def waiting(self, name: str, reason: str) -> Object:
        def attempt() -> Object | None:
            waiting = self.container(name)["state"].get("waiting") or {}
            return waiting if waiting.get("reason") == reason else None

        return until(attempt, f"{name} waits: {reason}") or {}

    def running(self, name: str) -> Object:
        return until(lambda: self.container(name)["state"].get("running"), f"{name} runs") or {}

    def delete(self, name: str, grace: int | None = None) -> None:
        options: Object = {} if grace is None else {"gracePeriodSeconds": grace}
        self.api.apply("DELETE", f"{self.path}/pods/{name}", options)

    def gone(self, name: str) -> None:
        until(lambda: self.pod(name) is None, f"{name} is gone")

    def logs(self, name: str, **query: str) -> str:
        answer = self.api.request("GET", f"{self.path}/pods/{name}/log", **query)
        assert answer.ok, answer.text
        return answer.text

    def event(self, name: str, reason: str, text: str = "") -> Object:
        """The newest event of that reason (and text) about the pod, once there is one."""

        def attempt() -> Object | None:
            items = self.api.apply("GET", f"{self.path}/events")["items"]
            found = [
                item
                for item in items
                if item["involvedObject"]["name"] == name
                and item["reason"] == reason
                and text in item["message"]
            ]
            return found[-1] if found else None

        return until(attempt, f"event {reason} of {name}") or {}

    def url(self, name: str, port: int = 8080) -> str:
        address, folded = fold(self.status(name)["podIP"], port)
        return f"http://{address}:{folded}"


def conditions(status: Object) -> dict[str, str]:
    return {item["type"]: item["status"] for item in status.get("conditions") or []}


def demo(name: str = "demo", port: int = 8080, env: Object | None = None, **fields: Any) -> Object:
    """A container of the demo service that is ready as soon as it can be."""
    variables = {"DEMO_SHUTDOWN_SERVE": "0", **(env or {})}
    return {
        "name": name,
        "image": "theseus-ci/demo:1.0",
        "ports": [{"name": "http", "containerPort": port}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1},
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        **fields,
    }


def shell(script: str, name: str = "shell", **fields: Any) -> Object:
    return {"name": name, "image": SHELL_IMAGE, "args": [script], **fields}


@contextlib.contextmanager
def node_in(folder: Path, *options: str, name: str = "") -> Iterator[Node]:
    """Start API server and kubelet; `options` go to the kubelet."""
    server = None
    if OTHER_SERVER:
        kubeconfig = Path(OTHER_SERVER)
    else:
        kubeconfig = folder / "kubeconfig"
        with (folder / "apiserver.log").open("wb") as output:
            server = spawn(
                python_command(
                    "theseus_ci.sandbox.apiserver", "--directory", str(folder), "--port", "0"
                ),
                environment=os.environ,
                directory=folder,
                stdout=output,
                stderr=output,
            )
        until(kubeconfig.exists, "the API server is ready")
    unique = uuid.uuid4().hex[:8]
    node = Node(
        api=Api(kubeconfig, folder),
        kubeconfig=kubeconfig,
        directory=folder / "kubelet",
        namespace=f"kubelet-{unique}",
        name=name or f"node-{unique}",
        options=(
            *("--crash-back-off", "300ms"),
            *(["--log-server-tls"] if OTHER_SERVER else []),
            *options,
        ),
    )
    try:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": node.namespace}}
        node.api.apply("POST", "/api/v1/namespaces", namespace)
        install_images(node.api, IMAGES)
        node.start()
        yield node
        text = node.log.read_text()
        assert "Traceback" not in text, text
        assert node.stop() == 0, node.log.read_text()
        assert node.processes() == []
    finally:
        for process in (node.kubelet, server):
            if process is not None:
                process.kill()
                process.wait()
        node.api.request("DELETE", f"/api/v1/namespaces/{node.namespace}") if OTHER_SERVER else None


def install_images(api: Api, entries: list[Object]) -> None:
    """Replace the mapping of images to commands."""
    path = "/api/v1/namespaces/kube-system/configmaps"
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "sandbox-images"},
        "data": {"images.yaml": yaml.safe_dump(entries)},
    }
    if api.request("GET", f"{path}/sandbox-images").status_code == 404:
        api.apply("POST", path, body)
    else:
        api.apply("PATCH", f"{path}/sandbox-images", {"data": body["data"]})
