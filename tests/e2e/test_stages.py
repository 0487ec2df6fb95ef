"""The whole sequence, each step a process of its own, each run twice."""

from __future__ import annotations

import pytest

from tests.e2e import app
from tests.e2e.world import World
from tests.report import junit_plugin


@pytest.mark.both_control_planes
def test_every_step_is_a_process_and_a_second_run_changes_nothing(world: World) -> None:
    world.start_service()
    world.configure(app.candidate())
    for number, command in enumerate(world.planned()):
        if number % 2 and number > 1:  # every other agent comes with an empty workspace
            (world.folder / "theseus-state.json").unlink()
        world.theseus(*command)
        before = world.api.versions(world.namespace)
        again = world.theseus(*command)
        assert "already" in again.out, (command, again.out)
        assert "nothing to do" in again.out
        assert world.api.versions(world.namespace) == before
    assert world.ask().headers["x-demo-version"] == "v2"
    assert sorted(world.dump()) == [
        "Deployment web-v2",
        "Gateway front",
        "Service web",
        "VirtualService web",
    ]
    spec = world.get("VirtualService", "web")["spec"]
    assert spec == app.virtual_service(world.host)["spec"]
    junit_plugin.read(*sorted((world.folder / "reports").glob("*.xml")))
