"""The sandbox can lose requests, in the ways a real mesh does; the real sequence loses none.

The gateway's and the client sidecar's configuration arrive at different times, and users come in
through both. `python -m bench.zero_loss` is the long run of it, on both control planes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.loss import WAYS, lost, meshed, users
from tests.e2e.world import World, until
from theseus_ci.sandbox.cluster import Sandbox

RATE = 200  # requests a second, of all users
SETTLE = "2s"  # more than either proxy is late


@pytest.fixture(scope="module")
def slow_mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    directory = tmp_path_factory.mktemp("loss") / "sandbox"
    with Sandbox.start(directory, gateway_delay=0.3, sidecar_delay=1.0) as started:
        yield started


@pytest.fixture
def world(slow_mesh: Sandbox, tmp_path: Path) -> Iterator[World]:
    with meshed(slow_mesh, tmp_path) as made:
        yield made


def test_scaling_down_before_draining_loses_requests(world: World) -> None:
    with users(world, RATE) as found:
        world.merge("Deployment", "web-v1", {"spec": {"replicas": 0}})
        until(lambda: world.ask().status_code == 503, "nobody is left to answer")
    assert lost(found)


def test_a_route_to_a_subset_that_no_proxy_knows_loses_requests(world: World) -> None:
    wrong = [{"route": [{"destination": {"host": "web", "subset": "unknown"}}]}]
    with users(world, RATE) as found:
        world.merge("VirtualService", "web", {"spec": {"http": wrong}})
        until(lambda: world.ask().status_code == 503, "the route has arrived")
    assert lost(found)


@pytest.mark.parametrize("way", WAYS)
def test_the_sequence_loses_none(world: World, way: str) -> None:
    with users(world, RATE) as found:
        WAYS[way](world, SETTLE)
    assert len(found) > 5 * RATE
    assert lost(found) == []
    assert all(request.answered for request in found)
    assert {request.version for request in found} == {"v1", "v2"}
