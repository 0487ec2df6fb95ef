"""Bad releases of every kind: each is found, loses its traffic at once, and is taken back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import app
from tests.e2e.api import Object
from tests.e2e.world import World
from tests.report import junit_plugin

pytestmark = pytest.mark.both_control_planes
LEASE = "theseus-web"


@pytest.fixture(scope="module")
def service(shared_world: World) -> World:
    shared_world.start_service()
    return shared_world


@pytest.fixture
def steady(service: World, tmp_path: Path) -> Iterator[World]:
    """The previous version, and a workspace that only this test uses."""
    service.folder = tmp_path
    yield service
    if service.has("Lease", LEASE):  # a test has failed: spare those that follow
        service.theseus("rollback", "--take-over", code=None)


@dataclass(frozen=True)
class Bad:
    """A release, the steps at which it may be found, and what is said of it."""

    found_at: tuple[str, ...]
    says: str
    env: dict[str, str] = field(default_factory=dict)
    image: str = ""
    keys: dict[str, Any] = field(default_factory=dict)
    evidence: str = ""  # what the report shows of its pods

    def manifest(self) -> Object:
        return app.deployment("web-v2", "v2", env=self.env, image=self.image)


STRICT = {**app.PERFORMANCE, "tolerance": "100%", "rate": 300, "maxDuration": "4s"}
QUICK_WAITS = {"ready": "4s"}
BAD: dict[str, Bad] = {
    "crashes at its start": Bad(
        ("deploy",),
        "crashed",
        {"DEMO_CRASH_AT_START": "true"},
        evidence="--tail 40 --previous\ncrashed as told: at start",
    ),
    "image that nobody has pushed": Bad(
        ("deploy",), "ImagePull", image="nowhere/web:v2", evidence="waiting to start"
    ),
    "never ready": Bad(("deploy",), "not ready", {"DEMO_READY_DELAY": "1h"}),
    "listens on the wrong port": Bad(("deploy",), "not ready", {"DEMO_PORT_OFFSET": "1"}),
    "crashes under load": Bad(
        ("performance-baseline", "bake-first"),
        "",
        {"DEMO_CRASH_AFTER": "60"},
        evidence="crashed as told: ",
    ),
    "answers some requests with 500": Bad(
        ("performance-baseline",), "candidate failed", {"DEMO_ERROR_RATE": "30%", "DEMO_SEED": "7"}
    ),
    "slow for some": Bad(
        ("performance-baseline",),
        "p9",
        {"DEMO_TAIL_SHARE": "30%", "DEMO_TAIL_LATENCY": "150ms"},
        keys={"performance": STRICT},
    ),
    "hangs": Bad(
        ("smoke-dark", "performance-baseline"),
        "",
        {"DEMO_HANG_RATE": "40%", "DEMO_SEED": "3"},
        keys={"performance": {**app.PERFORMANCE, "timeout": "500ms"}},
    ),
    "fails one path": Bad(("smoke-dark",), "answers", {"DEMO_ERROR_PATHS": "/"}),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_release_is_found_and_taken_back(steady: World, name: str) -> None:
    bad = BAD[name]
    before = steady.dump()
    waits = {**app.config("", "", "")["waits"], "ready": "6s"}
    steady.configure(bad.manifest(), waits=waits, **bad.keys)
    done = steady.theseus("run", "--no-rollback", code=1)
    state = steady.state()
    found = state["steps"][-1]
    assert (found["id"], found["verdict"]) in {(step, "fail") for step in bad.found_at}, done.text
    assert bad.says in found["summary"]
    cases = junit_plugin.read(steady.folder / "reports" / f"{found['id']}.xml")
    details = [case.details for case in cases]
    assert any(bad.evidence in one for one in details), details
    assert all(weight == 0 for weight in steady.candidate_weights())
    assert done.last_words == (
        "production traffic: 100 % on web-v1, 0 % on web-v2",
        "next: theseus-ci rollback",
    )
    steady.theseus("rollback")
    assert steady.dump() == before


ONLY_AT_HALF = {
    "DEMO_BAD_ABOVE_RATE": "40",
    "DEMO_ERROR_RATE": "60%",
    "DEMO_IGNORE_SIGTERM": "true",  # it has to be killed, when nobody uses it any more
}


@pytest.mark.parametrize(
    ("env", "found_at"),
    [
        pytest.param(ONLY_AT_HALF, ("smoke-half", "bake-half"), id="only at half"),
        pytest.param(
            {"DEMO_ERROR_RATE": "50%"}, ("bake-first", "bake-half"), id="fails from the beginning"
        ),
    ],
)
def test_users_of_the_previous_version_lose_nothing(
    steady: World, env: dict[str, str], found_at: tuple[str, ...]
) -> None:
    before = steady.dump()
    smoke = [{"name": "health", "http": {"path": "/health"}}]
    steady.configure(
        app.deployment("web-v2", "v2", env=env, grace=2),
        flow=app.flow(without=("performance",), bake="3s"),
        smoke=smoke,
    )
    with steady.traffic(rate=120) as users:
        done = steady.theseus("run", code=1)
        assert steady.state()["phase"] == "rolled back"
    assert "brake: the candidate's weight goes to 0 %" in done.out
    failed = [step["id"] for step in steady.state()["steps"] if step["verdict"] == "fail"]
    assert set(failed) <= set(found_at)
    assert steady.dump() == before
    by_previous = [request for request in users if request.version == "v1"]
    assert len(by_previous) > 200
    assert all(request.answered for request in by_previous)
    assert [request for request in users if request.lost] == []
    assert done.last_words == ("production traffic: 100 % on web-v1", "next: theseus-ci begin")
