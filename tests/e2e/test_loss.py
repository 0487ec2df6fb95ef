"""The sandbox can lose requests, in the ways a real mesh does; the real sequence loses none.

The gateway's and the client sidecar's configuration arrive at different times, and users come in
through both.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests

from tests.e2e import app
from tests.e2e.api import Api
from tests.e2e.world import DEADLINE_SECONDS, World, until
from theseus_ci.demo.traffic import Request, read_requests
from theseus_ci.sandbox.cluster import Sandbox

RATE = 100  # requests a second through each of the two proxies


@pytest.fixture(scope="module")
def slow_mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    directory = tmp_path_factory.mktemp("loss") / "sandbox"
    with Sandbox.start(directory, gateway_delay=0.3, sidecar_delay=1.0) as started:
        yield started


@pytest.fixture
def meshed(
    slow_mesh: Sandbox, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A service that its users reach through the gateway and from inside the mesh."""
    api = Api(slow_mesh.kubeconfig, tmp_path_factory.mktemp("api"))
    world = World(slow_mesh, api, f"loss-{secrets.token_hex(3)}", tmp_path)
    api.create("Namespace", "", {"metadata": {"name": world.namespace}})
    both = app.virtual_service(world.host)
    both["spec"]["hosts"].append("web")
    both["spec"]["gateways"].append("mesh")
    world.start_service(replicas=2)
    world.apply(both)
    until(lambda: _inside(world) == 200, "the sidecar knows the service")
    yield world
    world.stop()
    api.delete("Namespace", "", world.namespace)
    api.close()


def _inside(world: World) -> int:
    """The status that a client inside the mesh gets."""
    host = f"web.{world.namespace}.svc.cluster.local"
    answer = requests.get(world.sandbox.sidecar, headers={"Host": host}, timeout=10)
    return answer.status_code


@contextmanager
def users(world: World) -> Iterator[list[Request]]:
    """Users of both proxies during the block; the list is filled at its end."""
    inside = f"web.{world.namespace}.svc.cluster.local"
    found: list[Request] = []
    places = [(world.sandbox.gateway, world.host), (world.sandbox.sidecar, inside)]
    with ExitStack() as stack:
        files = [stack.enter_context(_one_proxy(world, *place)) for place in places]
        yield found
    for file in files:
        found += read_requests(file)


@contextmanager
def _one_proxy(world: World, url: str, host: str) -> Iterator[Path]:
    out = world.folder / f"users-{url.rpartition(':')[2]}.csv"
    command = [sys.executable, "-m", "theseus_ci.demo.traffic", "--url", url, "--host", host]
    process = subprocess.Popen(
        [*command, "--rate", str(RATE), "--out", str(out)], stdout=subprocess.DEVNULL
    )
    try:
        until(lambda: out.exists() and out.stat().st_size > 0, f"users ask {url}")
        yield out
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)


def lost(found: list[Request]) -> list[Request]:
    return [request for request in found if request.lost]


def test_scaling_down_before_draining_loses_requests(meshed: World) -> None:
    with users(meshed) as found:
        meshed.merge("Deployment", "web-v1", {"spec": {"replicas": 0}})
        until(lambda: meshed.ask().status_code == 503, "nobody is left to answer")
    assert lost(found)


def test_a_route_to_a_subset_that_no_proxy_knows_loses_requests(meshed: World) -> None:
    wrong = [{"route": [{"destination": {"host": "web", "subset": "unknown"}}]}]
    with users(meshed) as found:
        meshed.merge("VirtualService", "web", {"spec": {"http": wrong}})
        until(lambda: meshed.ask().status_code == 503, "the route has arrived")
    assert lost(found)


@pytest.mark.parametrize("good", [True, False], ids=["released", "taken back"])
def test_the_sequence_loses_none(meshed: World, good: bool) -> None:
    env = {} if good else {"DEMO_BAD_ABOVE_RATE": "30", "DEMO_BAD_LATENCY": "400ms"}
    smoke = [{"name": "health", "http": {"path": "/health", "expect": {"status": 200}}}]
    quick_at_half = [{"name": "fast enough", "http": {"path": "/x", "expect": {"within": "300ms"}}}]
    meshed.configure(
        app.deployment("web-v2", "v2", env=env),
        flow=app.flow(without=("performance",), bake="2s"),
        smoke=smoke if good else [*smoke, *quick_at_half],
        waits={"settle": "2s"},
    )
    with users(meshed) as found:
        meshed.theseus("run", code=0 if good else 1)
    assert len(found) > 10 * RATE
    assert lost(found) == []
    assert all(request.answered for request in found)
    assert {request.version for request in found} == {"v1", "v2"}
