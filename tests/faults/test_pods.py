"""Pods of either version that go away while a release is under way: it waits for new ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e import app
from tests.e2e.api import Object
from tests.faults.place import SMOKE, WAITS, Place, short_flow

SERVES_ON = {"DEMO_SHUTDOWN_SERVE": "3s"}  # after SIGTERM: a pod that is asked to go loses nothing
Strike = Callable[[Place, Object], None]


def delete(here: Place, pod: Object) -> None:
    here.api.delete("Pod", here.namespace, pod["metadata"]["name"])


def evict(here: Place, pod: Object) -> None:
    here.api.evict(here.namespace, pod["metadata"]["name"])


def pods(here: Place, deployment: str) -> list[Object]:
    """The pods of a version that are not going already."""
    return [
        pod
        for pod in here.api.list("Pod", here.namespace)
        if pod["metadata"]["name"].startswith(f"{deployment}-")
        and not pod["metadata"].get("deletionTimestamp")
    ]


def strike_both(here: Place, strike: Strike) -> None:
    """Once both versions are whole, strike a pod of each of them."""
    for version in (here.running, here.candidate):
        deployment = f"web-{version}"
        if here.has("Deployment", deployment):
            here.await_ready(deployment)
            strike(here, pods(here, deployment)[0])


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
