"""A mesh to test: objects go to an API server, requests to real Envoys, backends answer."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import subprocess
import sys
import threading
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.sandbox.mesh_traffic import (
    SECONDS,
    Backend,
    Client,
    Object,
    eventually,
    start_backend,
)
from theseus_ci.sandbox.kubeconfig import load_access

ISTIO = "/apis/networking.istio.io/v1"
COLLECTIONS = {
    "Namespace": "/api/v1",
    "Service": "/api/v1",
    "ServiceAccount": "/api/v1",
    "Pod": "/api/v1",
    "ConfigMap": "/api/v1",
    "Event": "/api/v1",
    "Deployment": "/apis/apps/v1",
    "EndpointSlice": "/apis/discovery.k8s.io/v1",
    "VirtualService": ISTIO,
    "DestinationRule": ISTIO,
    "Gateway": ISTIO,
}
CLIENTS = "clients"
"""The namespace of the sidecar's pod."""
CLEANED = ("VirtualService", "DestinationRule", "Gateway", "EndpointSlice", "Service", "Pod")
PLURALS = {"EndpointSlice": "endpointslices"}


class ApiServer(Protocol):
    """What these tests need of the `apiserver` fixture."""

    @property
    def kubeconfig(self) -> Path: ...


class RefusedError(Exception):
    """The API server's answer to a request it did not carry out."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status


class Cluster:
    """Writes objects to the API server as kubectl would."""

    def __init__(self, kubeconfig: Path) -> None:
        self._access = load_access(kubeconfig)

    def _call(self, method: str, path: str, body: object = None) -> Object:
        server = urllib.parse.urlsplit(self._access.server)
        assert server.hostname is not None
        if self._access.tls is not None:
            tls = self._access.tls
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                server.hostname, server.port, context=tls, timeout=SECONDS
            )
        else:
            connection = http.client.HTTPConnection(server.hostname, server.port, timeout=SECONDS)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._access.token is not None:
            headers["Authorization"] = f"Bearer {self._access.token}"
        with contextlib.closing(connection):
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            content = answer.read().decode()
        if answer.status >= 400:
            raise RefusedError(answer.status, content)
        parsed: Object = json.loads(content)
        return parsed

    @staticmethod
    def path(kind: str, namespace: str, name: str = "") -> str:
        plural = PLURALS.get(kind, kind.lower() + "s")
        middle = "" if kind == "Namespace" else f"/namespaces/{namespace}"
        return f"{COLLECTIONS[kind]}{middle}/{plural}" + (f"/{name}" if name else "")

    def ensure_namespace(self, name: str) -> None:
        with contextlib.suppress(RefusedError):  # it exists
            self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def create(self, obj: Object) -> Object:
        metadata = obj["metadata"]
        return self._call("POST", self.path(obj["kind"], metadata.get("namespace", "")), obj)

    def replace(self, obj: Object) -> Object:
        """PUT over whatever is there now."""
        metadata = obj["metadata"]
        path = self.path(obj["kind"], metadata["namespace"], metadata["name"])
        version = self._call("GET", path)["metadata"]["resourceVersion"]
        fresh = {**obj, "metadata": {**metadata, "resourceVersion": version}}
        return self._call("PUT", path, fresh)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        self._call("DELETE", self.path(kind, namespace, name))

    def items(self, kind: str, namespace: str) -> list[Object]:
        return list(self._call("GET", self.path(kind, namespace))["items"])


class Mesh:
    """A running `python -m theseus_ci.sandbox.mesh`."""

    def __init__(self, kubeconfig: Path, directory: Path, *options: str) -> None:
        self.directory = directory
        self.log = directory.with_suffix(".log")
        command = [sys.executable, "-m", "theseus_ci.sandbox.mesh"]
        command += ["--kubeconfig", str(kubeconfig), "--directory", str(directory), *options]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        self.addresses: dict[str, str] = eventually(self._addresses)
        self.clients: list[Client] = []

    def _addresses(self) -> dict[str, str] | None:
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(FileNotFoundError):
            found: dict[str, str] = json.loads((self.directory / "mesh.json").read_text())
            return found
        return None

    def client(self, proxy: str) -> Client:
        client = Client(self.addresses[proxy])
        self.clients.append(client)
        return client

    def envoys(self) -> list[int]:
        """The process ids of the Envoys."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(each) for each in children.read_text().split()]

    def stop(self) -> int:
        for client in self.clients:
            client.close()
        self.process.terminate()
        return self.process.wait(SECONDS)


