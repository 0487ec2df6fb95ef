"""A rollout that ends early, at any step and in any way: rollback leaves the cluster as it was."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import app
from tests.e2e.api import Object
from tests.e2e.world import World

both = pytest.mark.both_control_planes
LEASE = "theseus-web"
HASTY = {"timeout": "1ms"}


@pytest.fixture(scope="module")
def service(shared_world: World) -> World:
    """An autoscaled service; each rollback must leave it as it is."""
    shared_world.start_service()
    shared_world.apply(app.autoscaler("web-v1"))
    shared_world.await_ready("web-v1")
    return shared_world


@pytest.fixture
def steady(service: World, tmp_path: Path) -> Iterator[World]:
    """The service, and a workspace that only this test uses."""
    service.folder = tmp_path
    yield service
    if service.has("Lease", LEASE):  # a test has failed: spare those that follow
        service.theseus("rollback", "--take-over", code=None)


def _rolled_back(world: World, before: dict[str, Object], folder: Path | None = None) -> None:
    """Roll back twice; after each the cluster is as it was."""
    world.theseus("rollback", folder=folder)
    assert world.dump() == before
    again = world.theseus("rollback", folder=folder)
    assert "already" in again.out or "nothing to roll back" in again.out
    assert world.dump() == before
    assert world.ask().headers["x-demo-version"] == "v1"


@both(sample=("-deploy", "shift-first", "scale-down-previous", "promote"))
@pytest.mark.parametrize("step", [step for step, _, _ in app.STEPS if step != "begin"])
def test_a_step_that_runs_out_of_time(steady: World, step: str) -> None:
    before = steady.dump()
    left_out = () if step.startswith("performance") else ("performance",)
    steady.configure(app.candidate(), flow=app.flow(without=left_out, steps={step: HASTY}))
    done = steady.theseus("run", "--no-rollback", code=3)
    assert "time limit" in done.err
    assert done.last_words[1] == "next: theseus-ci rollback"
    _rolled_back(steady, before)


KILLED_AT = (
    "subset for the previous version: create DestinationRule",
    "test routes: edit VirtualService",
    "explicit route to the previous version: edit VirtualService",
    "create Deployment",
    "raise web-v2 to 1 replica",
    "dark route to the candidate: edit VirtualService",
    "create HorizontalPodAutoscaler",
    "candidate's weight to 10 %: edit VirtualService",
    "candidate's weight to 100 %: edit VirtualService",
    "previous version out of the routes: edit VirtualService",
    "lower the minimum of autoscaler web-v1",
)


@both(sample=("create Deployment", "weight to 10 %", "previous version out of the routes"))
@pytest.mark.parametrize("act", KILLED_AT)
def test_a_process_that_is_killed_in_the_middle_of_an_act(steady: World, act: str) -> None:
    before = steady.dump()
    steady.configure(app.candidate(), flow=app.flow(without=("performance", "bake")))
    run = steady.start("run")
    run.until_line(act)
    run.send(signal.SIGKILL)
    assert run.wait().code == -signal.SIGKILL
    _rolled_back(steady, before, steady.empty_folder())


@both(sample=("all traffic to the previous version",))
@pytest.mark.parametrize(
    "act",
    [
        "restore the bounds of autoscaler web-v1",
        "all traffic to the previous version: edit VirtualService",
        "delete Deployment web-v2",
        "take our routes out of VirtualService",
        "delete DestinationRule",
    ],
)
def test_a_rollback_that_is_killed_goes_on_elsewhere(steady: World, act: str) -> None:
    before = steady.dump()
    flow = app.flow(without=("performance", "bake"), steps={"smoke-alone": HASTY})
    steady.configure(app.candidate(), flow=flow)
    steady.theseus("run", "--no-rollback", code=3)
    rollback = steady.start("rollback")
    rollback.until_line(act)
    rollback.send(signal.SIGKILL)
    rollback.wait()
    told = json.loads(steady.theseus("status", "--json").out)
    assert (told["nextStep"], told["next"]) == (None, "theseus-ci rollback")
    _rolled_back(steady, before, steady.empty_folder())


@both
def test_a_promotion_that_is_killed_is_finished_by_the_next(world: World) -> None:
    world.start_service()
    world.configure(app.candidate(), flow=app.flow(without=("performance", "bake")))
    run = world.start("run")
    run.until_line("delete Deployment web-v1")
    run.send(signal.SIGKILL)
    run.wait()
    elsewhere = world.empty_folder()
    for name in ("candidate.yaml", "flow.yaml"):
        (elsewhere / name).write_bytes((world.folder / name).read_bytes())
    refused = world.theseus("rollback", folder=elsewhere, code=None)
    if refused.code:  # the deletion had reached the server: only forward
        assert refused.code == 3
        assert "next: theseus-ci promote" in refused.err
        world.theseus("promote", folder=elsewhere)
    left = "web-v2" if refused.code else "web-v1"
    assert [name for name in world.dump() if name.startswith("Deployment")] == [
        f"Deployment {left}"
    ]
    assert not world.has("Lease", LEASE)
    assert world.get("VirtualService", "web")["spec"] == app.virtual_service(world.host)["spec"]
