"""Deployments and their ReplicaSets, in a cluster of real processes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.stand import (
    OTHER_CONTROLLERS,
    Cluster,
    World,
    cluster_in,
    condition,
    ends,
    image_patch,
    is_ready,
    owner,
    workload,
)
from theseus_ci.sandbox.client import Object
from theseus_ci.sandbox.controllers.revisions import template_hash

REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder: Path = tmp_path_factory.mktemp("cluster")
    with cluster_in(folder) as running:
        yield running


def test_it_creates_pods_and_reports_them(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("deployments", workload("web"))
        await world.settled("web")
        await world.until(
            lambda: (
                condition(world.deployment("web"), "Progressing").get("reason")
                == "NewReplicaSetAvailable"
            ),
            "progress is complete",
        )
        web = world.deployment("web")
        assert condition(web, "Available")["status"] == "True"
        assert web["metadata"]["annotations"][REVISION] == "1"
        [replica_set] = world.sets_of("web")
        value = replica_set["metadata"]["labels"][HASH]
        assert replica_set["metadata"]["name"] == f"web-{value}"
        assert replica_set["spec"]["selector"]["matchLabels"] == {"app": "web", HASH: value}
        assert all(pod["metadata"]["labels"][HASH] == value for pod in world.pods_of("web"))
        [scaled] = await world.events("ScalingReplicaSet", 1)
        assert scaled["message"] == f"Scaled up replica set web-{value} from 0 to 3"
        assert len(await world.events("SuccessfulCreate", 3)) == 3

    cluster.run(scenario)


class Bounds:
    """Watches a rolling update, and notes every moment at which it leaves its bounds."""

    def __init__(self, world: World, name: str, most: int, least: int) -> None:
        self.world, self.name, self.most, self.least = world, name, most, least
        self.broken: list[str] = []
        self.moments = 0
        world.replica_sets.on_change(self.sizes)
        world.pods.on_change(self.pods)

    def sizes(self, _: str, __: Object) -> None:
        asked = sum(rs["spec"]["replicas"] for rs in self.world.sets_of(self.name))
        self.moments += 1
        if asked > self.most:
            self.broken.append(f"{asked} pods asked for, {self.most} allowed")

    def pods(self, _: str, __: Object) -> None:
        serving = sum(is_ready(pod) for pod in self.world.pods_of(self.name))
        self.moments += 1
        if serving < self.least:
            self.broken.append(f"{serving} pods serve, {self.least} promised")


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "most", "least"),
    [
        (4, "25%", "25%", 5, 3),
        (4, 0, 1, 4, 3),
        (3, 1, 0, 4, 3),
        (5, "50%", "50%", 8, 3),
        (1, "25%", "25%", 2, 1),
    ],
)
def test_a_rolling_update_stays_within_its_bounds_at_every_moment(
    cluster: Cluster,
    replicas: int,
    surge: int | str,
    unavailable: int | str,
    most: int,
    least: int,
) -> None:
    async def scenario(world: World) -> None:
        rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
        strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
        await world.create("deployments", workload("web", replicas, strategy=strategy))
        await world.settled("web")
        bounds = Bounds(world, "web", most, least)
        await world.patch("deployments", "web", image_patch("two"))
        await world.until(lambda: len(world.sets_of("web")) == 2, "a new ReplicaSet")
        await world.settled("web")
        assert not bounds.broken
        assert bounds.moments > 2 * replicas
        images = {pod["spec"]["containers"][0]["image"] for pod in world.pods_of("web")}
        assert images == {"two"}

    cluster.run(scenario)


def test_a_rollout_that_cannot_get_ready_stops_within_its_bounds(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        web = workload("web", 4, progressDeadlineSeconds=2)
        await world.create("deployments", web)
        await world.settled("web")
        world.may_start = lambda pod: pod["spec"]["containers"][0]["image"] != "bad"
        bounds = Bounds(world, "web", most=5, least=3)
        await world.patch("deployments", "web", image_patch("bad"))
        await world.until(
            lambda: (
                condition(world.deployment("web"), "Progressing").get("reason")
                == "ProgressDeadlineExceeded"
            ),
            "the deadline is noticed",
        )
        progressing = condition(world.deployment("web"), "Progressing")
        assert progressing["status"] == "False"
        assert condition(world.deployment("web"), "Available")["status"] == "True"
        await world.patch("deployments", "web", image_patch("one"))
        await world.settled("web")
        assert not bounds.broken

    cluster.run(scenario)


def test_going_back_to_an_earlier_template_takes_its_replica_set(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("deployments", workload("web", 2))
        await world.settled("web")
        [first] = world.sets_of("web")
        await world.patch("deployments", "web", image_patch("two"))
        await world.until(lambda: len(world.sets_of("web")) == 2, "a new ReplicaSet")
        await world.settled("web")
        await world.patch("deployments", "web", image_patch("one"))
        await world.until(
            lambda: world.deployment("web")["metadata"]["annotations"][REVISION] == "3",
            "the third revision",
        )
        await world.settled("web")
        assert len(world.sets_of("web")) == 2
        again = world.replica_sets.objects[(world.namespace, first["metadata"]["name"])]
        assert again["metadata"]["uid"] == first["metadata"]["uid"]
        assert again["spec"]["replicas"] == 2
        annotations = again["metadata"]["annotations"]
        assert annotations[REVISION] == "3"
        assert annotations["deployment.kubernetes.io/revision-history"] == "1"

    cluster.run(scenario)


def test_paused_it_scales_but_does_not_roll_out(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("deployments", workload("web", 2))
        await world.settled("web")
        await world.patch("deployments", "web", {"spec": {"paused": True}})
        await world.until(
            lambda: (
                condition(world.deployment("web"), "Progressing").get("reason")
                == "DeploymentPaused"
            ),
            "the pause is noted",
        )
        await world.patch("deployments", "web", image_patch("two"))
        await world.patch("deployments", "web", {"spec": {"replicas": 5}})
        await world.until(lambda: world.status("web").get("readyReplicas") == 5, "five pods")
        images = {pod["spec"]["containers"][0]["image"] for pod in world.pods_of("web")}
        assert images == {"one"}
        assert len(world.sets_of("web")) == 1
        await world.patch("deployments", "web", {"spec": {"paused": None}})
        await world.until(lambda: len(world.sets_of("web")) == 2, "the rollout goes on")
        await world.settled("web")

    cluster.run(scenario)


def test_paused_in_the_middle_of_a_rollout_both_sides_scale(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("deployments", workload("web", 8))
        await world.settled("web")
        world.may_start = lambda pod: pod["spec"]["containers"][0]["image"] != "slow"
        await world.patch("deployments", "web", image_patch("slow"))

        def sizes() -> list[int]:
            return sorted(rs["spec"]["replicas"] for rs in world.sets_of("web"))

        await world.until(lambda: sizes() == [4, 6], "the rollout waits for its pods")
        await world.patch("deployments", "web", {"spec": {"paused": True}})
        await world.patch("deployments", "web", {"spec": {"replicas": 16}})
        await world.until(lambda: sizes() == [8, 12], "both sides have doubled")

    cluster.run(scenario)


def test_scaling_to_nothing_and_up_again(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("deployments", workload("web", 3))
        await world.settled("web")
        await world.patch("deployments", "web", {"spec": {"replicas": 0}})
        await world.until(lambda: not world.pods.objects, "no pod is left")
        await world.settled("web")
        assert len(await world.events("SuccessfulDelete", 3)) == 3
        await world.patch("deployments", "web", {"spec": {"replicas": 2}})
        await world.until(lambda: len(world.pods_of("web")) == 2, "two pods")
        await world.settled("web")
        assert len(world.sets_of("web")) == 1

    cluster.run(scenario)


def test_recreate_starts_nothing_before_the_last_old_pod_is_gone(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        held = asyncio.Event()
        world.may_stop = lambda _: held.is_set()
        await world.create("deployments", workload("web", 2, strategy={"type": "Recreate"}))
        await world.settled("web")
        together: list[set[str]] = []

        def note(_: str, __: Object) -> None:
            pods = world.pods.objects.values()
            together.append({pod["spec"]["containers"][0]["image"] for pod in pods})

        world.pods.on_change(note)
        await world.patch("deployments", "web", image_patch("two"))
        await world.until(
            lambda: all(ends(pod) for pod in world.pods.objects.values()), "old pods are stopping"
        )
        await world.holds(lambda: len(world.sets_of("web")) == 1, 0.5, "it did not wait")
        held.set()
        for pod in list(world.pods.objects.values()):
            world.changed("MODIFIED", pod)
        await world.until(lambda: len(world.sets_of("web")) == 2, "a new ReplicaSet")
        await world.settled("web")
        assert {"one", "two"} not in together

    cluster.run(scenario)


def test_deployments_with_overlapping_selectors_leave_each_other_alone(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        both = {"app": "shop"}
        one = workload("one", 2, labels={**both, "version": "v1"}, selector=both)
        two = workload("two", 3, labels={**both, "version": "v1"}, selector=both)
        await world.create("deployments", one)
        await world.settled("one")
        await world.create("deployments", two)
        await world.settled("two")
        for name, number in (("one", 2), ("two", 3)):
            [replica_set] = world.sets_of(name)
            assert replica_set["spec"]["replicas"] == number
            assert len(world.pods_of(name)) == number
        await world.patch("deployments", "one", {"spec": {"replicas": 4}})
        await world.patch("deployments", "two", image_patch("other"))
        await world.until(lambda: len(world.sets_of("two")) == 2, "two rolls out")
        await world.until(lambda: world.deployment("one")["spec"]["replicas"] == 4, "one grows")
        await world.settled("one")
        await world.settled("two")
        assert len(world.sets_of("one")) == 1
        assert len(world.pods_of("one")) == 4
        assert len(world.pods_of("two")) == 3

    cluster.run(scenario)


def test_an_orphaned_replica_set_and_an_orphaned_pod_are_adopted(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("deployments", workload("web", 2))
        await world.settled("web")
        [before] = world.sets_of("web")
        path = world.path("deployments", "web")
        await world.client.delete(path, propagation="Orphan")
        key = (world.namespace, before["metadata"]["name"])
        await world.until(
            lambda: (
                not world.deployments.objects and owner(world.replica_sets.objects[key]) is None
            ),
            "the ReplicaSet is cut loose",
        )
        names = {pod["metadata"]["name"] for pod in world.pods.objects.values()}
        assert len(names) == 2
        await world.create("deployments", workload("web", 2))
        await world.until(lambda: bool(world.sets_of("web")), "the ReplicaSet is adopted")
        await world.settled("web")
        assert {pod["metadata"]["name"] for pod in world.pods.objects.values()} == names
        [pod, _] = world.pods_of("web")
        name = pod["metadata"]["name"]
        await world.patch("pods", name, {"metadata": {"labels": {"app": "other"}}})
        await world.until(lambda: len(world.pods.objects) == 3, "a pod released is replaced")
        await world.until(
            lambda: owner(world.pods.objects[(world.namespace, name)]) is None, "it is released"
        )

    cluster.run(scenario)


@pytest.mark.skipif(OTHER_CONTROLLERS, reason="the hash of a template is an implementation's own")
def test_a_name_that_is_taken_gets_another_hash(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        made = await world.create("deployments", workload("web", 2, paused=True))
        value = template_hash(made)
        alien = workload(f"web-{value}", 0, labels={"app": "alien"})
        await world.create("replicasets", {**alien, "kind": "ReplicaSet"})
        await world.patch("deployments", "web", {"spec": {"paused": None}})
        await world.settled("web")
        assert world.status("web")["collisionCount"] == 1
        [replica_set] = world.sets_of("web")
        assert replica_set["metadata"]["name"] != f"web-{value}"
        assert len(world.pods_of("web")) == 2

    cluster.run(scenario)


def test_old_revisions_beyond_the_limit_are_forgotten(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("deployments", workload("web", 1, revisionHistoryLimit=1))
        await world.settled("web")
        for image in ("two", "three", "four"):
            await world.patch("deployments", "web", image_patch(image))

            def is_out(image: str = image) -> bool:
                pods = world.pods_of("web")
                return [pod["spec"]["containers"][0]["image"] for pod in pods] == [image]

            await world.until(is_out, f"{image} is out")
            await world.settled("web")
        await world.until(lambda: len(world.sets_of("web")) == 2, "two ReplicaSets are left")

    cluster.run(scenario)


def test_pods_count_as_available_after_min_ready_seconds(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("deployments", workload("web", 1, minReadySeconds=2))
        await world.until(lambda: world.status("web").get("readyReplicas") == 1, "it is ready")
        ready = world.status("web")
        assert ready.get("availableReplicas", 0) == 0
        assert ready["unavailableReplicas"] == 1
        await world.until(lambda: world.status("web").get("availableReplicas") == 1, "available")

    cluster.run(scenario)


def test_pods_that_are_not_ready_are_deleted_first(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("deployments", workload("web", 4))
        await world.settled("web")
        sick = world.pods_of("web")[:2]
        for pod in sick:
            await world.set_ready(pod, False)
        await world.until(lambda: world.status("web").get("readyReplicas") == 2, "two are sick")
        await world.patch("deployments", "web", {"spec": {"replicas": 2}})
        await world.settled("web")
        left = {pod["metadata"]["name"] for pod in world.pods_of("web")}
        assert not left & {pod["metadata"]["name"] for pod in sick}

    cluster.run(scenario)


@pytest.mark.skipif(OTHER_CONTROLLERS, reason="a real one gives way to such a storm")
def test_a_storm_of_other_edits_does_not_stop_a_rollout(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("deployments", workload("web", 3))
        await world.settled("web")
        over = asyncio.Event()

        async def storm(number: int) -> int:
            edits = 0
            while not over.is_set():
                note = {"metadata": {"annotations": {f"storm-{number}": str(edits)}}}
                await world.patch("deployments", "web", note)
                for replica_set in world.sets_of("web"):
                    await world.patch("replicasets", replica_set["metadata"]["name"], note)
                edits += 1
            return edits

        storms = [asyncio.create_task(storm(number)) for number in range(3)]
        await world.patch("deployments", "web", image_patch("two"))

        def is_out() -> bool:
            pods = world.pods_of("web")
            images = [pod["spec"]["containers"][0]["image"] for pod in pods if is_ready(pod)]
            return images == ["two"] * 3

        await world.until(is_out, "the rollout is through")
        over.set()
        assert min(await asyncio.gather(*storms)) > 3
        await world.settled("web")
        assert len(world.sets_of("web")) == 2

    cluster.run(scenario)
