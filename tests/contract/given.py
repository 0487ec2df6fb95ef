"""A disposable cluster of the user's, whose kubeconfig THESEUS_TEST_KUBECONFIG names.

The contract tests then run on it, in place of the sandbox and of the servers that are built here.
Their namespaces are their own. Their pods name a node that is no machine but our kubelet, an
ordinary client of that API server, which takes those pods alone. Istio's kinds are defined where
they are not. All of it is removed at the end, and nothing else is touched.

Whole releases do not run there: its proxies and nodes are not ours to stage faults on. Nor do Jobs,
whose logs its API server would have to fetch from this machine.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from theseus_ci.sandbox.apiserver.schema import istio_crds
from theseus_ci.sandbox.kubelet.context import KUBELET_MARKER
from theseus_ci.sandbox.processes import kill_marked, python_command, spawn

GIVEN = os.environ.get("THESEUS_TEST_KUBECONFIG", "")
NODE = "theseus-ci-contract" if GIVEN else ""
"""Where the pods of the tests run; empty leaves it to the scheduler."""
KUBECTL = Path(sys.executable).with_name("kubectl")
SECONDS = 60.0


@dataclass(frozen=True)
class ControlPlane:
    """`tokens`: a file of users that the server reads whenever it changes, if there is one."""

    kubeconfig: Path
    tokens: Path | None = None


def kubectl(kubeconfig: Path | str, *arguments: str, stdin: bytes = b"") -> str:
    """Fails unless it succeeds; returns what it printed."""
    done = subprocess.run(
        [KUBECTL, "--kubeconfig", kubeconfig, *arguments],
        input=stdin,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@contextmanager
def given_cluster(folder: Path) -> Iterator[ControlPlane]:
    """Its current context, furnished for the tests; afterwards it is as it was."""
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(kubectl(GIVEN, "config", "view", "--raw", "--minify", "--flatten"))
    with _istio_kinds(kubeconfig), _kubelet(kubeconfig, folder):
        yield ControlPlane(kubeconfig)


@contextmanager
def _istio_kinds(kubeconfig: Path) -> Iterator[None]:
    known = kubectl(kubeconfig, "get", "crd", "-o", "name").split()
    missing = [
        crd
        for crd in istio_crds()
        if f"customresourcedefinition.apiextensions.k8s.io/{crd['metadata']['name']}" not in known
    ]
    names = [f"crd/{crd['metadata']['name']}" for crd in missing]
    listed = {"apiVersion": "v1", "kind": "List", "items": missing}
    try:
        if missing:
            kubectl(kubeconfig, "create", "-f", "-", stdin=msgspec.json.encode(listed))
            kubectl(kubeconfig, "wait", "--for=condition=Established", *names)
        yield
    finally:
        if missing:
            kubectl(kubeconfig, "delete", "--ignore-not-found", *names)


@contextmanager
def _kubelet(kubeconfig: Path, folder: Path) -> Iterator[None]:
    directory, log = folder / "kubelet", folder / "kubelet.log"
    with log.open("wb") as output:
        process = spawn(
            python_command(
                "theseus_ci.sandbox.kubelet",
                *("--kubeconfig", str(kubeconfig)),
                *("--directory", str(directory)),
                *("--node-name", NODE),
                "--no-binding",
                "--log-server-tls",
            ),
            environment=os.environ,
            directory=folder,
            stdout=output,
            stderr=output,
        )
    try:
        _await_ready(process, log)
        kubectl(kubeconfig, "cordon", NODE)  # the pods of others do not belong here
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)
        kill_marked(KUBELET_MARKER, str(directory))
        kubectl(kubeconfig, "delete", "--ignore-not-found", f"node/{NODE}")
        lease = f"lease/{NODE}"
        kubectl(kubeconfig, "delete", "--ignore-not-found", "-n", "kube-node-lease", lease)


def _await_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while "is ready" not in log.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"no kubelet for {GIVEN}: {log.read_text()}", pytrace=False)
        time.sleep(0.05)
