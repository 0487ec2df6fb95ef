"""A cluster of either kind, the Cluster port to it, and a namespace for each test."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.contract.given import GIVEN, ControlPlane, given_cluster
from tests.contract.users import Users
from tests.tier.servers import CONTROL_PLANES, running
from theseus_ci.clock import SystemClock
from theseus_ci.kube.cluster import KubernetesCluster
from theseus_ci.kube.connect import connect

OF_THE_USER = pytest.param("given", marks=pytest.mark.xdist_group("control-plane-given"))


@pytest.fixture(scope="session", params=[OF_THE_USER] if GIVEN else CONTROL_PLANES)
def control_plane(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    folder = tmp_path_factory.mktemp(f"contract-{request.param}")
    if request.param == "given":
        with given_cluster(folder) as given:
            yield given
    elif request.param == "real":
        yield ControlPlane(request.getfixturevalue("real_servers").kubeconfig)
    else:
        with running("sandbox", folder / "sandbox") as started:
            yield ControlPlane(started.kubeconfig, started.directory / "tokens.csv")


@pytest.fixture
def cluster(control_plane: ControlPlane) -> KubernetesCluster:
    return KubernetesCluster(connect(str(control_plane.kubeconfig)), SystemClock())


@pytest.fixture
def users(control_plane: ControlPlane) -> Users:
    return Users(control_plane)


@pytest.fixture
def namespace(cluster: KubernetesCluster) -> Iterator[str]:
    name = f"contract-{secrets.token_hex(4)}"
    made = cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    cluster.delete({**made, "metadata": {"name": name}})
