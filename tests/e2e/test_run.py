"""`run`: one process follows the plan, and ends as a pipeline and a person expect."""

from __future__ import annotations

import json
import signal

import pytest

from tests.e2e import app
from tests.e2e.terminal import terminal
from tests.e2e.world import World

QUICK = app.flow(without=("performance",))
ENDS_WITHIN_SECONDS = 9.0  # three times the contract: the machine may be busy
STOPPED_AFTER = (
    "base-route: Give",
    "raise web-v2 to 1 replica",
    "shift-half: pass",
    "bake-full: Let",
    "await-scale-down: Watch",
)


@pytest.fixture
def ready(world: World) -> World:
    world.start_service()
    world.configure(app.candidate(), flow=QUICK)
    return world


@pytest.mark.both_control_planes
def test_a_good_release_under_traffic(ready: World) -> None:
    with ready.traffic(rate=80) as users:
        done = ready.theseus("run")
    assert "released: web-v2" in done.out
    assert "reports: reports/*.xml; as one page: theseus-ci report" in done.out
    assert [request for request in users if not request.answered] == []
    assert {request.version for request in users} == {"v1", "v2"}
    assert ready.get("VirtualService", "web")["spec"] == app.virtual_service(ready.host)["spec"]
    assert [name for name in ready.dump() if name.startswith(("Lease", "ConfigMap"))] == []
    again = ready.theseus("run", code=2)
    assert "web-v2 runs already, with these very images" in again.err


def test_a_failure_rolls_back_unless_told_otherwise(ready: World) -> None:
    before = ready.dump()
    ready.configure(app.candidate(DEMO_ERROR_PATHS="/"), flow=QUICK)
    done = ready.theseus("run", code=1)
    assert "rollback: pass" in done.out
    assert ready.dump() == before
    kept = ready.theseus("run", "--no-rollback", code=1)
    assert kept.last_words[1] == "next: theseus-ci rollback"
    assert ready.has("Deployment", "web-v2")
    assert "next      theseus-ci rollback" in ready.theseus("status").out
    blocked = ready.theseus("run", code=3)
    assert "theseus-ci run --resume" in blocked.err
    assert "nothing to do" not in blocked.out
    ready.theseus("rollback")
    assert ready.dump() == before


@pytest.mark.parametrize("line", STOPPED_AFTER)
def test_sigterm_saves_and_resume_finishes(ready: World, line: str) -> None:
    ready.configure(app.candidate(), flow=app.flow(without=("performance",), bake="1s"))
    run = ready.start("run")
    run.until_line(line)
    run.send(signal.SIGTERM)
    done = run.wait(ENDS_WITHIN_SECONDS)
    assert done.code == 128 + signal.SIGTERM
    assert done.last_words[1] == "next: theseus-ci rollback"
    state = ready.state()
    assert state["phase"] == "running"
    resumed = ready.theseus("run", "--resume")
    assert "released: web-v2" in resumed.out
    assert ready.ask().headers["x-demo-version"] == "v2"


def test_ctrl_c_in_a_terminal_rolls_back(ready: World) -> None:
    before = ready.dump()
    ready.configure(app.candidate(), flow=app.flow(without=("performance",), bake="1m"))
    with terminal(["run"], ready.folder, ready.sandbox.kubeconfig) as shown:
        shown.until("bake-first: Let")
        shown.process.send_signal(signal.SIGINT)
        assert shown.end() == 128 + signal.SIGINT, shown.text
    assert "Ctrl-C: rolling back" in shown.text
    assert "production traffic: 100 % on web-v1" in shown.text
    assert ready.dump() == before


def test_exit_codes_of_what_was_never_begun(ready: World) -> None:
    before = ready.dump()
    assert "no rollout of this service" in ready.theseus("run", "--resume", code=3).err
    status = json.loads(ready.theseus("status", "--json").out)
    assert status["rollout"] is None
    assert ready.dump() == before
