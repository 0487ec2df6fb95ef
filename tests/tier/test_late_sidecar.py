"""A client's sidecar that hears from Istio late, while the gateway that is asked hears at once."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.loss import configure, lost, meshed, users
from tests.tier.servers import MISSING, REAL
from theseus_ci.sandbox.cluster import Sandbox

pytestmark = REAL


def test_it_knows_a_new_subset_before_its_routes_name_it(tmp_path: Path) -> None:
    """Istio tells of the cluster, is asked for its endpoints, and may tell of the route between."""
    assert not MISSING, MISSING
    with (
        Sandbox.start(
            tmp_path / "sandbox", control_plane="real", gateway_delay=0.1, sidecar_delay=2.0
        ) as sandbox,
        meshed(sandbox, tmp_path) as world,
    ):
        configure(world, "7s")
        world.theseus("begin")
        with users(world, 100) as found:
            world.theseus("base-route")
        assert lost(found) == []
