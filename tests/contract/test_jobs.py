"""Indexed Jobs as a load from many workers uses them, on the sandbox's controllers and on the real
ones: the same pods, the same logs, the same ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest
import yaml

from tests.contract.given import GIVEN, ControlPlane
from tests.contract.objects import Object
from theseus_ci.clock import SystemClock
from theseus_ci.config.workers import Load
from theseus_ci.errors import Rejected, StaleObject
from theseus_ci.kube.cluster import KubernetesCluster
from theseus_ci.kube.connect import connect
from theseus_ci.kube.logs import PodLogs
from theseus_ci.rollout import load_objects

pytestmark = pytest.mark.skipif(
    bool(GIVEN), reason="the API server of THESEUS_TEST_KUBECONFIG cannot fetch logs from here"
)
SECONDS = 60.0
NAME = "theseus-web-load"
WORKS = "contract.example.com/works:1"
FAILS = "contract.example.com/fails:1"
T = TypeVar("T")


@pytest.fixture(scope="module")
def _images(control_plane: ControlPlane) -> None:
    """An image that tells its index and goes on, and one whose second pod fails."""
    goes_on = 'echo "this is $JOB_COMPLETION_INDEX"; exec sleep 300'
    fails = '[ "$JOB_COMPLETION_INDEX" = 0 ] || exit 3'
    entries = [
        {"image": WORKS, "command": ["sh", "-c", goes_on]},
        {"image": FAILS, "command": ["sh", "-c", f"{fails}; {goes_on}"]},
    ]
    cluster = KubernetesCluster(connect(str(control_plane.kubeconfig)), SystemClock())
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "sandbox-images", "namespace": "kube-system"},
            "data": {"images.yaml": yaml.safe_dump(entries)},
        }
    )


def until(attempt: Callable[[], T], what: str) -> T:
    deadline = time.monotonic() + SECONDS
    while not (result := attempt()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)
    return result


def made(cluster: KubernetesCluster, namespace: str, image: str) -> Object:
    """The suspended Job as performance makes it, and a Secret that belongs to it."""
    load = Load(workers=2, image=image, pod={"spec": {"securityContext": None}})
    job = cluster.create(load_objects.job(namespace, "web", load))
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": NAME, "uid": job["metadata"]["uid"]}
    metadata = {"name": NAME, "namespace": namespace, "ownerReferences": [owner]}
    data = {"order.json": "e30="}
    cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
    return job


def read(cluster: KubernetesCluster, job: Object) -> Object:
    found = cluster.get("Job", job["metadata"]["namespace"], NAME)
    assert found is not None
    return found


def change(cluster: KubernetesCluster, job: Object, **spec: object) -> None:
    """A conditioned write; the controller may write the status in between."""
    while True:
        found = read(cluster, job)
        try:
            cluster.replace({**found, "spec": {**found["spec"], **spec}})
            return
        except StaleObject:
            continue


def condition(cluster: KubernetesCluster, job: Object, kind: str) -> Object:
    conditions = (read(cluster, job).get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == kind), {})


def pods_of(cluster: KubernetesCluster, job: Object) -> list[Object]:
    namespace, uid = job["metadata"]["namespace"], job["metadata"]["uid"]
    pods = cluster.list("Pod", namespace, labels=f"{load_objects.CONTROLLER}={uid}")
    return sorted(pods, key=lambda pod: str(pod["metadata"]["annotations"][load_objects.INDEX]))


def running(cluster: KubernetesCluster, job: Object) -> list[Object]:
    return [pod for pod in pods_of(cluster, job) if pod["status"].get("phase") == "Running"]


@pytest.mark.usefixtures("_images")
def test_it_waits_runs_each_index_once_and_ends_at_its_deadline(
    control_plane: ControlPlane, cluster: KubernetesCluster, namespace: str
) -> None:
    job = made(cluster, namespace, WORKS)
    until(lambda: condition(cluster, job, "Suspended").get("status") == "True", "it is suspended")
    assert pods_of(cluster, job) == []

    resumed = load_objects.resumed(read(cluster, job), 0.0)["spec"]
    change(cluster, job, suspend=False, activeDeadlineSeconds=resumed["activeDeadlineSeconds"])
    until(lambda: len(running(cluster, job)) == 2, "both workers run")
    pods = pods_of(cluster, job)
    assert [pod["metadata"]["annotations"][load_objects.INDEX] for pod in pods] == ["0", "1"]
    logs = PodLogs(connect(str(control_plane.kubeconfig)), SystemClock())
    for number, pod in enumerate(pods):
        name = pod["metadata"]["name"]
        log = until(lambda name=name: logs.read(namespace, name, "load", ""), "a log")  # type: ignore[misc]
        stamp, text = log.split(b" ", 1)
        assert text == f"this is {number}\n".encode()
        assert logs.read(namespace, name, "load", stamp.decode()) == log
        with pytest.raises(Rejected, match="container other is not valid"):
            logs.read(namespace, name, "other", "")

    change(cluster, job, activeDeadlineSeconds=1)
    until(lambda: condition(cluster, job, "Failed").get("status") == "True", "its deadline counts")
    assert condition(cluster, job, "Failed")["reason"] == "DeadlineExceeded"
    until(lambda: not running(cluster, job), "its workers are stopped")
    cluster.delete(read(cluster, job))
    until(lambda: cluster.get("Secret", namespace, NAME) is None, "its Secret goes with it")
    until(lambda: not pods_of(cluster, job), "so do its pods")


@pytest.mark.usefixtures("_images")
def test_one_worker_that_fails_ends_it_for_all(cluster: KubernetesCluster, namespace: str) -> None:
    job = made(cluster, namespace, FAILS)
    change(cluster, job, suspend=False)
    until(lambda: condition(cluster, job, "Failed").get("status") == "True", "it has failed")
    assert condition(cluster, job, "Failed")["reason"] == "BackoffLimitExceeded"
    assert not running(cluster, job)
    assert len(pods_of(cluster, job)) <= 2, "no index was tried again"
