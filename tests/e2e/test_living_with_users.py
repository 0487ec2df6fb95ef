"""Releases one after another, and what users change meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e import app
from tests.e2e.api import Object
from tests.e2e.world import World

NO_LOAD = app.flow(without=("performance", "bake"))


def _manifest(image: str) -> Object:
    return app.deployment("web", image, labels={"app": "web"}, replicas=2)


def _shape(world: World) -> dict[str, Any]:
    """Every object with the version taken out of its names and values."""
    text = {name: repr(obj) for name, obj in world.dump().items()}
    for version in ("1.4.2", "1.4.3", "v2", "v3"):
        text = {
            name.replace(version, "V"): value.replace(version, "V") for name, value in text.items()
        }
    return text


def test_releases_in_a_row_leave_the_objects_as_large_as_they_were(world: World) -> None:
    world.apply(app.service(), app.gateway(world.host), app.virtual_service(world.host))
    world.apply(_manifest("v1"))
    world.await_answer("v1")
    shapes = []
    for version, image in (("1.4.2", "v2"), ("1.4.3", "v3")):
        world.configure(_manifest(image), flow=NO_LOAD, version=version)
        world.theseus("run")
        assert world.ask().headers["x-demo-version"] == image
        shapes.append(_shape(world))
    assert shapes[0] == shapes[1]


OWN_ENTRY = {
    "name": "maintenance",
    "match": [{"uri": {"prefix": "/maintenance"}}],
    "directResponse": {"status": 418},
}


@pytest.mark.parametrize("end", ["rollback", "promote"])
def test_what_a_user_edits_during_a_rollout_stays(world: World, end: str) -> None:
    world.start_service(replicas=1)
    world.configure(app.candidate(replicas=1), flow=NO_LOAD)
    steps = world.planned()
    middle = steps.index(("shift", "50"))
    for command in steps[:middle]:
        world.theseus(*command)
    entries = world.get("VirtualService", "web")["spec"]["http"]
    production = next(one for one in entries if not str(one.get("name", "")).startswith("theseus"))
    production["timeout"] = "7s"
    world.merge("VirtualService", "web", {"spec": {"http": [OWN_ENTRY, *entries]}})
    done = world.theseus(*steps[middle])
    assert "somebody has changed VirtualService" in done.out
    if end == "rollback":
        world.theseus("rollback")
    else:
        for command in steps[middle + 1 :]:
            world.theseus(*command)
    expected = [OWN_ENTRY, {"route": [{"destination": {"host": "web"}}], "timeout": "7s"}]
    assert world.get("VirtualService", "web")["spec"]["http"] == expected
    assert any("somebody has changed" in note for note in world.state()["notes"])
    assert world.ask("/maintenance").status_code == 418
    assert world.ask().headers["x-demo-version"] == ("v1" if end == "rollback" else "v2")
