"""Releases whose truth is known: what `performance` makes of them, and what it never calls a pass.

Answers take 60 ms, well above the few milliseconds by which a busy machine is late. How often an
equal release passes is told by bench/releases.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.e2e import app
from tests.e2e.world import World

STEP = "performance-baseline"
NORMAL = {"DEMO_LATENCY": "uniform(55ms, 65ms)"}
SLOWER = {"DEMO_LATENCY": "uniform(69ms, 81ms)"}
SLOW_TAIL = {**NORMAL, "DEMO_TAIL_SHARE": "10%", "DEMO_TAIL_LATENCY": "250ms"}
LOAD: dict[str, Any] = {
    "requests": [{"path": "/"}],
    "rate": 200,
    "maxDuration": "6s",
    "tolerance": {"p50": "10%", "p95": "50%", "p99": "150%"},
    "maxSchedulingError": "2s",
    "minAchieved": "20%",
}


def flow() -> app.Object:
    """Measured as soon as the mesh shows the candidate."""
    made = app.flow(without=("autoscale", "smoke", "bake"))
    left_out = ("shift-first", "shift-half", "performance-half", "scale-down")
    made["steps"] = [one for one in made["steps"] if not any(name in str(one) for name in left_out)]
    return made


@pytest.fixture(scope="module")
def service(shared_world: World) -> World:
    shared_world.start_service(replicas=1, **NORMAL)
    return shared_world


@pytest.fixture
def steady(service: World, tmp_path: Path) -> Iterator[World]:
    service.folder = tmp_path
    yield service
    if service.has("Lease", "theseus-web"):
        service.theseus("rollback", "--take-over", code=None)


def configure(world: World, env: dict[str, str], **load: Any) -> None:
    candidate = app.candidate(replicas=1, **env)
    world.configure(candidate, flow=flow(), performance={**LOAD, **load})


@dataclass(frozen=True)
class Release:
    """A release, how `run` ends, and words of its reason."""

    code: int
    says: tuple[str, ...]
    env: dict[str, str] = field(default_factory=lambda: NORMAL)
    load: dict[str, Any] = field(default_factory=dict)
    cases: tuple[str, ...] = ()  # that are a failure or an error in the report


RELEASES = {
    "a quarter slower": Release(1, ("p50 +", "tolerance 10 %"), env=SLOWER, cases=("latency-p50",)),
    "only its tail slower": Release(
        1, ("p95 ", "tolerance 50 %"), env=SLOW_TAIL, cases=("latency-p95",)
    ),
    "a machine too noisy": Release(
        3,
        ("the generator could not keep up", "INVALID, nothing is known of the candidate"),
        load={"maxSchedulingError": "0.001ms"},
        cases=("load-valid",),
    ),
    "nothing sent": Release(
        3,
        ("no slice of requests was completed", "performance.maxDuration"),
        load={"maxDuration": "20ms"},
        cases=("completed",),
    ),
    "too few": Release(
        3,
        ("requests to the candidate version were answered as expected", "200 are the least"),
        load={"rate": 50, "maxDuration": "2s"},
        cases=("completed",),
    ),
}


@pytest.mark.parametrize("name", RELEASES)
def test_what_is_no_pass_is_taken_back(steady: World, name: str) -> None:
    release = RELEASES[name]
    configure(steady, release.env, **release.load)
    before = steady.dump()
    done = steady.theseus("run", code=release.code)
    assert "rollback: pass" in done.out
    assert steady.dump() == before
    (judged,) = [one for one in steady.state()["steps"] if one["id"] == STEP]
    for words in release.says:
        assert words in done.text
        assert words in judged["summary"] or judged["results"][0]["name"] == "completed"
    bad = failing(steady)
    assert set(release.cases) <= bad
    if release.code == 3:  # nothing is said of what is not known
        assert not {name for name in bad if name.startswith(("latency", "errors"))}


def test_a_tolerance_out_of_reach_is_told_beforehand(steady: World) -> None:
    configure(steady, NORMAL, tolerance="5%")
    told = steady.theseus("plan").out
    assert "theseus.yaml: performance.tolerance: 5% of p99 is finer than 60000 requests" in told
    assert "theseus.yaml: performance.maxDuration: allows 1200 requests" in told
    assert "slices are smaller instead of 6000 being sent" in told


def test_a_rate_beyond_the_cap_is_refused_before_anything_is_touched(steady: World) -> None:
    before = steady.dump()
    configure(steady, NORMAL, rate=2000)
    for command in ("plan", "begin", "run"):
        refused = steady.theseus(command, code=2).err
        assert "performance.rate: is 2000: must be above 0 and at most maxRate, 1000" in refused
    assert steady.dump() == before
    configure(steady, NORMAL, rate=2000, maxRate=2000)
    assert "maxRate" not in steady.theseus("plan").text


def failing(world: World) -> set[str]:
    tree = ElementTree.parse(world.folder / "reports" / f"{STEP}.xml")
    return {
        case.get("name", "")
        for case in tree.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    }


def test_a_previous_version_that_does_not_answer_is_no_pass(steady: World) -> None:
    configure(steady, NORMAL)
    steps = steady.planned()
    for step in steps[: steps.index(("performance", "--baseline"))]:
        steady.theseus(*step)
    steady.merge("Deployment", "web-v1", {"spec": {"replicas": 0}})
    try:
        done = steady.theseus("performance", "--baseline", code=3)
    finally:
        steady.merge("Deployment", "web-v1", {"spec": {"replicas": 1}})
        steady.await_ready("web-v1")
    assert "requests to the previous version were answered as expected" in done.err
    steady.theseus("rollback")


def test_an_equal_release_passes(steady: World) -> None:
    """Runs last: the candidate is the previous version afterwards."""
    configure(steady, NORMAL)
    done = steady.theseus("run")
    assert "released: web-v2" in done.out
    judged = steady.state()["judgements"][STEP]
    assert judged["verdict"] == "pass"
    for effect in judged["latency"]:
        assert effect["ratio"] <= 1 + effect["tolerance"]
        assert effect["requests"] >= 400
    details = properties(steady, "latency-p50")
    assert set(details) >= {"ratio", "low", "high", "tolerance", "requests"}
    assert float(details["ratio"]) == pytest.approx(judged["latency"][0]["ratio"])


def properties(world: World, case_name: str) -> dict[str, str]:
    tree = ElementTree.parse(world.folder / "reports" / f"{STEP}.xml")
    (case,) = [one for one in tree.iter("testcase") if one.get("name") == case_name]
    return {one.get("name", ""): one.get("value", "") for one in case.iter("property")}