@dataclass
class World:
    """A namespace of its own, with backends, and the proxies' addresses."""

    cluster: Cluster
    mesh: Mesh
    namespace: str
    network: str
    gateway: Client
    sidecar: Client
    backends: dict[str, Backend] = field(default_factory=dict)

    def apply(self, kind: str, name: str, content: Object, **metadata: Any) -> Object:
        """Create, or replace if it is there already."""
        group = COLLECTIONS[kind].split("/", 2)[2] if "/apis/" in COLLECTIONS[kind] else "v1"
        obj = {
            "apiVersion": group,
            "kind": kind,
            "metadata": {"name": name, "namespace": self.namespace, **metadata},
            **content,
        }
        try:
            return self.cluster.create(obj)
        except RefusedError as error:
            if error.status != 409:
                raise
        return self.cluster.replace(obj)

    def delete(self, kind: str, name: str) -> None:
        self.cluster.delete(kind, self.namespace, name)

    def service(self, name: str, *versions: str, port: int = 80, **spec: Any) -> None:
        """A Service with one pod per version, each with its own EndpointSlice."""
        ports = [{"name": "http", "port": port, "targetPort": "http"}]
        self.apply("Service", name, {"spec": {"ports": ports, **spec}})
        for version in versions:
            self.pod(name, version)

    def pod(self, service: str, version: str) -> Backend:
        name = f"{service}-{version}"
        backend = start_backend(name, f"{self.network}.{len(self.backends) + 1}")
        self.backends[name] = backend
        container = {
            "name": "app",
            "image": "test/backend",
            "ports": [{"name": "http", "containerPort": backend.port}],
        }
        labels = {"app": service, "version": version}
        self.apply("Pod", name, {"spec": {"containers": [container]}}, labels=labels)
        self.endpoints(service, version)
        return backend

    def endpoints(self, service: str, version: str, *, ready: bool = True) -> None:
        """The pod's own EndpointSlice."""
        name = f"{service}-{version}"
        backend = self.backends[name]
        endpoint = {
            "addresses": [backend.address],
            "conditions": {"ready": ready, "serving": ready, "terminating": False},
            "targetRef": {"kind": "Pod", "name": name, "namespace": self.namespace},
        }
        content = {
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": backend.port, "protocol": "TCP"}],
            "endpoints": [endpoint],
        }
        labels = {"kubernetes.io/service-name": service}
        self.apply("EndpointSlice", name, content, labels=labels)

    def subsets(self, service: str, *versions: str, **spec: Any) -> None:
        subsets = [{"name": each, "labels": {"version": each}} for each in versions]
        self.apply(
            "DestinationRule", service, {"spec": {"host": service, "subsets": subsets, **spec}}
        )

    def open_gateway(self, *hosts: str, name: str = "entry") -> None:
        port = {"number": 80, "name": "http", "protocol": "HTTP"}
        servers = [{"port": port, "hosts": list(hosts) or ["*"]}]
        content = {"spec": {"selector": {"istio": "ingressgateway"}, "servers": servers}}
        self.apply("Gateway", name, content)

    def routes(self, name: str, *http_entries: Object, **spec: Any) -> None:
        """A VirtualService at the gateway, for the host NAME.NAMESPACE.example.com."""
        content = {"hosts": [self.host(name)], "gateways": ["entry"], "http": list(http_entries)}
        self.apply("VirtualService", name, {"spec": {**content, **spec}})

    def host(self, name: str) -> str:
        return f"{name}.{self.namespace}.example.com"

    def warnings(self, name: str) -> list[Object]:
        return [
            event
            for event in self.cluster.items("Event", self.namespace)
            if event["involvedObject"]["name"] == name and event["type"] == "Warning"
        ]

    def close(self) -> None:
        for backend in self.backends.values():
            backend.close()


