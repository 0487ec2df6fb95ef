"""Processes that go away and come back: the server, and the controllers themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sandbox.stand import (
    OTHER_SERVER,
    Cluster,
    Process,
    World,
    cluster_in,
    image_patch,
    workload,
)


@pytest.mark.skipif(bool(OTHER_SERVER), reason="only a server of ours can be stopped")
def test_controllers_find_a_server_that_was_set_up_anew(tmp_path: Path) -> None:
    async def rollout(world: World) -> None:
        await world.create("deployments", workload("web", 2))
        await world.settled("web")
        await world.patch("deployments", "web", image_patch("two"))
        await world.until(lambda: len(world.sets_of("web")) == 2, "a new ReplicaSet")
        await world.settled("web")

    with cluster_in(tmp_path) as cluster:
        cluster.run(rollout)
        assert cluster.server is not None
        assert cluster.server.stop() == 0
        cluster.server.start(cluster.kubeconfig.exists)  # another port, empty, other certificates
        cluster.run(rollout)


@pytest.mark.skipif(bool(OTHER_SERVER), reason="only a server of ours can be stopped")
def test_informers_follow_to_the_new_server(tmp_path: Path) -> None:
    with cluster_in(tmp_path) as cluster:

        async def scenario(stage: World) -> None:
            assert cluster.server is not None
            await stage.create("deployments", workload("web", 1))
            await stage.settled("web")
            cluster.server.stop()
            cluster.server.start(cluster.kubeconfig.exists)
            await stage.until(lambda: not stage.deployments.objects, "the loss is noticed")
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": stage.namespace}}
            await stage.client.create("/api/v1/namespaces", body)
            await stage.create("deployments", workload("web", 1))
            await stage.settled("web")

        cluster.run(scenario)


def test_controllers_that_start_late_do_what_was_left_undone(tmp_path: Path) -> None:
    with cluster_in(tmp_path) as cluster:

        async def scenario(stage: World) -> None:
            controllers = _ours(cluster)
            await stage.create("deployments", workload("web", 2))
            await stage.create("deployments", workload("gone", 2))
            await stage.settled("web")
            await stage.settled("gone")
            assert controllers.stop() == 0
            before = controllers.log.read_text().count("controllers are running")
            await stage.patch("deployments", "web", image_patch("two"))
            await stage.client.delete(stage.path("deployments", "gone"))
            await stage.holds(lambda: len(stage.sets_of("web")) == 1, 0.2, "someone else acts")
            controllers.start(
                lambda: controllers.log.read_text().count("controllers are running") > before
            )
            await stage.until(lambda: len(stage.sets_of("web")) == 2, "a new ReplicaSet")
            await stage.settled("web")
            await stage.until(lambda: not stage.sets_of("gone"), "the cascade goes on")

        cluster.run(scenario)


def _ours(cluster: Cluster) -> Process:
    if cluster.controllers is None:
        pytest.skip("only controllers of ours can be stopped")
    return cluster.controllers
