"""What goes with what: cascades, orphans and namespaces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.stand import Cluster, World, cluster_in, owner, workload
from theseus_ci.sandbox.client import Object


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder: Path = tmp_path_factory.mktemp("cluster")
    with cluster_in(folder) as running:
        yield running


async def exists(world: World, plural: str, name: str) -> bool:
    return name in {obj["metadata"]["name"] for obj in await world.client.list(world.path(plural))}


async def namespaces(world: World) -> set[str]:
    path = "/api/v1/namespaces"
    return {f"{path}/{obj['metadata']['name']}" for obj in await world.client.list(path)}


def reference(obj: Object, **more: bool) -> Object:
    meta = obj["metadata"]
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        **more,
    }


def config(name: str, *owners: Object) -> Object:
    meta: Object = {"name": name}
    if owners:
        meta["ownerReferences"] = list(owners)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}


async def gone(world: World, name: str) -> None:
    """A ConfigMap is not among the informers of the stand: ask until it is gone."""
    marker = world.pods  # any informer: its clock drives the question
    while await exists(world, "configmaps", name):
        await marker.until(lambda: False, 0.05)


def test_a_deleted_deployment_takes_its_pods_along(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("deployments", workload("web", 2))
        await world.settled("web")
        await world.client.delete(world.path("deployments", "web"), propagation="Background")
        await world.until(
            lambda: not world.replica_sets.objects and not world.pods.objects, "all is gone"
        )

    cluster.run(scenario)


def test_in_the_foreground_the_owner_goes_last(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        gone: list[str] = []
        for informer in (world.pods, world.replica_sets, world.deployments):
            informer.on_change(
                lambda change, obj: gone.append(obj["kind"]) if change == "DELETED" else None
            )
        world.may_stop = lambda _: False
        await world.create("deployments", workload("web", 2))
        await world.settled("web")
        pods = world.pods_of("web")
        await world.client.delete(world.path("deployments", "web"), propagation="Foreground")
        await world.until(
            lambda: all(
                "deletionTimestamp" in pod["metadata"] for pod in world.pods.objects.values()
            ),
            "the pods are stopping",
        )
        deployment = world.deployment("web")
        assert deployment["metadata"]["finalizers"] == ["foregroundDeletion"]
        assert not gone
        for pod in pods:
            await world.stop_pod(pod)
        await world.until(lambda: not world.deployments.objects, "the Deployment is gone")
        assert gone == ["Pod", "Pod", "ReplicaSet", "Deployment"]

    cluster.run(scenario)


def test_orphans_stay_and_belong_to_nobody(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("deployments", workload("web", 2))
        await world.settled("web")
        await world.client.delete(world.path("deployments", "web"), propagation="Orphan")
        await world.until(lambda: not world.deployments.objects, "the Deployment is gone")
        [replica_set] = world.replica_sets.objects.values()
        assert owner(replica_set) is None
        assert len([pod for pod in world.pods.objects.values() if owner(pod)]) == 2

    cluster.run(scenario)


def test_an_object_with_two_owners_stays_as_long_as_one_is_left(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        first = await world.create("configmaps", config("first"))
        second = await world.create("configmaps", config("second"))
        await world.create("configmaps", config("child", reference(first), reference(second)))
        await world.client.delete(world.path("configmaps", "first"))

        async def owners() -> list[str]:
            child = await world.client.get(world.path("configmaps", "child"))
            return [entry["name"] for entry in child["metadata"]["ownerReferences"]]

        while await owners() != ["second"]:
            await world.pods.until(lambda: False, 0.05)
        await world.client.delete(world.path("configmaps", "second"))
        await gone(world, "child")

    cluster.run(scenario)


def test_an_owner_is_known_by_its_uid_not_by_its_name(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        stranger = await world.create("configmaps", config("owner"))
        claimed = {**reference(stranger), "uid": "00000000-0000-4000-8000-000000000000"}
        await world.create("configmaps", config("child", claimed))
        await gone(world, "child")
        assert await exists(world, "configmaps", "owner")

    cluster.run(scenario)


def test_a_deleted_namespace_is_emptied_and_goes(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        path = f"/api/v1/namespaces/{world.namespace}"
        await world.create("deployments", workload("web", 2))
        await world.create("configmaps", config("settings"))
        await world.settled("web")
        await world.client.delete(path)
        await world.until(
            lambda: not world.deployments.objects and not world.pods.objects, "it is empty"
        )
        while path in await namespaces(world):
            await world.pods.until(lambda: False, 0.05)

    cluster.run(scenario)
