"""Istio's sample application, whose objects everybody knows, and a cluster larger than samples."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.mesh_traffic import Object, eventually
from tests.sandbox.mesh_world import (
    ApiServer,
    Mesh,
    World,
    own_namespace,
    route,
    running_mesh,
    shared_mesh,
    to,
)

VERSIONS = {
    "productpage": ["v1"],
    "details": ["v1", "v2"],
    "reviews": ["v1", "v2", "v3"],
    "ratings": ["v1", "v2"],
}
PAGES: list[Object] = [
    {"uri": {"exact": "/productpage"}},
    {"uri": {"prefix": "/static"}},
    {"uri": {"exact": "/login"}},
    {"uri": {"exact": "/logout"}},
    {"uri": {"prefix": "/api/v1/products"}},
]
TESTER: Object = {"headers": {"end-user": {"exact": "jason"}}}
MANY_SERVICES = 150
"""More clusters than an ordinary user has inotify instances."""


@pytest.fixture(scope="module")
def mesh(apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with shared_mesh(apiserver, tmp_path_factory.mktemp("mesh") / "mesh") as running:
        yield running


@pytest.fixture
def world(apiserver: ApiServer, mesh: Mesh) -> Iterator[World]:
    with own_namespace(apiserver, mesh) as here:
        yield here


def test_bookinfo_behaves_as_its_documentation_says(world: World) -> None:
    for service, versions in VERSIONS.items():
        world.service(service, *versions, port=9080)
        world.subsets(service, *versions)
        everyone = {"hosts": [service], "http": [route(to(service, "v1"))]}
        world.apply("VirtualService", service, {"spec": everyone})
    world.open_gateway("*")
    destination = {"host": "productpage", "port": {"number": 9080}}
    entry = {"match": PAGES, "route": [{"destination": destination}]}
    content = {"hosts": ["*"], "gateways": ["entry"], "http": [entry]}
    world.apply("VirtualService", "bookinfo", {"spec": content})

    gateway, host = world.gateway, "any.example.com"
    eventually(lambda: gateway.get(host, "/productpage").backend == "productpage-v1")
    for path, status in (("/static/x.css", 200), ("/login", 200), ("/", 404), ("/login/x", 404)):
        assert gateway.get(host, path).status == status, path
    assert gateway.get(host, "/api/v1/products/0/reviews").backend == "productpage-v1"

    reviews = f"reviews.{world.namespace}:9080"
    eventually(lambda: {reviewer(world, reviews) for _ in range(20)} == {"reviews-v1"})
    split = {
        "hosts": ["reviews"],
        "http": [
            route(to("reviews", "v2"), match=[TESTER]),
            route(to("reviews", "v1", 90), to("reviews", "v3", 10)),
        ],
    }
    world.apply("VirtualService", "reviews", {"spec": split})
    eventually(lambda: world.sidecar.get(reviews, end_user="jason").backend == "reviews-v2")
    assert world.sidecar.get(reviews, end_user="jasons").backend in {"reviews-v1", "reviews-v3"}
    found = [reviewer(world, reviews) for _ in range(1000)]
    assert 40 <= found.count("reviews-v3") <= 160  # 100, and 6 times its deviation of 9.5
    assert found.count("reviews-v2") == 0


def reviewer(world: World, host: str) -> str:
    answer = world.sidecar.get(host)
    assert answer.status == 200, answer
    return answer.backend


def test_a_cluster_may_have_more_services_than_files_can_be_watched(
    apiserver: ApiServer, world: World, tmp_path: Path
) -> None:
    world.service("last", "v1")
    for index in range(MANY_SERVICES):
        world.service(f"web-{index}")
    host = f"last.{world.namespace}"
    with running_mesh(apiserver, tmp_path / "own", "--sidecar-delay", "0") as mesh:
        envoys = mesh.envoys()
        client = mesh.client("sidecar")
        assert client.get(host).backend == "last-v1"
        world.pod("last", "v2")
        eventually(lambda: {client.get(host).backend for _ in range(20)} == {"last-v1", "last-v2"})
        empty = client.get(f"web-{MANY_SERVICES - 1}.{world.namespace}")
        assert empty.content == b"no healthy upstream"
        assert mesh.envoys() == envoys


def test_kubectl_describe_shows_why_an_object_has_no_effect(
    apiserver: ApiServer, world: World
) -> None:
    world.open_gateway()
    world.routes("web", route(to("web"), match=[{"sourceNamespace": "elsewhere"}]))
    eventually(lambda: bool(world.warnings("web")))
    kubectl = Path(sys.executable).with_name("kubectl")
    command = [str(kubectl), "--kubeconfig", str(apiserver.kubeconfig), "-n", world.namespace]
    command += ["describe", "virtualservice", "web"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "NotTranslated" in shown
    assert "spec.http[0].match[0].sourceNamespace: the sandbox cannot translate" in shown
