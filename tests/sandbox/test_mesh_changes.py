"""The mesh while objects change, while some are refused, and while processes die."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.sandbox.mesh_traffic import SECONDS, Object, eventually
from tests.sandbox.mesh_world import (
    ApiServer,
    Cluster,
    Load,
    Mesh,
    RefusedError,
    World,
    answered_by,
    make_shop,
    own_namespace,
    route,
    shared_mesh,
    to,
)


@pytest.fixture(scope="module")
def mesh(apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with shared_mesh(apiserver, tmp_path_factory.mktemp("mesh") / "mesh") as running:
        yield running


@pytest.fixture
def world(apiserver: ApiServer, mesh: Mesh) -> Iterator[World]:
    with own_namespace(apiserver, mesh) as here:
        yield here


@pytest.fixture
def shop(world: World) -> World:
    return make_shop(world)


# Change


def test_no_request_is_lost_when_routes_and_subsets_change_in_the_right_order(
    shop: World,
) -> None:
    shop.routes("web", route(to("web", "v1")))
    eventually(lambda: answered_by(shop, "web") == "web-v1")
    loads = [Load(shop, "web") for _ in range(2)]
    for turn in range(5):
        shop.subsets("web", "v1", "v2", f"extra-{turn}")
        shop.routes("web", route(to("web", "v1", 50), to("web", "v2", 50)))
        loads[0].wait_for((200, "web-v1"), (200, "web-v2"))
        target = "v2" if turn % 2 == 0 else "v1"
        shop.routes("web", route(to("web", target)))
        loads[0].wait_for((200, f"web-{target}"))
    for load in loads:
        counts = load.stop()
        assert set(counts) == {(200, "web-v1"), (200, "web-v2")}, counts


def test_requests_are_lost_when_the_subset_goes_before_its_route(shop: World) -> None:
    shop.routes("web", route(to("web", "v1", 50), to("web", "v2", 50)))
    eventually(lambda: {answered_by(shop, "web") for _ in range(20)} == {"web-v1", "web-v2"})
    load = Load(shop, "web")
    shop.subsets("web", "v1")
    load.wait_for((503, ""), (200, "web-v1"))
    shop.delete("DestinationRule", "web")
    eventually(lambda: {shop.gateway.get(shop.host("web")).status for _ in range(20)} == {503})
    load.stop()


def test_requests_are_lost_when_endpoints_go_before_their_route(shop: World) -> None:
    shop.routes("web", route(to("web", "v1", 50), to("web", "v2", 50)))
    eventually(lambda: {answered_by(shop, "web") for _ in range(20)} == {"web-v1", "web-v2"})
    load = Load(shop, "web")
    shop.delete("EndpointSlice", "web-v2")
    load.wait_for((503, ""), (200, "web-v1"))
    shop.routes("web", route(to("web", "v1")))
    load.wait_for((200, "web-v1"))
    load.stop()


def test_each_proxy_hears_of_a_change_after_its_own_delay(
    apiserver: ApiServer, shop: World, tmp_path: Path
) -> None:
    host = f"web.{shop.namespace}.svc.cluster.local"
    inside = {"hosts": ["web", shop.host("web")], "gateways": ["mesh", "entry"]}
    shop.apply("VirtualService", "web", {"spec": {**inside, "http": [route(to("web", "v1"))]}})
    eventually(lambda: answered_by(shop, "web") == "web-v1")
    delays = ["--gateway-delay", "0ms", "--sidecar-delay", "24h"]
    slow = Mesh(apiserver.kubeconfig, tmp_path / "slow", *delays)
    try:
        gateway, sidecar = slow.client("gateway"), slow.client("sidecar")
        assert sidecar.get(host).backend == "web-v1"  # what exists at the start comes at once
        shop.apply("VirtualService", "web", {"spec": {**inside, "http": [route(to("web", "v2"))]}})
        eventually(lambda: gateway.get(shop.host("web")).backend == "web-v2")
        for _ in range(20):
            assert sidecar.get(host).backend == "web-v1"
    finally:
        assert slow.stop() == 0


def test_delays_are_changed_while_it_runs(apiserver: ApiServer, tmp_path: Path) -> None:
    cluster = Cluster(apiserver.kubeconfig)
    settings: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "sandbox-mesh", "namespace": "istio-system"},
    }
    with contextlib.suppress(RefusedError):
        cluster.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}}
        )
    cluster.create({**settings, "data": {"sidecarDelay": "0s", "gatewayDelay": "soon"}})
    slow = Mesh(apiserver.kubeconfig, tmp_path / "slow", "--sidecar-delay", "24h")
    namespace = f"t{secrets.token_hex(4)}"
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    here = World(
        cluster, slow, namespace, "10.250.1", slow.client("gateway"), slow.client("sidecar")
    )
    try:
        here.service("web", "v1")
        host = f"web.{namespace}.svc.cluster.local"
        eventually(lambda: here.sidecar.get(host).backend == "web-v1")
        events = [
            event["message"]
            for event in eventually(lambda: cluster.items("Event", "istio-system"))
            if event["involvedObject"]["name"] == "sandbox-mesh"
        ]
        assert "data.gatewayDelay: 'soon' is not a duration such as 300ms or 1.5s" in events
    finally:
        here.close()
        cluster.delete("ConfigMap", "istio-system", "sandbox-mesh")
        assert slow.stop() == 0


# Refusal


def test_an_untranslatable_change_is_refused_and_the_old_routes_stay(shop: World) -> None:
    shop.routes("web", route(to("web", "v1")))
    eventually(lambda: answered_by(shop, "web") == "web-v1")
    shop.routes("web", route(to("web", "v2"), match=[{"sourceNamespace": "elsewhere"}]))
    shop.routes("other", route(to("web", "v2")))
    eventually(lambda: answered_by(shop, "other") == "web-v2")
    assert answered_by(shop, "web") == "web-v1"
    event = eventually(lambda: shop.warnings("web"))[0]
    assert event["reason"] == "NotTranslated"
    assert event["message"] == (
        f"VirtualService {shop.namespace}/web: spec.http[0].match[0].sourceNamespace: "
        "the sandbox cannot translate this field"
    )
    shop.routes("web", route(to("web", "v2")))
    eventually(lambda: answered_by(shop, "web") == "web-v2")


def test_what_envoy_refuses_hinders_nothing_else(shop: World) -> None:
    shop.routes("web", route(to("web", "v1")))
    eventually(lambda: answered_by(shop, "web") == "web-v1")
    lookahead = {"headers": {"x-a": {"regex": "a(?=b)"}}}
    shop.routes("web", route(to("web", "v2"), match=[lookahead]))
    shop.routes("other", route(to("web", "v2")))
    eventually(lambda: answered_by(shop, "other") == "web-v2")
    assert answered_by(shop, "web") == "web-v1"
    event = eventually(lambda: shop.warnings("web"))[0]
    assert event["reason"] == "RejectedByEnvoy"
    assert "invalid perl operator" in event["message"]
    assert shop.warnings("other") == []


def test_the_faulty_object_is_named_also_when_another_brings_it_to_light(shop: World) -> None:
    """A VirtualService bound to no Gateway yet is in no route table: nobody has looked at it."""
    late = {"gateways": ["late"]}
    broken = route(to("web", "v1"), match=[{"uri": {"regex": "/(?=a)"}}])
    shop.routes("broken", broken, **late)
    shop.routes("web", route(to("web", "v1")), **late)
    shop.routes("other", route(to("web", "v2")))
    eventually(lambda: answered_by(shop, "other") == "web-v2")
    assert shop.warnings("broken") == []
    shop.open_gateway(name="late")
    eventually(lambda: answered_by(shop, "web") == "web-v1")
    assert eventually(lambda: shop.warnings("broken"))[0]["reason"] == "RejectedByEnvoy"
    assert shop.gateway.get(shop.host("broken"), "/a").status == 404
    assert shop.warnings("late") == shop.warnings("web") == []
    shop.routes("broken", route(to("web", "v2"), match=[{"uri": {"regex": "/a"}}]), **late)
    eventually(lambda: answered_by(shop, "broken", "/a") == "web-v2")


def _warned(world: World, name: str) -> bool:
    return bool(world.warnings(name))


def test_a_start_with_refused_objects_serves_the_others(
    apiserver: ApiServer, shop: World, tmp_path: Path
) -> None:
    shop.routes("web", route(to("web", "v1")))
    shop.routes("bad-regex", route(to("web", "v1"), match=[{"uri": {"regex": "(?<!x)y"}}]))
    shop.routes("bad-field", route(to("web", "v1"), match=[{"sourceNamespace": "elsewhere"}]))
    broken = {"http": [route(to("web", "v1"), match=[{"uri": {"regex": "(?>x)"}}])]}
    shop.routes("good-root", {"delegate": {"name": "bad-inner"}}, route(to("web", "v2")))
    shop.apply("VirtualService", "bad-inner", {"spec": broken})
    shop.apply("DestinationRule", "bad-policy", {"spec": {"host": "x", "workloadSelector": {}}})
    started = Mesh(apiserver.kubeconfig, tmp_path / "started", "--access-log")
    try:
        client = started.client("gateway")
        assert client.get(shop.host("web")).backend == "web-v1"
        assert client.get(shop.host("bad-regex"), "/y").status == 404
        assert client.get(shop.host("bad-field")).status == 404
        assert client.get(shop.host("good-root")).backend == "web-v2"
        for name in ("bad-regex", "bad-field", "bad-policy", "bad-inner"):
            eventually(partial(_warned, shop, name))
        assert shop.warnings("good-root") == shop.warnings("web") == []
        log = started.directory / "gateway" / "access.log"
        eventually(lambda: '"GET /y HTTP/1.1" 404' in log.read_text())
    finally:
        assert started.stop() == 0


# The processes


def test_an_envoy_that_dies_is_started_again_with_the_same_configuration(
    apiserver: ApiServer, shop: World, tmp_path: Path
) -> None:
    shop.routes("web", route(to("web", "v1")))
    eventually(lambda: answered_by(shop, "web") == "web-v1")
    mesh = Mesh(apiserver.kubeconfig, tmp_path / "own", "--gateway-delay", "0")
    try:
        before = mesh.envoys()
        assert len(before) == 2
        for process in before:
            os.kill(process, signal.SIGKILL)
        eventually(lambda: len(now := mesh.envoys()) == 2 and not set(now) & set(before))
        client = mesh.client("gateway")
        eventually(lambda: client.get(shop.host("web")).backend == "web-v1")
        shop.routes("web", route(to("web", "v2")))
        eventually(lambda: client.get(shop.host("web")).backend == "web-v2")
    finally:
        assert mesh.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_envoys_end_with_the_mesh(
    apiserver: ApiServer, tmp_path: Path, number: signal.Signals
) -> None:
    mesh = Mesh(apiserver.kubeconfig, tmp_path / "own")
    envoys = mesh.envoys()
    assert len(envoys) == 2
    mesh.process.send_signal(number)
    code = mesh.process.wait(SECONDS)
    assert code == (0 if number == signal.SIGTERM else -number)
    eventually(lambda: not any(Path(f"/proc/{each}/exe").exists() for each in envoys))
    assert (mesh.directory / "mesh.json").exists() == (number == signal.SIGKILL)


def test_a_port_in_use_is_an_error(apiserver: ApiServer, mesh: Mesh, tmp_path: Path) -> None:
    taken = str(urllib.parse.urlsplit(mesh.addresses["gateway"]).port)
    command = [sys.executable, "-m", "theseus_ci.sandbox.mesh", "--directory", str(tmp_path)]
    command += ["--kubeconfig", str(apiserver.kubeconfig), "--gateway-port", taken]
    found = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert found.returncode == 1
    assert found.stderr.endswith(
        f"error: 127.0.0.1:{taken} cannot be used: Address already in use\n"
    )
