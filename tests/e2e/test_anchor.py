"""A release held against the one before it, which Jenkins has archived.

`performance` compares with the previous version beside the candidate, which here may be nine times
slower; only what the last promoted release measured tells that something is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e import app
from tests.e2e.test_judged import LOAD, NORMAL, STEP, flow
from tests.e2e.world import World
from tests.jenkins.jobs import JOB_CLASS, Build, Frame, Item
from tests.jenkins.stand_in import TOKEN, USER, StandIn, serving
from tests.report import junit_plugin
from tests.report.junit_plugin import Case, Status

SLOW = {"DEMO_LATENCY": "uniform(170ms, 190ms)"}
WIDE = {**LOAD, "tolerance": "900%", "anchorTolerance": "100%"}
ORIGIN = "against the last promoted release"


@pytest.fixture
def jenkins() -> Iterator[StandIn]:
    with serving(StandIn()) as stand_in:
        yield stand_in


def configure(world: World, version: str, env: dict[str, str]) -> None:
    candidate = app.candidate(version, replicas=1, **env)
    world.configure(candidate, flow=flow(), performance=WIDE)


def archive(jenkins: StandIn, world: World) -> None:
    """The state that a build of the release would archive."""
    state = (world.folder / "theseus-state.json").read_bytes()
    build = Build(41, [Frame(building=False, result="SUCCESS")])
    build.artefacts["theseus/theseus-state.json"] = state
    jenkins.items["shop/web"] = Item(JOB_CLASS, "<flow-definition/>", [build])


def fetch(jenkins: StandIn, world: World) -> str:
    login = {"JENKINS_URL": jenkins.url, "JENKINS_USER": USER, "JENKINS_TOKEN": TOKEN}
    return world.theseus("jenkins", "baseline", "shop/web", env=login).out


def measure(world: World, *, code: int) -> str:
    """Up to the measurement, which another agent makes: the anchor comes with the state."""
    world.theseus("begin", "--anchor", "baseline.json")
    steps = world.planned()
    for step in steps[1 : steps.index(("performance", "--baseline"))]:
        world.theseus(*step)
    (world.folder / "baseline.json").unlink()
    (world.folder / "theseus-state.json").unlink()
    return world.theseus("performance", "--baseline", code=code).text


def anchored(world: World) -> dict[str, Case]:
    cases = junit_plugin.read(world.folder / "reports" / f"{STEP}.xml")
    return {case.name: case for case in cases if case.name.startswith("anchor-")}


def test_the_last_promoted_release_is_the_anchor(world: World, jenkins: StandIn) -> None:
    world.start_service(replicas=1, **NORMAL)
    configure(world, "v2", NORMAL)
    world.theseus("run")
    measured = world.state()["baseline"]["candidate"]["quantiles"]
    archive(jenkins, world)

    assert "web as promoted by build 41" in fetch(jenkins, world)
    configure(world, "v3", SLOW)
    said = measure(world, code=1)
    assert ORIGIN in said
    assert "tolerance 100 %: FAIL" in said
    slower = anchored(world)["anchor-p50"]
    assert slower.status is Status.FAILED
    assert slower.message.startswith(f"p50 {ORIGIN} +")
    assert f"expected: at most {measured['p50'] * 2 * 1000:.3g} ms" in slower.details
    assert "previous version now: " in slower.details
    assert f"{jenkins.url}job/shop/job/web/41/" in " ".join(world.state()["notes"])
    page = world.theseus("report", "--markdown").out
    assert ORIGIN in page
    world.theseus("rollback")

    fetch(jenkins, world)
    configure(world, "v4", NORMAL)
    measure(world, code=0)
    fine = anchored(world)
    assert {case.status for case in fine.values()} == {Status.PASSED}
    assert len(fine) == 3
    assert float(fine["anchor-p50"].properties["reference"]) == pytest.approx(measured["p50"])
    kept = json.loads((world.folder / "theseus-state.json").read_text())["anchor"]
    assert kept["origin"] == "the last promoted release"
    world.theseus("rollback")
