"""Jobs: to completion, by index, and to failure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.stand import Cluster, World, cluster_in, condition
from theseus_ci.sandbox.client import Object

INDEX = "batch.kubernetes.io/job-completion-index"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder: Path = tmp_path_factory.mktemp("cluster")
    with cluster_in(folder) as running:
        yield running


def job(**spec: Any) -> Object:
    pod = {
        "nodeName": "node-1",
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": "one"}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "work"},
        "spec": {"template": {"spec": pod}, **spec},
    }


def work(world: World) -> Object:
    return world.jobs.objects.get((world.namespace, "work"), {})


async def ended(world: World, how: str) -> Object:
    await world.until(lambda: condition(work(world), how).get("status") == "True", how)
    return dict(work(world)["status"])


def test_it_runs_to_completion(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        world.outcome = "Succeeded"
        await world.create("jobs", job(completions=3, parallelism=2))
        status = await ended(world, "Complete")
        assert status["succeeded"] == 3
        assert status.get("active", 0) == 0
        assert "completionTime" in status
        assert len(world.pods.objects) == 3

    cluster.run(scenario)


def test_each_index_has_its_pod(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        world.outcome = "Succeeded"
        await world.create("jobs", job(completions=3, parallelism=3, completionMode="Indexed"))
        status = await ended(world, "Complete")
        assert status["completedIndexes"] == "0-2"
        pods = list(world.pods.objects.values())
        assert sorted(pod["metadata"]["annotations"][INDEX] for pod in pods) == ["0", "1", "2"]
        for pod in pods:
            index = pod["metadata"]["annotations"][INDEX]
            assert pod["spec"]["hostname"] == f"work-{index}"
            environment = pod["spec"]["containers"][0]["env"]
            assert [entry["name"] for entry in environment] == ["JOB_COMPLETION_INDEX"]

    cluster.run(scenario)


def test_it_fails_beyond_its_backoff_limit(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        world.outcome = "Failed"
        await world.create("jobs", job(backoffLimit=0))
        status = await ended(world, "Failed")
        assert status["failed"] == 1
        assert condition(work(world), "Failed")["reason"] == "BackoffLimitExceeded"

    cluster.run(scenario)


def test_it_fails_at_its_deadline_and_stops_its_pods(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("jobs", job(activeDeadlineSeconds=1))
        await ended(world, "Failed")
        assert condition(work(world), "Failed")["reason"] == "DeadlineExceeded"
        await world.until(lambda: not world.pods.objects, "its pod is stopped")

    cluster.run(scenario)


def test_a_finished_job_goes_after_its_time(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        world.outcome = "Succeeded"
        await world.create("jobs", job(ttlSecondsAfterFinished=1))
        await ended(world, "Complete")
        await world.until(lambda: not world.jobs.objects and not world.pods.objects, "it is gone")

    cluster.run(scenario)
