"""Releases measured by a load tool of the user's own, through the command line."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.e2e import app
from tests.e2e.world import World, until

SCRIPT = """\
import http from 'k6/http';
export const options = {
  scenarios: { open: { executor: 'constant-arrival-rate', rate: 100, timeUnit: '1s',
                       duration: '3s', preAllocatedVUs: 100 } },
};
export default function () { http.get(`${__ENV.THESEUS_URL}/`); }
"""
BAD = {"DEMO_ERROR_AFTER": "20", "DEMO_ERROR_RATE": "30%"}  # once it is known to answer at all
MEASUREMENTS = ("performance-baseline", "performance-half")


def with_k6() -> Mapping[str, str]:
    """k6 is installed beside Python, as a package of the environment."""
    return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture
def ready(world: World) -> Iterator[World]:
    world.start_service(replicas=1)
    yield world
    if world.has("Lease", "theseus-web"):
        world.theseus("rollback", "--take-over", code=None)


def configure(
    world: World,
    script: str = SCRIPT,
    *,
    tool: str = "k6",
    flow: app.Object | None = None,
    env: Mapping[str, str] | None = None,
    **keys: Any,
) -> None:
    load = {
        "driver": {tool: "load-script"},
        "tolerance": "900%",
        "anchorTolerance": "900%",
        "maxDuration": "1m",
    }
    world.write("load-script", script)
    candidate = app.candidate(replicas=1, **(env or {}))
    world.configure(candidate, flow=flow or app.flow(), performance=load, **keys)


def test_a_whole_canary_release_is_measured_by_the_users_k6(ready: World) -> None:
    configure(ready)
    with ready.traffic() as users:
        done = ready.theseus("run", env=with_k6())
        ready.await_answer("v2")
    assert "released: web-v2" in done.out
    assert done.out.count("measuring by k6") == len(MEASUREMENTS)
    assert users
    assert not [one for one in users if one.status != 200]
    judgements = ready.state()["judgements"]
    assert set(judgements) == set(MEASUREMENTS)
    for judged in judgements.values():
        assert "as k6 sent them" in judged["load"]["sentence"]
        assert judged["candidate"]["requests"] >= 200


@pytest.mark.parametrize(
    ("without", "step", "case_name"),
    [((), "performance-baseline", "errors"), (("performance",), "bake-first", "answers")],
)
def test_a_bad_candidate_is_taken_back(
    ready: World, without: tuple[str, ...], step: str, case_name: str
) -> None:
    """What a person may ask to see it is no request of the load, which the script alone knows."""
    before = ready.dump()
    configure(ready, flow=app.flow(without=without, bake="20s"), env=BAD, smoke=None)
    done = ready.theseus("run", code=1, env=with_k6())
    assert "rollback: pass" in done.out
    assert ready.dump() == before
    report = ElementTree.parse(ready.folder / "reports" / f"{step}.xml")
    (case,) = report.iterfind(f".//testcase[@name='{case_name}']")
    failure = case.find("failure")
    assert failure is not None
    assert "$SECRET" in (failure.text or "")
    assert f"{ready.gateway}/" in (failure.text or "")


def gone(number: str) -> bool:
    command_line = Path("/proc", number, "cmdline")
    return not command_line.exists() or not command_line.read_bytes()


def test_sigterm_ends_the_tool_with_all_it_started(ready: World) -> None:
    before = ready.dump()
    children = ready.folder / "children"
    configure(ready, f"sleep 600 & echo $! >> {children}; wait\n", tool="hey")
    steps = ready.planned()
    for step in steps[: steps.index(("performance", "--baseline"))]:
        ready.theseus(*step)
    running = ready.start("performance", "--baseline")
    running.until_line("measuring by hey")
    until(lambda: children.exists() and children.read_text().strip(), "the tool has begun")
    running.send(signal.SIGTERM)
    done = running.wait()
    assert done.code == 128 + signal.SIGTERM
    assert done.last_words[1] == "next: theseus-ci rollback"
    assert ready.state()["phase"] == "running"
    for number in children.read_text().split():
        until(partial(gone, number), "what the tool started has ended")
    ready.theseus("rollback")
    assert ready.dump() == before
