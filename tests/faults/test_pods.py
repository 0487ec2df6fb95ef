"""Pods of either version that go away while a release is under way: it waits for new ones."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.e2e import app
from tests.e2e.api import Object
from tests.e2e.world import until
from tests.faults.place import SMOKE, WAITS, Place, short_flow
from theseus_ci.rollout.readiness import CRASHES
from theseus_ci.sandbox.processes import find_marked

SERVES_ON = {"DEMO_SHUTDOWN_SERVE": "3s"}  # after SIGTERM: a pod that is asked to go loses nothing
Strike = Callable[[Place, Object], None]


def delete(here: Place, pod: Object) -> None:
    here.api.delete("Pod", here.namespace, pod["metadata"]["name"])


def evict(here: Place, pod: Object) -> None:
    here.api.evict(here.namespace, pod["metadata"]["name"])


def crash(here: Place, pod: Object) -> None:
    """Its process is gone between two moments; the kubelet starts it again in the same pod, unless
    an autoscaler takes the pod away first."""
    name = pod["metadata"]["name"]
    before = restarted(here, name)
    assert before is not None
    for process in until(lambda: find_marked("HOSTNAME", name), f"{name} runs"):
        os.kill(process, signal.SIGKILL)
    until(lambda: restarted(here, name) in (None, before + 1), f"{name} is started again")


def restarted(here: Place, pod: str) -> int | None:
    """How often the kubelet has started the pod's container again; None when it is no more."""
    found = here.api.get("Pod", here.namespace, pod)
    if found is None:
        return None
    return sum(int(one["restartCount"]) for one in found["status"].get("containerStatuses", ()))


def pods(here: Place, deployment: str) -> list[Object]:
    """The pods of a version that are not going already."""
    return [
        pod
        for pod in here.api.list("Pod", here.namespace)
        if pod["metadata"]["name"].startswith(f"{deployment}-")
        and not pod["metadata"].get("deletionTimestamp")
    ]


def strike_both(here: Place, strike: Strike) -> list[Object]:
    """Once both versions are whole, strike a pod of each of them; returns these pods."""
    struck = []
    for version in (here.running, here.candidate):
        deployment = f"web-{version}"
        if here.has("Deployment", deployment):
            here.await_ready(deployment)
            pod = pods(here, deployment)[0]
            strike(here, pod)
            struck.append(pod)
    return struck


def prepare(here: Place) -> None:
    env = {"spec": {"template": app.deployment("x", "v1", env=SERVES_ON)["spec"]["template"]}}
    here.merge("Deployment", "web-v1", env)
    here.await_ready("web-v1")
    here.configure(
        app.deployment("web-v2", "v2", env=SERVES_ON),
        flow=short_flow(),
        smoke=SMOKE,
        performance=None,
        waits=WAITS,
        firstReplicas=2,
    )


@pytest.mark.parametrize("strike", [delete, evict])
def test_a_pod_of_each_version_goes_before_every_step(here: Place, strike: Strike) -> None:
    prepare(here)
    before = here.dump()
    with here.traffic(rate=50) as requests:
        for command in here.planned():
            strike_both(here, strike)
            here.theseus(*command)
    assert here.not_released(before) == []
    assert [one for one in requests if not one.answered] == []


def test_a_pod_of_each_version_crashes_before_every_step(here: Place) -> None:
    """What a crash loses is lost before any release could help; the release goes on."""
    prepare(here)
    before = here.dump()
    for command in here.planned():
        struck = strike_both(here, crash)
        here.theseus(*command)
        for pod in struck:  # so that none crashes so often that it is rightly given up
            delete(here, pod)
    assert here.not_released(before) == []


def test_pods_that_have_crashed_long_ago_carry_their_version_back(here: Place) -> None:
    """A pod that is ready is no pod in a crash loop, however often it was started again."""
    prepare(here)
    for pod in pods(here, "web-v1"):
        for _ in range(CRASHES):
            crash(here, pod)
            here.await_ready("web-v1")
    before = here.dump()
    for command in here.planned()[:-2]:  # until it is scaled down
        here.theseus(*command)
    here.theseus("rollback")
    assert here.not_as(before) == []


def test_a_pod_of_each_version_crashes_before_the_way_back(here: Place) -> None:
    prepare(here)
    before = here.dump()
    for command in here.planned()[:-1]:
        here.theseus(*command)
    strike_both(here, crash)
    here.theseus("rollback", folder=here.workspace())
    assert here.not_as(before) == []


def test_a_pod_of_each_version_goes_before_the_way_back(here: Place) -> None:
    prepare(here)
    before = here.dump()
    with here.traffic(rate=50) as requests:
        for command in here.planned()[:-1]:
            here.theseus(*command)
        strike_both(here, delete)
        here.theseus("rollback", folder=here.workspace())
    assert here.not_as(before) == []
    assert [one for one in requests if not one.answered] == []
