"""EndpointSlices: who is sent traffic, and who no longer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.stand import Cluster, World, cluster_in, ends, workload
from theseus_ci.sandbox.client import Object


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder: Path = tmp_path_factory.mktemp("cluster")
    with cluster_in(folder) as running:
        yield running


def service(name: str, selector: dict[str, str] | None, **spec: Any) -> Object:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    body: Object = {"ports": ports, **spec}
    if selector is not None:
        body["selector"] = selector
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {"team": "shop"}},
        "spec": body,
    }


def slices(world: World, name: str = "web") -> list[Object]:
    label = "kubernetes.io/service-name"
    found = world.slices.objects.values()
    return [obj for obj in found if obj["metadata"]["labels"].get(label) == name]


def endpoints(world: World, name: str = "web") -> dict[str, dict[str, bool]]:
    """Conditions by pod name."""
    return {
        endpoint["targetRef"]["name"]: endpoint["conditions"]
        for obj in slices(world, name)
        for endpoint in obj.get("endpoints") or []
    }


def ready(world: World, name: str = "web") -> set[str]:
    return {pod for pod, conditions in endpoints(world, name).items() if conditions["ready"]}


def test_ready_pods_are_endpoints_on_their_own_ports(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("services", service("web", {"app": "web"}))
        await world.until(lambda: len(slices(world)) == 1, "a slice before any pod")
        assert not endpoints(world)
        await world.create("deployments", workload("web", 2))
        await world.until(lambda: len(ready(world)) == 2, "two endpoints")
        [obj] = slices(world)
        assert obj["addressType"] == "IPv4"
        assert [(p["name"], p["port"], p["protocol"]) for p in obj["ports"]] == [
            ("http", 8080, "TCP")
        ]
        labels = obj["metadata"]["labels"]
        manager = labels["endpointslice.kubernetes.io/managed-by"]
        assert manager == "endpointslice-controller.k8s.io"
        assert labels["team"] == "shop"
        assert obj["metadata"]["ownerReferences"][0]["kind"] == "Service"
        addresses = {endpoint["addresses"][0] for endpoint in obj["endpoints"]}
        assert addresses == {pod["status"]["podIP"] for pod in world.pods_of("web")}
        assert {endpoint["nodeName"] for endpoint in obj["endpoints"]} == {"node-1"}

    cluster.run(scenario)


def test_a_pod_that_is_told_to_stop_is_unready_at_once_and_serves_on(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        world.may_stop = lambda _: False
        await world.create("services", service("web", {"app": "web"}))
        await world.create("deployments", workload("web", 2))
        await world.until(lambda: len(ready(world)) == 2, "two endpoints")
        victim = world.pods_of("web")[0]["metadata"]["name"]
        await world.client.delete(world.path("pods", victim), grace_seconds=30)
        await world.until(lambda: endpoints(world)[victim]["terminating"], "it is terminating")
        assert endpoints(world)[victim] == {"ready": False, "serving": True, "terminating": True}
        pod = world.pods.objects[(world.namespace, victim)]
        assert ends(pod)
        await world.set_ready(pod, False)
        await world.until(lambda: not endpoints(world)[victim]["serving"], "it serves no more")
        world.may_stop = lambda _: True
        await world.stop_pod(pod)
        await world.until(lambda: victim not in endpoints(world), "it is gone")
        await world.until(lambda: len(ready(world)) == 2, "its successor serves")

    cluster.run(scenario)


def test_readiness_and_labels_are_followed(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("services", service("web", {"app": "web"}))
        await world.create(
            "services", service("early", {"app": "web"}, publishNotReadyAddresses=True)
        )
        await world.create("deployments", workload("web", 2))
        await world.until(lambda: len(ready(world)) == 2, "two endpoints")
        sick, other = world.pods_of("web")
        await world.set_ready(sick, False)
        await world.until(lambda: ready(world) == {other["metadata"]["name"]}, "one is unready")
        await world.until(lambda: len(ready(world, "early")) == 2, "published all the same")
        name = other["metadata"]["name"]
        await world.patch("pods", name, {"metadata": {"labels": {"app": "else"}}})
        await world.until(lambda: name not in endpoints(world), "its labels took it out")

    cluster.run(scenario)


def test_versions_with_different_ports_behind_one_name_have_a_slice_each(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("services", service("web", {"app": "web"}))
        for version, number in (("one", 8080), ("two", 9090)):
            body = workload(version, 1, labels={"app": "web", "version": version})
            container = body["spec"]["template"]["spec"]["containers"][0]
            container["ports"][0]["containerPort"] = number
            await world.create("deployments", body)
        await world.until(lambda: len(ready(world)) == 2, "both serve")
        by_port = {
            obj["ports"][0]["port"]: [e["targetRef"]["name"][:3] for e in obj["endpoints"]]
            for obj in slices(world)
        }
        assert by_port == {8080: ["one"], 9090: ["two"]}
        await world.client.delete(world.path("deployments", "one"))
        await world.until(lambda: len(slices(world)) == 1, "one slice is left")

    cluster.run(scenario)


def test_a_service_without_selector_is_left_to_others(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("services", service("manual", None))
        await world.create("services", service("web", {"app": "web"}))
        await world.until(lambda: len(slices(world)) == 1, "the other service is served")
        assert not slices(world, "manual")

    cluster.run(scenario)


def test_slices_go_with_their_service_and_come_back_when_deleted(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        await world.create("services", service("web", {"app": "web"}))
        await world.until(lambda: len(slices(world)) == 1, "a slice")
        [first] = slices(world)
        await world.client.delete(world.path("endpointslices", first["metadata"]["name"]))
        await world.until(
            lambda: (
                [obj["metadata"]["uid"] for obj in slices(world)]
                not in ([], [first["metadata"]["uid"]])
            ),
            "another slice",
        )
        await world.client.delete(world.path("services", "web"))
        await world.until(lambda: not slices(world), "no slice")

    cluster.run(scenario)
