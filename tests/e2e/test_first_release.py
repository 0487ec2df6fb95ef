"""The first release of a service: nothing runs yet, and afterwards users reach it."""

from __future__ import annotations

import pytest

from tests.e2e import app
from tests.e2e.api import Object
from tests.e2e.world import World

both = pytest.mark.both_control_planes
NO_LOAD = app.flow(without=("bake",))
MARKS = ("theseus-ci.io", "x-theseus", "subset")


def _unmarked(world: World) -> None:
    """Nothing that stays speaks of the rollout."""
    for name, obj in world.dump().items():
        assert not any(mark in str(obj) for mark in MARKS), (name, obj)


@both
def test_behind_routes_that_exist(world: World) -> None:
    objects = (app.service(), app.gateway(world.host), app.virtual_service(world.host))
    world.apply(*objects)
    before = world.dump()
    world.configure(app.candidate("v1"), flow=NO_LOAD)
    world.theseus("begin")
    for command in ("base-route", "deploy", "dark-route", "await-mesh", "smoke"):
        world.theseus(command)
    assert world.ask().status_code == 503, "nobody but tests reaches it yet"
    world.theseus("rollback")
    assert world.dump() == before
    done = world.theseus("run")
    assert "no previous version" in done.out
    assert world.ask().headers["x-demo-version"] == "v1"
    assert world.get("VirtualService", "web")["spec"] == app.virtual_service(world.host)["spec"]
    _unmarked(world)


@both(sample=("first release",))
@pytest.mark.parametrize("running", [False, True], ids=["first release", "previous version"])
def test_a_gateway_and_no_routes_yet(world: World, running: bool) -> None:
    """The VirtualService made for the release is how users reach it: it stays, as theirs."""
    world.apply(app.service(), app.gateway(world.host))
    if running:
        world.apply(app.deployment("web-v1", "v1", replicas=1))
        world.await_ready("web-v1")
    before = world.dump()
    world.configure(app.candidate("v2"), flow=NO_LOAD, gateways=["front"])
    world.theseus("begin")
    world.theseus("base-route")
    world.theseus("rollback")
    assert world.dump() == before
    world.theseus("run")
    world.await_answer("v2")
    made = _virtual_services(world)
    assert [(one["spec"]["hosts"][0], one["spec"]["gateways"]) for one in made] == [
        (world.host, ["front"])
    ]
    _unmarked(world)
    sizes = {name: len(str(obj["spec"])) for name, obj in world.dump().items() if "Virtual" in name}

    world.configure(app.candidate("v3"), flow=NO_LOAD, gateways=["front"])
    world.theseus("run")
    world.await_answer("v3")
    after = {name: len(str(obj["spec"])) for name, obj in world.dump().items() if "Virtual" in name}
    assert after == sizes
    _unmarked(world)


def _virtual_services(world: World) -> list[Object]:
    return world.api.list("VirtualService", world.namespace)
