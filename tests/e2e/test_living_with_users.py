"""Releases one after another, and what users change meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e import app
from tests.e2e.api import Object
from tests.e2e.world import World

both = pytest.mark.both_control_planes
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


@both
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


def _until(world: World, last: tuple[str, ...]) -> None:
    """The steps before `last`, each as a command."""
    steps = world.planned()
    for command in steps[: steps.index(last)]:
        world.theseus(*command)


def _end(world: World, end: str) -> None:
    world.theseus(*(("rollback",) if end == "rollback" else ("run", "--resume")))


@both(sample=("promote",))
@pytest.mark.parametrize("end", ["rollback", "promote"])
def test_what_a_user_edits_during_a_rollout_stays(world: World, end: str) -> None:
    world.start_service(replicas=1)
    world.configure(app.candidate(replicas=1), flow=NO_LOAD)
    _until(world, ("shift", "50"))
    entries = world.get("VirtualService", "web")["spec"]["http"]
    production = next(one for one in entries if not str(one.get("name", "")).startswith("theseus"))
    production["timeout"] = "7s"
    world.merge("VirtualService", "web", {"spec": {"http": [OWN_ENTRY, *entries]}})
    for version in ("v1", "v2"):
        world.merge("Deployment", f"web-{version}", {"spec": {"replicas": 3}})
    done = world.theseus("shift", "50")
    assert "somebody has changed VirtualService" in done.out
    _end(world, end)
    expected = [OWN_ENTRY, {"route": [{"destination": {"host": "web"}}], "timeout": "7s"}]
    assert world.get("VirtualService", "web")["spec"]["http"] == expected
    assert any("somebody has changed" in note for note in world.state()["notes"])
    left = world.get("Deployment", "web-v1" if end == "rollback" else "web-v2")
    assert left["spec"]["replicas"] == 3
    said = [note for note in world.state()["notes"] if "web-v1: replicas is 3" in note]
    assert len(said) == 1
    assert world.ask("/maintenance").status_code == 418
    assert world.ask().headers["x-demo-version"] == ("v1" if end == "rollback" else "v2")


@both(sample=("promote",))
@pytest.mark.parametrize("end", ["rollback", "promote"])
def test_an_autoscaler_that_a_user_edits_during_a_rollout_stays_so(world: World, end: str) -> None:
    """Bounds and metrics; where the previous version goes, they go to the candidate's copy."""
    world.apply(app.autoscaler("web-v1"))
    world.start_service()
    world.configure(app.candidate(replicas=1), flow=NO_LOAD)
    _until(world, ("drain-previous",))
    metrics = app.autoscaler("web-v1")["spec"]["metrics"]
    metrics[0]["resource"]["target"]["averageUtilization"] = 60
    world.merge("HorizontalPodAutoscaler", "web-v1", {"spec": {"maxReplicas": 6}})
    world.theseus("drain-previous")
    world.theseus("scale-down-previous")
    world.merge("HorizontalPodAutoscaler", "web-v1", {"spec": {"metrics": metrics}})
    if end == "promote":
        world.merge("HorizontalPodAutoscaler", "web-v2", {"spec": {"minReplicas": 3}})
    _end(world, end)
    carrier, low = ("web-v1", 2) if end == "rollback" else ("web-v2", 3)
    spec = world.get("HorizontalPodAutoscaler", carrier)["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"], spec["metrics"]) == (low, 6, metrics)
    notes = "\n".join(world.state()["notes"])
    assert "web-v1: maxReplicas is 6 instead of 4; it is kept" in notes
    assert "web-v1: its metrics or behaviour; it is kept" in notes
    assert ("web-v2: minReplicas is 3" in notes) == (end == "promote")


def _without_our_subset(world: World) -> None:
    rule = world.get("DestinationRule", "web-theseus")
    kept = rule["spec"]["subsets"][1:]
    world.merge("DestinationRule", "web-theseus", {"spec": {"subsets": kept}})


def _another_selector(world: World) -> None:
    world.merge("Service", "web", {"spec": {"selector": {"app": "web", "tier": "front"}}})


@both(sample=("_without_our_subset",))
@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (_without_our_subset, "is gone: routes that name it answer 503"),
        (_another_selector, "it was app=web when the rollout began and is app=web, tier=front now"),
    ],
)
def test_an_edit_that_takes_the_ground_away_stops_the_rollout(
    world: World, edit: Callable[[World], None], said: str
) -> None:
    world.start_service(replicas=1)
    world.configure(app.candidate(replicas=1), flow=NO_LOAD)
    before = world.dump()
    _until(world, ("shift", "50"))
    edit(world)
    weights = world.candidate_weights()
    stopped = world.theseus("shift", "50", code=3)
    assert "somebody has changed" in stopped.err
    assert said in stopped.err
    assert stopped.last_words[1] == "next: theseus-ci rollback"
    assert world.candidate_weights() == weights
    world.theseus("rollback")
    world.apply(app.service())
    if edit is _another_selector:
        world.merge("Service", "web", {"spec": {"selector": {"tier": None}}})
    assert world.dump() == before
    world.await_answer("v1")
