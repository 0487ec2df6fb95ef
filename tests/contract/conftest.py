"""A cluster of either kind, the Cluster port to it, and a namespace for each test."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.contract.users import Users
from tests.tier.servers import CONTROL_PLANES, running
from theseus_ci.clock import SystemClock
from theseus_ci.kube.cluster import KubernetesCluster
from theseus_ci.kube.connect import connect
from theseus_ci.sandbox.cluster import Sandbox


@pytest.fixture(scope="session", params=CONTROL_PLANES)
def control_plane(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sandbox]:
    directory = tmp_path_factory.mktemp(f"contract-{request.param}") / "sandbox"
    with running(request.param, directory) as started:
        yield started


@pytest.fixture
def cluster(control_plane: Sandbox) -> KubernetesCluster:
    return KubernetesCluster(connect(str(control_plane.kubeconfig)), SystemClock())


@pytest.fixture
def users(control_plane: Sandbox) -> Users:
    return Users(control_plane)


@pytest.fixture
def namespace(cluster: KubernetesCluster) -> Iterator[str]:
    name = f"contract-{secrets.token_hex(4)}"
    made = cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    cluster.delete({**made, "metadata": {"name": name}})
