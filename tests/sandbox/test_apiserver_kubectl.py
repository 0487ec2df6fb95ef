"""The real kubectl, as people use it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.sandbox.apiserver_objects import (
    autoscaler,
    configmap,
    deployment,
    pod,
    service,
    virtual_service,
)
from tests.sandbox.conftest import ApiServer

READY = {
    "replicas": 2,
    "updatedReplicas": 2,
    "readyReplicas": 2,
    "availableReplicas": 2,
    "observedGeneration": 1,
}


def rows(output: str) -> list[list[str]]:
    return [line.split() for line in output.strip().splitlines()]


def test_apply_is_created_unchanged_configured_deleted(
    apiserver: ApiServer, namespace: str
) -> None:
    manifest = [deployment("web"), service("web"), virtual_service("web", 90, 10)]
    applied = apiserver.kubectl("apply", "-n", namespace, "-f", "-", stdin=manifest)
    assert [row[-1] for row in rows(applied)] == ["created"] * 3
    applied = apiserver.kubectl("apply", "-n", namespace, "-f", "-", stdin=manifest)
    assert [row[-1] for row in rows(applied)] == ["unchanged"] * 3
    manifest[0]["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2"
    applied = apiserver.kubectl("apply", "-n", namespace, "-f", "-", stdin=manifest)
    assert [row[-1] for row in rows(applied)] == ["configured", "unchanged", "unchanged"]
    deleted = apiserver.kubectl("delete", "-n", namespace, "-f", "-", stdin=manifest)
    assert deleted.count("deleted") == 3


def test_apply_checks_fields_on_the_server(apiserver: ApiServer, namespace: str) -> None:
    manifest = [deployment("web", colour="blue")]
    said = apiserver.kubectl("apply", "-n", namespace, "-f", "-", stdin=manifest, code=1)
    assert 'strict decoding error: unknown field "spec.colour"' in said


def test_get_prints_the_real_columns(apiserver: ApiServer, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    apiserver.ok("POST", path, deployment("web"))
    apiserver.merge(f"{path}/web/status", {"status": READY})
    apiserver.kubectl(
        "create", "-n", namespace, "-f", "-", stdin=[service("web"), virtual_service("web", 1)]
    )
    wide = rows(apiserver.kubectl("get", "deploy", "-n", namespace, "-o", "wide"))
    assert wide[0] == [
        *("NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"),
        *("CONTAINERS", "IMAGES", "SELECTOR"),
    ]
    assert wide[1][:4] == ["web", "2/2", "2", "2"]
    assert wide[1][5:] == ["app", "web:1", "app=web"]
    services = rows(apiserver.kubectl("get", "svc", "-n", namespace))
    assert services[0] == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    assert services[1][1] == "ClusterIP"
    assert services[1][3:5] == ["<none>", "80/TCP"]
    routes = rows(apiserver.kubectl("get", "vs", "-n", namespace))
    assert routes[0] == ["NAME", "GATEWAYS", "HOSTS", "AGE"]
    assert routes[1][:2] == ["web", '["web"]']
    apiserver.kubectl("create", "-n", namespace, "-f", "-", stdin=[autoscaler("web")])
    scalers = apiserver.kubectl("get", "hpa", "-n", namespace)
    assert "Deployment/web" in scalers
    assert "cpu: <unknown>/80%" in scalers


def test_get_pods_tells_their_state(apiserver: ApiServer, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    apiserver.ok("POST", path, pod("a", nodeName="n1"))
    running = {"name": "app", "ready": True, "restartCount": 3, "state": {"running": {}}}
    required = {"image": "web:1", "imageID": "web"}
    status = {"phase": "Running", "podIP": "10.1.2.3", "containerStatuses": [running | required]}
    apiserver.merge(f"{path}/a/status", {"status": status})
    wide = rows(apiserver.kubectl("get", "po", "-n", namespace, "-o", "wide"))
    assert wide[0][:7] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE"]
    assert wide[1][:4] == ["a", "1/1", "Running", "3"]
    assert wide[1][5:7] == ["10.1.2.3", "n1"]
    assert apiserver.ok("DELETE", f"{path}/a")["metadata"]["deletionTimestamp"]
    assert "Terminating" in apiserver.kubectl("get", "po", "-n", namespace)
    described = apiserver.kubectl("describe", "po", "a", "-n", namespace)
    assert "Status:" in described
    assert "Terminating" in described


def test_watching_prints_changes(apiserver: ApiServer, namespace: str) -> None:
    apiserver.ok("POST", f"/api/v1/namespaces/{namespace}/configmaps", configmap("a", k="1"))
    said = apiserver.kubectl("get", "cm", "-n", namespace, "-w", "--request-timeout=2s", code=None)
    assert rows(said)[0] == ["NAME", "DATA", "AGE"]
    assert ["a", "1"] in [row[:2] for row in rows(said)]


def test_describe_a_deployment(apiserver: ApiServer, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    apiserver.ok("POST", path, deployment("web"))
    described = apiserver.kubectl("describe", "deploy", "web", "-n", namespace)
    assert "RollingUpdateStrategy:  25% max unavailable, 25% max surge" in described
    assert "Image:" in described


def test_scale_and_the_three_patches(apiserver: ApiServer, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    apiserver.ok("POST", path, deployment("web"))

    def replicas() -> int:
        return int(apiserver.ok("GET", f"{path}/web")["spec"]["replicas"])

    apiserver.kubectl("scale", "deploy", "web", "--replicas=5", "-n", namespace)
    assert replicas() == 5
    for kind, patch, wanted in (
        ("strategic", '{"spec":{"replicas":6}}', 6),
        ("merge", '{"spec":{"replicas":7}}', 7),
        ("json", '[{"op":"replace","path":"/spec/replicas","value":8}]', 8),
    ):
        apiserver.kubectl("patch", "deploy", "web", "-n", namespace, "--type", kind, "-p", patch)
        assert replicas() == wanted
    apiserver.kubectl("set", "image", "deploy/web", "app=web:9", "-n", namespace)
    made = apiserver.ok("GET", f"{path}/web")["spec"]["template"]["spec"]["containers"]
    assert made[0]["image"] == "web:9"


def test_rollout_status_reads_the_status(apiserver: ApiServer, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    apiserver.ok("POST", path, deployment("web"))
    waiting = ("rollout", "status", "deploy/web", "-n", namespace)
    said = apiserver.kubectl(*waiting, "--timeout=1s", code=1)
    assert "Waiting for deployment spec update to be observed" in said
    apiserver.merge(f"{path}/web/status", {"status": READY})
    assert "successfully rolled out" in apiserver.kubectl(*waiting, "--timeout=30s")


def test_server_side_apply_after_client_side(apiserver: ApiServer, namespace: str) -> None:
    manifest = [deployment("web")]
    apiserver.kubectl("apply", "-n", namespace, "-f", "-", stdin=manifest)
    manifest[0]["spec"]["replicas"] = 4
    said = apiserver.kubectl("apply", "-n", namespace, "--server-side", "-f", "-", stdin=manifest)
    assert "serverside-applied" in said
    made = apiserver.ok("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments/web")
    assert made["spec"]["replicas"] == 4
    apiserver.kubectl("scale", "deploy", "web", "--replicas=9", "-n", namespace)
    said = apiserver.kubectl(
        "apply", "-n", namespace, "--server-side", "-f", "-", stdin=manifest, code=1
    )
    assert "conflict" in said
    assert ".spec.replicas" in said


def test_typed_commands_that_speak_protobuf(apiserver: ApiServer, namespace: str) -> None:
    apiserver.kubectl(
        *("create", "deployment", "web", "--image=web:1", "--replicas=0", "--port=80"),
        *("-n", namespace),
    )
    made = apiserver.ok("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments/web")
    assert made["spec"]["replicas"] == 0
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert made["metadata"]["labels"] == {"app": "web"}
    apiserver.kubectl("create", "secret", "generic", "s", "--from-literal=a=b", "-n", namespace)
    secret = apiserver.ok("GET", f"/api/v1/namespaces/{namespace}/secrets/s")
    assert secret["data"] == {"a": "Yg=="}
    assert apiserver.kubectl("auth", "can-i", "create", "pods", "-n", namespace) == "yes\n"
    ask = ("auth", "can-i", "create", "pods", "-n", namespace, "--as", "nobody")
    assert apiserver.kubectl(*ask, code=1).strip() == "no"


def test_explain_and_api_resources(apiserver: ApiServer) -> None:
    assert "rollingUpdate" in apiserver.kubectl("explain", "deployment.spec.strategy")
    assert "subset" in apiserver.kubectl(
        "explain",
        "virtualservice.spec.http.route.destination",
        "--api-version=networking.istio.io/v1",
    )
    names = [row[0] for row in rows(apiserver.kubectl("api-resources"))]
    assert {"deployments", "virtualservices", "leases", "poddisruptionbudgets"} <= set(names)


class Kubelet(BaseHTTPRequestHandler):
    """Answers for the log of any container, and says what it was asked."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        asked: list[Any] = [url.path, query]
        body = f"{asked[0]} {sorted(query.items())}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def kubelet_port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Kubelet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_logs_come_from_the_kubelet(
    own_apiserver: ApiServer, namespace: str, kubelet_port: int
) -> None:
    node = f"node-{namespace}"
    own_apiserver.ok("POST", "/api/v1/nodes", {"metadata": {"name": node}})
    status = {
        "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
    }
    own_apiserver.merge(f"/api/v1/nodes/{node}/status", {"status": status})
    path = f"/api/v1/namespaces/{namespace}/pods"
    own_apiserver.ok("POST", path, pod("a", nodeName=node))
    own_apiserver.ok("POST", path, pod("lost"))
    said = own_apiserver.kubectl("logs", "a", "-n", namespace, "--tail=5", "--since=60s")
    asked = [("sinceSeconds", "60"), ("tailLines", "5")]
    assert said == f"/containerLogs/{namespace}/a/app {asked}\n"
    assert own_apiserver.ok("GET", f"{path}/lost/log") == ""
    reply = own_apiserver.request("GET", f"{path}/a/log?container=none")
    assert (reply.status, reply.body["message"]) == (400, "container none is not valid for pod a")
