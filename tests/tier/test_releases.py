"""Whole releases on the real servers.

Four are the tests of the command line themselves, unchanged, on this cluster: what they find here
and not on the sandbox is a difference between the two.
"""

from __future__ import annotations

from tests.e2e import app
from tests.e2e.test_load_workers import test_many_workers_measure_as_one as test_many_workers
from tests.e2e.test_load_workers import (
    test_whatever_ends_it_the_workers_end_too as test_workers_end,
)
from tests.e2e.test_run import ready
from tests.e2e.test_run import test_a_good_release_under_traffic as test_good_release
from tests.e2e.test_stages import (
    test_every_step_is_a_process_and_a_second_run_changes_nothing as test_step_by_step,
)
from tests.e2e.world import World, until
from tests.tier.servers import REAL

__all__ = [
    "ready",
    "test_good_release",
    "test_many_workers",
    "test_step_by_step",
    "test_workers_end",
]
pytestmark = REAL
NO_LOAD = app.flow(without=("performance",))
HEALTH = {"name": "health", "http": {"path": "/health", "expect": {"within": "5s"}}}


def test_a_bad_release_is_taken_back_and_users_lose_nothing(world: World) -> None:
    """It fails only once it carries traffic: what is healthy and ready is not yet good."""
    world.start_service()
    before = world.dump()
    world.configure(app.candidate(DEMO_ERROR_PATHS="/"), flow=NO_LOAD, smoke=[HEALTH])
    with world.traffic(rate=60) as users:
        done = world.theseus("run", code=1)
    assert "rollback: pass" in done.out
    assert world.dump() == before
    assert [request for request in users if not request.answered] == []
    until(lambda: world.ask().headers["x-demo-version"] == "v1", "the previous version answers")


def test_an_autoscaled_release(world: World) -> None:
    """The controller manager's autoscaler must scale the previous version down by itself."""
    world.apply(
        app.service(),
        app.gateway(world.host),
        app.virtual_service(world.host),
        measured(app.deployment("web-v1", "v1", replicas=3)),
        app.autoscaler("web-v1", low=3, high=6),
    )
    world.await_answer("v1")
    world.await_ready("web-v1")
    world.configure(measured(app.candidate(replicas=1)), flow=NO_LOAD)
    done = world.theseus("run")
    assert "released: web-v2" in done.out
    scalers = [name for name in world.dump() if name.startswith("HorizontalPodAutoscaler")]
    assert len(scalers) == 1
    assert world.ask().headers["x-demo-version"] == "v2"


def measured(deployment: app.Object) -> app.Object:
    """With requests, against which an autoscaler measures utilization."""
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        container["resources"] = {"requests": {"cpu": "100m"}}
    return deployment