def to(service: str, subset: str | None = None, weight: int | None = None, **more: Any) -> Object:
    """A route's destination."""
    destination = {"host": service} if subset is None else {"host": service, "subset": subset}
    entry: Object = {"destination": destination, **more}
    return entry if weight is None else {**entry, "weight": weight}


def route(*destinations: Object, **more: Any) -> Object:
    """An entry of spec.http."""
    return {"route": list(destinations), **more}


@contextlib.contextmanager
def running_mesh(apiserver: ApiServer, directory: Path, *options: str) -> Iterator[Mesh]:
    """A mesh that must end well."""
    mesh = Mesh(apiserver.kubeconfig, directory, *options)
    try:
        yield mesh
    finally:
        code = mesh.stop()
    assert code == 0, mesh.log.read_text()


@contextlib.contextmanager
def shared_mesh(apiserver: ApiServer, directory: Path) -> Iterator[Mesh]:
    """A mesh without delays, for the tests of a whole module."""
    options = ["--gateway-delay", "0", "--sidecar-delay", "0"]
    options += ["--client-namespace", CLIENTS, "--client-label", "app=caller"]
    Cluster(apiserver.kubeconfig).ensure_namespace(CLIENTS)
    with running_mesh(apiserver, directory, *options) as mesh:
        yield mesh


@contextlib.contextmanager
def own_namespace(apiserver: ApiServer, mesh: Mesh) -> Iterator[World]:
    """A namespace for one test; its objects are deleted afterwards."""
    cluster = Cluster(apiserver.kubeconfig)
    namespace = f"t{secrets.token_hex(4)}"
    cluster.ensure_namespace(namespace)
    pods = f"10.{secrets.randbelow(200) + 20}.{secrets.randbelow(250) + 1}"
    world = World(cluster, mesh, namespace, pods, mesh.client("gateway"), mesh.client("sidecar"))
    try:
        yield world
    finally:
        world.close()
        for kind in CLEANED:
            for obj in cluster.items(kind, namespace):
                cluster.delete(kind, namespace, obj["metadata"]["name"])


def make_shop(world: World) -> World:
    """A service `web` in versions v1 and v2, with subsets, at a gateway."""
    world.service("web", "v1", "v2")
    world.subsets("web", "v1", "v2")
    world.open_gateway()
    return world


def answered_by(world: World, name: str, path: str = "/", **headers: str) -> str:
    answer = world.gateway.get(world.host(name), path, **headers)
    assert answer.status == 200, (answer.status, answer.content)
    return answer.backend


class Load:
    """Requests one after another over one connection, until stopped; counts the answers."""

    def __init__(self, world: World, name: str) -> None:
        self.counts: Counter[tuple[int, str]] = Counter()
        self._client = world.mesh.client("gateway")
        self._host = world.host(name)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                found = self._client.get(self._host)
                self.counts[found.status, found.backend] += 1
            except (OSError, http.client.HTTPException) as error:
                self.counts[0, type(error).__name__] += 1

    def wait_for(self, *answers: tuple[int, str]) -> None:
        """Until each of these was given at least ten times more."""
        before = self.counts.copy()
        eventually(lambda: all(self.counts[each] >= before[each] + 10 for each in answers))

    def stop(self) -> Counter[tuple[int, str]]:
        self._stop.set()
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        return self.counts
