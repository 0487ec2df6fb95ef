"""The sandbox as a whole: from a Deployment up to Envoy's answer, with kubectl as people use it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.sandbox.node import until
from theseus_ci.sandbox.cluster import Sandbox
from theseus_ci.sandbox.processes import SANDBOX_MARKER, find_marked

HOST = "reviews.example.com"
MANIFEST = """
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec:
  selector: {app: reviews}
  ports: [{name: http, port: 80, targetPort: http}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews.example.com, reviews]
  gateways: [front, mesh]
  http:
  - match: [{headers: {x-release: {exact: candidate}}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - route: [{destination: {host: reviews, subset: v1}}]
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: reviews-{version}}}
spec:
  replicas: {replicas}
  progressDeadlineSeconds: 3
  selector: {{matchLabels: {{app: reviews, version: {version}}}}}
  template:
    metadata: {{labels: {{app: reviews, version: {version}}}}}
    spec:
      containers:
      - name: reviews
        image: theseus-ci/demo:{tag}
        ports: [{{name: http, containerPort: 80}}]
        readinessProbe: {{httpGet: {{path: /ready, port: http}}, periodSeconds: 1}}
        env: {env}
"""


class Cluster:
    """A sandbox, and kubectl in a namespace."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def kubectl(self, *arguments: str, stdin: str = "", code: int = 0) -> str:
        done = subprocess.run(
            ["kubectl", "--kubeconfig", self.sandbox.kubeconfig, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stderr or done.stdout
        return done.stdout if code == 0 else done.stderr

    def deploy(self, version: str, tag: str, replicas: int = 1, env: str = "[]") -> None:
        text = DEPLOYMENT.format(version=version, tag=tag, replicas=replicas, env=env)
        self.kubectl("apply", "-f", "-", stdin=text)

    def rolled_out(self, version: str) -> None:
        self.kubectl("rollout", "status", f"deployment/reviews-{version}", "--timeout=60s")

    def ask(self, **headers: str) -> requests.Response:
        return requests.get(
            f"{self.sandbox.gateway}/x", headers={"Host": HOST, **headers}, timeout=10
        )

    def answers(self, version: str, **headers: str) -> None:
        """Wait until the gateway answers with that version."""
        until(
            lambda: self.ask(**headers).headers.get("x-demo-version") == version,
            f"the gateway answers with {version}",
        )


class Traffic:
    """Users of the gateway, who count what they get."""

    def __init__(self, cluster: Cluster) -> None:
        self.answers: Counter[tuple[int, str]] = Counter()
        self._cluster = cluster
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(3)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with requests.Session() as session:
            while not self._stop.wait(0.01):
                answer = session.get(
                    self._cluster.sandbox.gateway, headers={"Host": HOST}, timeout=10
                )
                version = answer.headers.get("x-demo-version", "")
                self.answers[answer.status_code, version] += 1


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("whole") / "sandbox"
    with Sandbox.start(directory, gateway_delay=0.3, sidecar_delay=0.05) as sandbox:
        made = Cluster(sandbox)
        made.kubectl("apply", "-f", "-", stdin=MANIFEST)
        made.deploy("v1", "1.0", replicas=2)
        made.rolled_out("v1")
        made.answers("1.0")
        yield made
    assert not directory.exists()
    assert find_marked(SANDBOX_MARKER, str(directory)) == []


def test_requests_pass_gateway_and_sidecar(cluster: Cluster) -> None:
    names = cluster.kubectl("get", "pods", "-l", "version=v1", "-o", "name").split()
    pods = {name.partition("/")[2] for name in names}
    until(lambda: {cluster.ask().json()["pod"] for _ in range(20)} == pods)  # once Envoy knows all
    inside = requests.get(cluster.sandbox.sidecar, headers={"Host": "reviews"}, timeout=10)
    assert inside.headers["x-demo-version"] == "1.0"
    nobody = requests.get(cluster.sandbox.gateway, headers={"Host": "other"}, timeout=10)
    assert nobody.status_code == 404


def test_what_kubectl_shows(cluster: Cluster) -> None:
    [first, _] = cluster.kubectl("get", "pods", "-l", "version=v1", "-o", "name").split()
    table = cluster.kubectl("get", first)
    assert table.splitlines()[1].split()[1:3] == ["1/1", "Running"]
    described = cluster.kubectl("describe", first)
    for text in ("Scheduled", "Pulled", "Created", "Started", "Ready  ", "theseus-ci/demo:1.0"):
        assert text in described
    assert "version 1.0 listens on 127." in cluster.kubectl("logs", first)
    assert "sandbox   Ready" in cluster.kubectl("get", "nodes")
    assert "reviews-v1" in cluster.kubectl("get", "events")


def test_a_rolling_update_loses_no_request(cluster: Cluster) -> None:
    with Traffic(cluster) as traffic:
        until(lambda: traffic.answers.total() > 50)
        cluster.deploy("v1", "1.1", replicas=2)
        cluster.rolled_out("v1")
        until(lambda: traffic.answers[200, "1.1"] > 100)
        pods = ["-l", "version=v1", "-o", "name", "--field-selector=status.phase=Running"]
        until(lambda: len(cluster.kubectl("get", "pods", *pods).split()) == 2)
    assert {status for status, _ in traffic.answers} == {200}, traffic.answers
    assert traffic.answers[200, "1.0"] > 50


def test_a_dark_release_is_seen_by_testers_only(cluster: Cluster) -> None:
    cluster.deploy("v2", "2.0")
    cluster.rolled_out("v2")
    cluster.answers("2.0", **{"x-release": "candidate"})
    assert cluster.ask().headers["x-demo-version"] == "1.1"
    with Traffic(cluster) as traffic:
        until(lambda: traffic.answers.total() > 50)
        cluster.kubectl("delete", "deployment", "reviews-v2", "--wait=true")
        until(lambda: cluster.ask(**{"x-release": "candidate"}).status_code == 503)
    assert {version for _, version in traffic.answers} == {"1.1"}


def test_a_release_that_never_gets_ready_stops_its_rollout(cluster: Cluster) -> None:
    cluster.deploy("v3", "3.0", env="[{name: DEMO_READY_DELAY, value: 1h}]")
    error = cluster.kubectl("rollout", "status", "deployment/reviews-v3", "--timeout=30s", code=1)
    assert "exceeded its progress deadline" in error
    cluster.deploy("v4", "4.0", env="[{name: DEMO_CRASH_AT_START, value: 'true'}]")
    until(
        lambda: "CrashLoopBackOff" in cluster.kubectl("get", "pods", "-l", "version=v4"),
        "kubectl shows CrashLoopBackOff",
    )
    assert "crashed as told" in cluster.kubectl(
        "logs", "-l", "version=v4", "--previous", "--ignore-errors"
    ) or "crashed as told" in cluster.kubectl("logs", "-l", "version=v4")
    cluster.kubectl("delete", "deployment", "reviews-v3", "reviews-v4")


def test_a_sandbox_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import os, pathlib, signal, sys
        from theseus_ci.sandbox.cluster import Sandbox
        Sandbox.start(pathlib.Path(sys.argv[1]))
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    directory = tmp_path / "sandbox"
    done = subprocess.run([sys.executable, "-c", program, str(directory)], timeout=120, check=False)
    assert done.returncode == -9
    until(lambda: not find_marked(SANDBOX_MARKER, str(directory)), "every process has ended")
    Sandbox(directory).stop()
    assert not directory.exists()
