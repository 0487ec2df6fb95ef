"""Autoscalers are honoured, never fought; and what has no label of its own is told apart."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e import app
from tests.e2e.world import World, until

NO_LOAD = app.flow(without=("performance", "bake"))


def _bounds(world: World, name: str) -> tuple[int, int]:
    spec = world.get("HorizontalPodAutoscaler", name)["spec"]
    return spec["minReplicas"], spec["maxReplicas"]


def _replicas(world: World, name: str) -> int:
    return int(world.get("Deployment", name)["spec"]["replicas"])


def _run_to(world: World, command: str) -> None:
    """Every step before that command, each as a process."""
    steps = world.planned()
    for step in steps[: steps.index((command,))]:
        world.theseus(*step)


@pytest.mark.both_control_planes
def test_the_candidate_gets_a_copy_and_the_previous_one_scales_down(world: World) -> None:
    world.start_service(replicas=3)
    world.apply(app.autoscaler("web-v1", low=3, high=6))
    before = world.dump()
    world.configure(app.candidate(replicas=1), flow=NO_LOAD)
    _run_to(world, "drain-previous")
    assert _bounds(world, "web-v2") == (3, 6)
    assert _replicas(world, "web-v2") == 3
    assert _bounds(world, "web-v1") == (3, 6)
    world.theseus("drain-previous")
    world.theseus("scale-down-previous")
    assert _bounds(world, "web-v1") == (1, 6)
    world.theseus("await-scale-down")
    assert _replicas(world, "web-v1") == 1
    world.theseus("rollback")
    assert world.dump() == before
    world.await_ready("web-v1")


def test_an_autoscaler_that_cannot_measure_says_why_nothing_shrinks(world: World) -> None:
    unmeasured = app.deployment("web-v1", "v1")
    del unmeasured["spec"]["template"]["spec"]["containers"][0]["resources"]
    world.apply(app.service(), app.gateway(world.host), app.virtual_service(world.host), unmeasured)
    world.apply(app.autoscaler("web-v1", low=2, high=6))
    world.await_answer("v1")
    world.await_ready("web-v1")
    before = world.dump()
    world.configure(app.candidate(), flow=NO_LOAD, waits={"scaleDown": "3s", "settle": "300ms"})
    idle = "autoscaler web-v1 scales nothing now"
    until(lambda: idle in world.theseus("doctor", code=None).out, "doctor tells of it")
    assert f"note: {idle}: the HPA was unable to compute" in world.theseus("plan").out
    _run_to(world, "scale-down-previous")
    world.theseus("scale-down-previous")
    done = world.theseus("await-scale-down", code=3)
    assert "web-v1 still has 2 pods after 3 s, not 1" in done.err
    assert "autoscaler web-v1: the HPA was unable to compute the replica count" in done.err
    world.theseus("rollback")
    assert world.dump() == before


def test_the_manifests_own_autoscaler_keeps_the_pods_that_traffic_needs(world: World) -> None:
    world.start_service(replicas=3)
    world.configure(
        [app.candidate(replicas=1), app.autoscaler("web-v2", low=1, high=2)], flow=NO_LOAD
    )
    _run_to(world, "drain-previous")
    assert _bounds(world, "web-v2") == (3, 3)
    world.theseus("rollback")
    assert not world.has("HorizontalPodAutoscaler", "web-v2")
    world.write("flow.yaml", NO_LOAD)
    world.theseus("run")
    assert _bounds(world, "web-v2") == (1, 2)


def _one_name(version: str) -> Any:
    """What most people have: one manifest, one name, no version label, a new image."""
    return app.deployment(
        "web", version, labels={"app": "web"}, image=f"theseus-ci/demo:{version}", replicas=None
    )


@pytest.mark.both_control_planes
def test_one_name_without_a_version_label(world: World) -> None:
    previous = {**_one_name("v1")}
    previous["spec"]["replicas"] = 2
    world.apply(app.service(), app.gateway(world.host), app.virtual_service(world.host), previous)
    world.await_answer("v1")
    world.apply(app.autoscaler("web", low=2, high=5))
    world.await_ready("web")
    before = world.dump()
    world.configure(_one_name("v2"), flow=NO_LOAD, version="1.4.2")
    _run_to(world, "drain-previous")
    paused = world.get("Deployment", "web")
    assert paused["spec"]["paused"] is True
    assert _bounds(world, "web") == (2, 2)
    assert not world.has("HorizontalPodAutoscaler", "web-1.4.2")
    rules = world.api.list("DestinationRule", world.namespace)
    labels = [one["labels"] for rule in rules for one in rule["spec"]["subsets"]]
    assert any("pod-template-hash" in one for one in labels)
    assert world.ask().headers["x-demo-version"] == "v2"
    world.theseus("rollback")
    assert world.dump() == before

    world.write("flow.yaml", NO_LOAD)
    world.theseus("run")
    assert not world.has("Deployment", "web")
    assert not world.has("HorizontalPodAutoscaler", "web")
    assert _bounds(world, "web-1.4.2") == (2, 5)
    until(lambda: _replicas(world, "web-1.4.2") == 2, "the new version runs at its strength")
    assert world.ask().headers["x-demo-version"] == "v2"
