"""The contract tests on a cluster of the user's: bare servers stand in for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.contract.given import kubectl
from tests.tier.servers import REAL
from theseus_ci.sandbox.components import API_SERVER, CONTROLLERS, Checks
from theseus_ci.sandbox.layout import Layout
from theseus_ci.sandbox.processes import spawn
from theseus_ci.sandbox.real.components import real_components
from theseus_ci.sandbox.settings import Settings, free_port

pytestmark = REAL
ROOT = Path(__file__).parents[2]
LACKING = "virtualservices.networking.istio.io"
CHOSEN = (
    "test_kinds_of_a_crd_are_only_replaced_with_a_version",
    "test_replicas_in_a_replacement_become_ready_pods",
    "test_the_rule_of_a_refusal_is_enough",
)
"""One for Istio's kinds, one for pods, one for users."""


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Path]:
    """The kubeconfig of an API server with its controllers, and of nothing else."""
    layout = Layout(tmp_path / "servers")
    layout.prepare()
    settings = Settings(control_plane="real", api_port=free_port(set()))
    parts = {one.name: one for one in real_components(layout, settings, Checks(layout))}
    with ExitStack() as stack, (tmp_path / "servers.log").open("wb") as log:
        for name in (API_SERVER, CONTROLLERS):
            process = spawn(
                parts[name].command,
                environment=os.environ,
                directory=layout.directory,
                stdout=log,
                stderr=log,
            )
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
            _until(layout.kubeconfig.exists)
        yield layout.kubeconfig


def _until(attempt: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not attempt():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _everything(kubeconfig: Path) -> str:
    """The names of what a run might leave behind."""
    return kubectl(kubeconfig, "get", "crd,nodes,clusterroles", "-o", "name")


def test_they_run_there_and_leave_it_as_it_was(servers: Path, tmp_path: Path) -> None:
    kubectl(servers, "delete", "crd", LACKING)
    kubectl(servers, "run", "--image", "theseus-ci/demo:v1", "of-somebody")
    before = _everything(servers)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            f"--basetemp={tmp_path / 'there'}",
            *(f"tests/contract/test_cluster_port.py::{name}" for name in CHOSEN),
        ],
        cwd=ROOT,
        env={**os.environ, "THESEUS_TEST_KUBECONFIG": str(servers)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert f"{len(CHOSEN)} passed" in done.stdout, done.stdout + done.stderr
    assert _everything(servers) == before
    active = ("--field-selector", "status.phase=Active")
    assert "contract-" not in kubectl(servers, "get", "namespaces", "-o", "name", *active)
    node = kubectl(servers, "get", "pod", "of-somebody", "-o", "jsonpath={.spec.nodeName}")
    assert node == "", "a pod that is none of the tests' was left alone"
