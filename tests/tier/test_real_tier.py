"""The real servers as a sandbox: started, used with kubectl, asked through Istio's routing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import requests
import yaml

from tests.e2e import app
from tests.e2e.world import World, until
from tests.tier.servers import REAL, running
from theseus_ci.sandbox.cluster import Sandbox
from theseus_ci.sandbox.processes import SANDBOX_MARKER, find_marked

pytestmark = REAL
KUBECTL = Path(sys.executable).with_name("kubectl")
THESEUS = Path(sys.executable).with_name("theseus-ci")


def kubectl(world: World, *arguments: str, stdin: object = None) -> str:
    """kubectl in the test's namespace; returns what it printed. Fails unless it succeeds."""
    done = subprocess.run(
        [KUBECTL, "--kubeconfig", world.sandbox.kubeconfig, "-n", world.namespace, *arguments],
        input=None if stdin is None else yaml.safe_dump(stdin),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "version difference" not in done.stderr
    return done.stdout


def test_all_of_it_works(real: Sandbox) -> None:
    assert real.is_healthy()
    assert set(real.running_components()) == {
        "apiserver",
        "controllers",
        "kubelet",
        "mesh",
        "metrics",
    }


def test_the_server_is_kubernetes_own(world: World) -> None:
    versions = json.loads(kubectl(world, "version", "--output", "json"))
    assert versions["serverVersion"]["compiler"] == "gc"
    assert versions["serverVersion"]["gitVersion"].startswith("v1.")
    kinds = kubectl(world, "api-resources", "--output", "name")
    assert "virtualservices.networking.istio.io" in kinds
    assert "tokenreviews.authentication.k8s.io" in kinds


def test_rights_are_asked_for(real: Sandbox, world: World) -> None:
    server = yaml.safe_load(real.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    authority = str(real.directory / "pki" / "ca.crt")
    url = f"{server}/api/v1/secrets"
    assert requests.get(url, verify=authority, timeout=10).status_code == 403
    token = {"Authorization": "Bearer wrong"}
    assert requests.get(url, headers=token, verify=authority, timeout=10).status_code == 401
    done = subprocess.run(
        [KUBECTL, "--kubeconfig", real.kubeconfig, "--as", "somebody", "get", "secrets"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 'User "somebody" cannot list resource "secrets"' in done.stderr


def test_a_deployment_from_kubectl_to_an_answer_of_envoy(world: World) -> None:
    for obj in (
        app.service(),
        app.gateway(world.host),
        app.virtual_service(world.host),
        app.deployment("web-v1", "v1"),
    ):
        kubectl(world, "apply", "-f", "-", stdin=obj)
    kubectl(world, "rollout", "status", "deployment/web-v1", "--timeout=60s")
    world.await_answer("v1")
    answer = world.ask()
    assert answer.headers["server"] == "istio-envoy"
    assert "listens on" in kubectl(world, "logs", answer.headers["x-demo-pod"])
    pods = json.loads(kubectl(world, "get", "pods", "--output", "json"))["items"]
    assert {pod["spec"]["nodeName"] for pod in pods} == {"sandbox"}


def test_a_clients_sidecar_follows_the_mesh(world: World) -> None:
    world.start_service()
    host = f"web.{world.namespace}"

    def answers() -> bool:
        got = requests.get(world.sandbox.sidecar, headers={"Host": host}, timeout=10)
        return got.headers.get("x-demo-version") == "v1"

    until(answers, "the sidecar knows the service")
    unknown = requests.get(world.sandbox.sidecar, headers={"Host": "example.com"}, timeout=10)
    assert unknown.status_code == 502


def test_an_idle_service_is_scaled_down(world: World) -> None:
    """The controller manager's own autoscaler does it, by the metrics it is served."""
    world.apply(app.service(), app.deployment("web-v1", "v1", replicas=3))
    world.await_ready("web-v1")
    world.apply(app.autoscaler("web-v1", low=1, high=4))
    until(lambda: world.get("Deployment", "web-v1")["spec"]["replicas"] == 1, "one replica")


def test_a_killed_api_server_comes_back_with_everything(tmp_path: Path) -> None:
    with running("real", tmp_path / "own") as own:
        world_api = own.kubeconfig
        before = _default_namespace(world_api)
        pid = own.state()["components"]["apiserver"]["pid"]
        subprocess.run(["kill", "-9", str(pid)], check=True)
        until(lambda: own.state()["components"]["apiserver"]["restarts"] == 1, "a restart")
        until(own.is_healthy, "healthy again")
        assert _default_namespace(world_api) == before
        directory = str(own.directory)
    until(lambda: not find_marked(SANDBOX_MARKER, directory), "nothing is left")
    assert not Path(directory).exists()


def _default_namespace(kubeconfig: Path) -> str:
    done = subprocess.run(
        [KUBECTL, "--kubeconfig", kubeconfig, "get", "namespace", "default", "-o", "yaml"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return str(yaml.safe_load(done.stdout)["metadata"]["uid"])


def test_the_programs_of_kubebuilder_are_taken_first(tmp_path: Path) -> None:
    """A kube-apiserver in that folder is the one that is started."""
    ran, program = tmp_path / "ran", tmp_path / "assets" / "kube-apiserver"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {ran}\nexit 1\n")
    program.chmod(0o755)
    up = subprocess.run(
        [THESEUS, "sandbox", "up", "--name", "assets", "--control-plane", "real"],
        env={
            **os.environ,
            "XDG_STATE_HOME": str(tmp_path),
            "KUBEBUILDER_ASSETS": str(program.parent),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert up.returncode == 3, up.stderr
    assert "the sandbox did not come up: apiserver ended" in up.stderr
    assert ran.exists()


def test_the_command_starts_it_and_ends_it(tmp_path: Path) -> None:
    """By the command, as users start it."""
    up = subprocess.run(
        [THESEUS, "sandbox", "up", "--name", "tier-up", "--control-plane", "real"],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    try:
        assert up.returncode == 0, up.stderr
        assert "export KUBECONFIG=" in up.stdout
        assert "controllers works after" in up.stderr
    finally:
        subprocess.run(
            [THESEUS, "sandbox", "down", "--name", "tier-up"],
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
            timeout=60,
            check=True,
        )
