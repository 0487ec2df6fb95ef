"""Autoscalers in a cluster without load: bounds, the way down, and when they refuse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.stand import OTHER_CONTROLLERS, Cluster, World, cluster_in, condition, workload
from theseus_ci.sandbox.client import Object

idle = pytest.mark.skipif(OTHER_CONTROLLERS, reason="a real autoscaler wants metrics to go down")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder: Path = tmp_path_factory.mktemp("cluster")
    with cluster_in(folder, "--hpa-stabilization", "500ms") as running:
        yield running


def autoscaler(name: str, least: int, most: int, **spec: Any) -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    utilization = {"type": "Utilization", "averageUtilization": 80}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": utilization}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [metric],
            **spec,
        },
    }


def replicas(world: World, name: str = "web") -> int:
    return int(world.deployment(name).get("spec", {}).get("replicas", -1))


def state(world: World, kind: str, name: str = "web") -> tuple[str, str]:
    obj = world.autoscalers.objects.get((world.namespace, name), {})
    found = condition(obj, kind)
    return found.get("status", ""), found.get("reason", "")


async def bound(world: World, least: int, most: int) -> None:
    patch = {"spec": {"minReplicas": least, "maxReplicas": most}}
    await world.patch("horizontalpodautoscalers", "web", patch)


def test_bounds_are_enforced_at_once(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("deployments", workload("web", 2))
        await world.settled("web")
        await world.create("horizontalpodautoscalers", autoscaler("web", 4, 6))
        await world.until(lambda: replicas(world) == 4, "up to the minimum")
        await world.settled("web")
        await bound(world, 1, 3)
        await world.until(lambda: replicas(world) == 3, "down to the maximum")
        messages = {event["message"] for event in await world.events("SuccessfulRescale", 2)}
        assert messages == {
            "New size: 4; reason: Current number of replicas below Spec.MinReplicas",
            "New size: 3; reason: Current number of replicas above Spec.MaxReplicas",
        }

    cluster.run(scenario)


@idle
def test_it_goes_down_to_the_minimum_after_the_window(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("deployments", workload("web", 4))
        await world.settled("web")
        await world.create("horizontalpodautoscalers", autoscaler("web", 2, 6))
        await world.until(
            lambda: state(world, "AbleToScale") == ("True", "ScaleDownStabilized"), "it holds"
        )
        assert replicas(world) == 4
        await world.until(lambda: replicas(world) == 2, "it goes down")
        await world.settled("web")
        await world.until(
            lambda: state(world, "ScalingLimited") == ("True", "TooFewReplicas"), "it is limited"
        )
        assert state(world, "ScalingActive") == ("True", "ValidMetricFound")
        status = world.autoscalers.objects[(world.namespace, "web")]["status"]
        assert (status["currentReplicas"], status["desiredReplicas"]) == (2, 2)
        await bound(world, 1, 6)
        await world.until(lambda: replicas(world) == 1, "the lowered minimum")
        await bound(world, 3, 6)
        await world.until(lambda: replicas(world) == 3, "the raised minimum")

    cluster.run(scenario)


def test_a_share_of_nothing_moves_nothing(cluster: Cluster) -> None:
    """Of pods that request no processor there is no utilization to go down for."""

    async def scenario(world: World) -> None:
        deployment = workload("web", 3)
        del deployment["spec"]["template"]["spec"]["containers"][0]["resources"]
        await world.create("deployments", deployment)
        await world.settled("web")
        await world.create("horizontalpodautoscalers", autoscaler("web", 1, 6))
        failed = ("False", "FailedGetResourceMetric")
        await world.until(lambda: state(world, "ScalingActive") == failed, "it cannot tell")
        await world.holds(lambda: replicas(world) == 3, 1.5, "it went down")
        await bound(world, 4, 6)
        await world.until(lambda: replicas(world) == 4, "its bounds hold all the same")

    cluster.run(scenario)


def test_its_own_window_comes_first(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("deployments", workload("web", 3))
        await world.settled("web")
        behavior = {"scaleDown": {"stabilizationWindowSeconds": 300}}
        await world.create("horizontalpodautoscalers", autoscaler("web", 1, 6, behavior=behavior))
        await world.until(lambda: state(world, "AbleToScale")[0] == "True", "it is able")
        await world.holds(lambda: replicas(world) == 3, 1.5, "it went down too early")

    cluster.run(scenario)


@idle
def test_its_policies_set_the_pace(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("deployments", workload("web", 4))
        await world.settled("web")
        sizes: list[int] = []
        world.deployments.on_change(lambda _, obj: sizes.append(obj["spec"]["replicas"]))
        policy = {"type": "Pods", "value": 1, "periodSeconds": 1}
        rules = {"stabilizationWindowSeconds": 0, "policies": [policy]}
        body = autoscaler("web", 1, 6, behavior={"scaleDown": rules})
        await world.create("horizontalpodautoscalers", body)
        await world.until(lambda: replicas(world) == 1, "it is down")
        assert sorted(set(sizes), reverse=True) == [4, 3, 2, 1]

    cluster.run(scenario)


@idle
def test_it_may_be_forbidden_to_go_down(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("deployments", workload("web", 3))
        await world.settled("web")
        rules = {"stabilizationWindowSeconds": 0, "selectPolicy": "Disabled"}
        body = autoscaler("web", 1, 6, behavior={"scaleDown": rules})
        await world.create("horizontalpodautoscalers", body)
        await world.until(
            lambda: state(world, "ScalingLimited") == ("True", "ScaleDownLimit"), "it is limited"
        )
        await world.holds(lambda: replicas(world) == 3, 0.5, "it went down")

    cluster.run(scenario)


def test_a_workload_at_zero_is_left_there(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("deployments", workload("web", 0))
        await world.create("horizontalpodautoscalers", autoscaler("web", 2, 6))
        await world.until(
            lambda: state(world, "ScalingActive") == ("False", "ScalingDisabled"), "it is off"
        )
        assert replicas(world) == 0

    cluster.run(scenario)


def test_without_its_target_it_says_so_and_recovers(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("horizontalpodautoscalers", autoscaler("web", 2, 6))
        await world.until(
            lambda: state(world, "AbleToScale") == ("False", "FailedGetScale"), "no target"
        )
        await world.create("deployments", workload("web", 1))
        await world.until(lambda: replicas(world) == 2, "the target has come")

    cluster.run(scenario)


def test_targets_that_share_pods_are_not_scaled_but_for_their_bounds(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        shared = {"app": "shop"}
        for name in ("web", "other"):
            await world.create("deployments", workload(name, 3, labels=shared))
            await world.settled(name)
        for name in ("web", "other"):
            await world.create("horizontalpodautoscalers", autoscaler(name, 1, 6))
        ambiguous = ("False", "AmbiguousSelector")
        await world.until(lambda: state(world, "ScalingActive") == ambiguous, "one refuses")
        await world.until(
            lambda: state(world, "ScalingActive", "other") == ambiguous, "the other refuses"
        )
        await world.holds(lambda: replicas(world) == 3, 1.0, "it was scaled")
        await bound(world, 4, 6)
        await world.until(lambda: replicas(world) == 4, "the minimum holds all the same")
        if OTHER_CONTROLLERS:
            return
        await world.client.delete(world.path("horizontalpodautoscalers", "other"))
        await world.until(lambda: state(world, "ScalingActive")[0] == "True", "it is clear again")

    cluster.run(scenario)
