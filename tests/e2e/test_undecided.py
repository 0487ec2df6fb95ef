"""`onInconclusive`: what a measurement leaves open is said to be so, and a person may decide."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.e2e import app
from tests.e2e.terminal import terminal
from tests.e2e.world import World

STEP = "performance-baseline"
SHORT = app.flow(without=("autoscale", "smoke", "bake", "scale-down-previous", "await-scale-down"))
LEFT_OUT = ("performance-half", "shift-half")
SHORT["steps"] = [one for one in SHORT["steps"] if not any(name in str(one) for name in LEFT_OUT)]
# of slices of ten there are fewer than the thirty pairs that a clear pass needs
WEAK = {**app.PERFORMANCE, "rate": 100, "minDuration": "0s", "maxDuration": "5500ms"}
GATE = {**WEAK, "onInconclusive": "gate"}
QUESTION = "performance-baseline could not decide. Accept the candidate as it is?"
ACCEPT = "theseus-ci pipeline approve performance-baseline --by YOUR-NAME"


@pytest.fixture(scope="module")
def service(shared_world: World) -> World:
    shared_world.start_service(replicas=1, DEMO_LATENCY="5ms")
    return shared_world


@pytest.fixture
def steady(service: World, tmp_path: Path) -> Iterator[World]:
    service.folder = tmp_path
    service.configure(app.candidate(replicas=1, DEMO_LATENCY="5ms"), flow=SHORT, performance=GATE)
    yield service
    if service.has("Lease", "theseus-web"):
        service.theseus("rollback", "--take-over", code=None)


def measured(world: World, code: int) -> str:
    """Take the steps one by one up to the measurement; what that said."""
    for step in world.planned()[:7]:
        done = world.theseus(*step, code=code if step[0] == "performance" else 0)
    return done.text


def cases(world: World, report: str) -> dict[str, ElementTree.Element]:
    tree = ElementTree.parse(world.folder / "reports" / f"{report}.xml")
    return {case.get("name", ""): case for case in tree.iter("testcase")}


def standing(world: World) -> Any:
    steps = json.loads(world.theseus("status", "--json").out)["steps"]
    return {step["id"]: step for step in steps}[STEP]


def test_a_person_accepts_through_a_pipeline(steady: World) -> None:
    said = measured(steady, 3)
    assert f"{STEP}: undecided: " in said
    assert f"next: {ACCEPT} to accept the candidate as it is, or theseus-ci rollback" in said
    p99 = cases(steady, STEP)["latency-p99"].find("error")
    assert p99 is not None
    assert "onInconclusive: gate: a person must decide" in p99.get("message", "")
    assert f"? {STEP}" in steady.theseus("status").out
    assert "a person must" in steady.theseus("report", "--markdown").out
    assert "onInconclusive: gate" in steady.theseus("pipeline", "undecided", STEP).out
    assert steady.theseus("pipeline", "undecided").out == f"{STEP}\n"
    assert steady.theseus("pipeline", "question", STEP).out.startswith(QUESTION)
    refused = steady.theseus("shift", "100", code=2)
    assert f"comes after {STEP}, which has not passed yet" in refused.err

    steady.theseus("pipeline", "approve", STEP, "--by", "alice")
    assert steady.theseus("pipeline", "undecided", STEP).out == ""
    assert steady.theseus("pipeline", "undecided").out == ""
    now = standing(steady)
    assert (now["verdict"], now["weak"]) == ("pass", True)
    assert "weak pass: accepted by alice" in now["summary"]
    assert f"≈ {STEP}" in steady.theseus("status").out
    assert f"| `{STEP}` | ≈ weak pass |" in steady.theseus("report", "--markdown").out
    assert steady.state()["baseline"]["candidate"]["version"] == "candidate"
    steady.theseus("shift", "100")
    steady.theseus("rollback")


def test_nobody_is_there_to_ask(steady: World) -> None:
    before = steady.dump()
    done = steady.theseus("run", "--yes", code=3)
    assert "nobody is here to answer: a measurement that decides nothing" in done.out
    assert f"{STEP}: a person must decide, and nobody is here" in done.out
    assert "rollback: pass" in done.out
    assert steady.theseus("pipeline", "undecided").out == ""
    assert steady.dump() == before


def test_a_person_at_the_terminal_says_no(steady: World) -> None:
    before = steady.dump()
    with terminal(["run"], steady.folder, steady.sandbox.kubeconfig) as shown:
        shown.until(QUESTION)
        assert steady.candidate_weights() == [10]
        shown.type("no\n")
        assert shown.end() == 1, shown.text
    assert steady.dump() == before
    assert "could not decide, and" in steady.theseus("report", "--markdown").out


def test_a_person_at_the_terminal_says_yes(steady: World) -> None:
    with terminal(["run"], steady.folder, steady.sandbox.kubeconfig) as shown:
        shown.until("requests measured")
        shown.until(QUESTION)
        shown.type("yes\n")
        assert shown.end() == 0, shown.text
    assert "released: web-v2" in shown.text
    assert re.search(rf"{STEP} +weak pass +\d", shown.text)
    assert "measurements weakly" in steady.theseus("report", "--markdown").out


def test_a_weak_pass_is_called_one_everywhere(steady: World) -> None:
    """Runs last: the version released by the test before is the previous one here."""
    steady.configure(
        app.candidate("v3", replicas=1, DEMO_LATENCY="5ms"), flow=SHORT, performance=WEAK
    )
    said = measured(steady, 0)
    assert f"{STEP}: weak pass: " in said
    p99 = cases(steady, STEP)["latency-p99"]
    assert p99.find("error") is None
    assert "INCONCLUSIVE (weak pass)" in p99.findtext("system-out", "")
    assert standing(steady)["weak"] is True
    assert f"≈ {STEP}" in steady.theseus("status").out
    assert f"| `{STEP}` | ≈ weak pass |" in steady.theseus("report", "--markdown").out
    steady.theseus("report")
    page = next(steady.folder.glob("**/index.html")).read_text()
    assert page.count("≈ weak pass") >= 2
    steady.theseus("rollback")
