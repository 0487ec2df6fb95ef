"""`shift` says how much traffic the candidate gets: it looks where that is, not what was done."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e import app
from tests.e2e.world import World
from tests.report import junit_plugin

FLOW = app.flow(without=("bake", "autoscale", "scale-down-previous", "await-scale-down"))
SMOKE = [{"name": "whole", "bash": "whole.sh"}]


@pytest.fixture
def at_half(world: World) -> World:
    """A rollout that has passed its tests at 50 %."""
    world.start_service(replicas=1)
    (world.folder / "whole.sh").write_text("test ! -e broken\n")
    world.configure(app.candidate(replicas=1), flow=FLOW, smoke=SMOKE, performance=None)
    for command in world.planned():
        world.theseus(*command)
        if command[-1] == "--compare":
            return world
    raise AssertionError("the flow has changed")


def status(world: World) -> Any:
    return json.loads(world.theseus("status", "--json").out)


def share(world: World) -> str:
    """The candidate's, as the VirtualService has it."""
    return str(status(world)["traffic"]).rpartition(", ")[2]


def test_every_shift_is_to_the_weight_that_it_names(at_half: World) -> None:
    for weight in (10, 20, 0, 20, 10, 5):  # 10 is planned, and done long ago
        at_half.theseus("shift", str(weight))
        assert share(at_half) == f"{weight} % on web-v2"
        before = at_half.api.versions(at_half.namespace)
        assert "is done already: nothing to do" in at_half.theseus("shift", str(weight)).out
        assert at_half.api.versions(at_half.namespace) == before
    for step in ("shift-first", "shift-20", "shift-0", "shift-5"):
        suites = {case.suite for case in junit_plugin.read(at_half.folder / f"reports/{step}.xml")}
        assert suites == {f"theseus.{step}"}

    by_hand = at_half.get("VirtualService", "web")["spec"]["http"]
    for destination, weight in zip(by_hand[-1]["route"], (40, 60), strict=True):
        destination["weight"] = weight
    at_half.merge("VirtualService", "web", {"spec": {"http": by_hand}})
    assert share(at_half) == "60 % on web-v2"
    at_half.theseus("shift", "5")
    assert share(at_half) == "5 % on web-v2"


def test_a_pipeline_that_is_played_again_takes_no_traffic_away(at_half: World) -> None:
    before = at_half.get("VirtualService", "web")
    said = at_half.theseus("shift", "10", "--step", "shift-first").out
    assert "shift-first is done already: nothing to do" in said
    assert at_half.get("VirtualService", "web") == before
    at_half.theseus("shift", "10")
    at_half.theseus("shift", "50", "--step", "shift-half")
    assert share(at_half) == "50 % on web-v2"


def test_what_was_found_at_more_traffic_is_found_again(at_half: World) -> None:
    said = at_half.theseus("shift", "10").out
    assert "to be done again: shift-half, smoke-half, performance-half" in said
    assert status(at_half)["nextStep"] == "shift-half"
    assert "↺ smoke-half" in at_half.theseus("status").out
    assert "to be done again" in at_half.theseus("report", "--markdown").out
    refused = at_half.theseus("smoke", "--step", "smoke-half", code=2)
    assert "comes after shift-half, which is to be done again" in refused.err
    at_half.theseus("shift", "50")
    assert status(at_half)["nextStep"] == "smoke-half"
    assert "comes after smoke-half" in at_half.theseus("shift", "100", code=2).err
    resumed = at_half.theseus("run", "--resume").out
    assert "released: web-v2" in resumed
    assert "] smoke-half: " in resumed
    assert "] shift-half: " not in resumed
    assert "] performance-baseline: " not in resumed


def test_a_shift_that_is_refused_leaves_all_as_it_was(at_half: World) -> None:
    before = at_half.dump()
    for command, step, planned in (
        (("shift", "10"), "shift-full", "shift 100"),
        (("performance", "--baseline"), "performance-half", "performance --compare"),
        (("smoke",), "shift-full", "shift 100"),
    ):
        refused = at_half.theseus(*command, "--step", step, code=2)
        assert f"{step} is planned as `{planned}`" in refused.err
        assert f"theseus-ci {planned} --step {step}" in refused.err
    assert _specs(at_half.dump()) == _specs(before)
    at_half.theseus("shift", "100", "--step", "shift-full")
    at_half.theseus("drain-previous")
    steps = at_half.state()["steps"]
    for weight in ("10", "20"):
        assert "drained already" in at_half.theseus("shift", weight, code=2).err
    assert "nothing to do" in at_half.theseus("shift", "100").out
    assert at_half.state()["steps"] == steps
    assert status(at_half)["nextStep"] == "smoke-alone"


def test_traffic_that_the_brake_has_taken_comes_back_step_by_step(at_half: World) -> None:
    (at_half.folder / "broken").touch()
    assert "brake: " in at_half.theseus("smoke", "--step", "smoke-half", "--again", code=1).out
    (at_half.folder / "broken").unlink()
    at_half.theseus("smoke", "--step", "smoke-half")
    for command in (("shift", "50"), ("shift", "100")):
        refused = at_half.theseus(*command, code=2)
        assert "comes after shift-first, which is to be done again" in refused.err
        assert refused.last_words == (
            "production traffic: 100 % on web-v1, 0 % on web-v2",
            "next: theseus-ci shift 10",
        )
    at_half.theseus("shift", "10")
    assert share(at_half) == "10 % on web-v2"
    assert status(at_half)["nextStep"] == "performance-baseline"
    resumed = at_half.theseus("run", "--resume").out
    assert "] shift-first: " not in resumed
    assert "] shift-half: " in resumed
    assert "released: web-v2" in resumed


def test_one_bake_that_is_not_planned_does_not_hide_another(at_half: World) -> None:
    for duration in ("100ms", "200ms"):
        at_half.theseus("bake", duration)
        again = at_half.theseus("bake", duration).out
        assert f"bake-{duration} is done already: nothing to do" in again
    done = [one["id"] for one in at_half.state()["steps"]]
    assert done[-2:] == ["bake-100ms", "bake-200ms"]


def _specs(dump: dict[str, Any]) -> dict[str, Any]:
    """What counts: the bookkeeping of a command that was refused may be new."""
    return {name: obj.get("spec") for name, obj in dump.items() if not name.startswith("Lease")}
