"""Which requests real Envoys send where, once Istio's objects are written."""

from __future__ import annotations

import math
import secrets
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.sandbox.mesh_traffic import Answer, Object, eventually
from tests.sandbox.mesh_world import (
    ApiServer,
    Mesh,
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


def test_requests_reach_the_subset_that_the_route_names(shop: World) -> None:
    shop.routes("web", route(to("web", "v1")))
    eventually(lambda: answered_by(shop, "web") == "web-v1")
    shop.routes("web", route(to("web", "v2")))
    eventually(lambda: answered_by(shop, "web") == "web-v2")
    answer = shop.gateway.get(shop.host("web"))
    assert int(answer.headers["x-envoy-upstream-service-time"]) >= 0
    assert answer.headers["server"] == "istio-envoy"
    assert answer.told["headers"]["x-envoy-attempt-count"] == "1"


# Matching


def test_entries_are_tried_in_order_and_match_blocks_are_alternatives(shop: World) -> None:
    v1, v2 = to("web", "v1"), to("web", "v2")
    shop.routes(
        "web",
        route(v2, match=[{"uri": {"exact": "/a"}}, {"headers": {"x-a": {"exact": "1"}}}]),
        route(v1, match=[{"uri": {"prefix": "/"}}]),
        route(v2),
    )
    eventually(lambda: answered_by(shop, "web") == "web-v1")
    assert answered_by(shop, "web", "/a") == "web-v2"
    assert answered_by(shop, "web", "/a/b") == "web-v1"
    assert answered_by(shop, "web", "/b", x_a="1") == "web-v2"
    assert answered_by(shop, "web", "/b", x_a="2") == "web-v1"


MATCHES: list[tuple[str, Object, list[tuple[str, Object]], list[tuple[str, Object]]]] = [
    # condition, (path, headers) that fulfil it, and that do not
    (
        "uri exact",
        {"uri": {"exact": "/a"}},
        [("/a", {}), ("/a?q=1", {})],
        [("/a/", {}), ("/A", {})],
    ),
    ("uri prefix", {"uri": {"prefix": "/a"}}, [("/ab", {}), ("/a/b", {})], [("/b/a", {})]),
    ("uri regex", {"uri": {"regex": "/a.?"}}, [("/a", {}), ("/ab", {})], [("/abc", {})]),
    ("any case", {"uri": {"exact": "/a"}, "ignoreUriCase": True}, [("/A", {})], [("/B", {})]),
    ("method", {"method": {"exact": "PUT"}}, [("/", {"method": "PUT"})], [("/", {})]),
    ("scheme", {"scheme": {"exact": "https"}}, [], [("/", {})]),
    ("scheme http", {"scheme": {"exact": "http"}}, [("/", {})], []),
    ("header exact", {"headers": {"x-h": {"exact": "v"}}}, [("/", {"x_h": "v"})], [("/", {})]),
    (
        "header prefix",
        {"headers": {"x-h": {"prefix": "v"}}},
        [("/", {"x_h": "v2"})],
        [("/", {"x_h": "wv"}), ("/", {})],
    ),
    (
        "header regex matches as a whole",
        {"headers": {"cookie": {"regex": r"^(.*;\s*)?user=(ann|bob)(;.*)?$"}}},
        [("/", {"cookie": "a=b; user=bob"}), ("/", {"cookie": "user=ann;x=y"})],
        [("/", {"cookie": "user=anna"}), ("/", {})],
    ),
    ("header present", {"headers": {"x-h": {}}}, [("/", {"x_h": "any"})], [("/", {})]),
    (
        "header absent",
        {"withoutHeaders": {"x-h": {}}},
        [("/", {})],
        [("/", {"x_h": "any"})],
    ),
    (
        "header other than",
        {"withoutHeaders": {"x-h": {"exact": "v"}}},
        [("/", {}), ("/", {"x_h": "w"})],
        [("/", {"x_h": "v"})],
    ),
    (
        "query",
        {"queryParams": {"q": {"exact": "1"}}},
        [("/?q=1", {}), ("/?a=b&q=1", {})],
        [("/?q=2", {}), ("/", {})],
    ),
    ("query present", {"queryParams": {"q": {}}}, [("/?q", {})], [("/?r=1", {})]),
    (
        "all of one block",
        {"uri": {"prefix": "/a"}, "headers": {"x-h": {"exact": "v"}}},
        [("/a", {"x_h": "v"})],
        [("/a", {}), ("/b", {"x_h": "v"})],
    ),
    ("server port", {"port": 80}, [("/", {})], []),
    ("another port", {"port": 81}, [], [("/", {})]),
    ("this gateway", {"gateways": ["entry"]}, [("/", {})], []),
    ("another gateway", {"gateways": ["mesh"]}, [], [("/", {})]),
    ("labels of others", {"sourceLabels": {"app": "caller"}}, [], [("/", {})]),
    ("own labels", {"sourceLabels": {"istio": "ingressgateway"}}, [("/", {})], []),
]


def test_conditions_hold_for_what_istio_says_they_do(shop: World) -> None:
    """Every condition in a VirtualService of its own, so that one push serves them all."""
    for index, (_, condition, _, _) in enumerate(MATCHES):
        entries = [route(to("web", "v2"), match=[condition]), route(to("web", "v1"))]
        shop.routes(f"match-{index}", *entries)
    shop.routes("last", route(to("web", "v1")))
    eventually(lambda: answered_by(shop, "last") == "web-v1")
    for index, (name, _, fulfilled, failed) in enumerate(MATCHES):
        for requests, expected in ((fulfilled, "web-v2"), (failed, "web-v1")):
            for path, headers in requests:
                found = shop.gateway.get(shop.host(f"match-{index}"), path, **headers)
                assert found.backend == expected, (name, path, headers, found.status)


def test_authority_is_matched_as_sent(shop: World) -> None:
    host = shop.host("web")
    condition = {"authority": {"exact": f"{host}:8080"}}
    shop.routes("web", route(to("web", "v2"), match=[condition]), route(to("web", "v1")))
    eventually(lambda: answered_by(shop, "web") == "web-v1")
    assert shop.gateway.get(f"{host}:8080").backend == "web-v2"


# Destinations


def test_weights_are_relative_and_zero_means_never(shop: World) -> None:
    shop.pod("web", "v3")
    shop.subsets("web", "v1", "v2", "v3")
    shop.routes("web", route(to("web", "v1", 3), to("web", "v2", 1), to("web", "v3", 0)))
    eventually(lambda: answered_by(shop, "web") in {"web-v1", "web-v2"})
    total, share = 2000, 0.25
    counts = Counter(answered_by(shop, "web") for _ in range(total))
    deviation = math.sqrt(total * share * (1 - share))
    assert abs(counts["web-v2"] - total * share) < 6 * deviation, counts
    assert counts["web-v1"] + counts["web-v2"] == total, counts


def test_a_single_destination_needs_no_weight(shop: World) -> None:
    shop.routes("web", route(to("web", "v2", 0)))
    eventually(lambda: answered_by(shop, "web") == "web-v2")


def test_hosts_may_be_full_names_and_ports_explicit(shop: World) -> None:
    full = f"web.{shop.namespace}.svc.cluster.local"
    destination = {"host": full, "subset": "v2", "port": {"number": 80}}
    shop.routes("web", {"route": [{"destination": destination}]})
    eventually(lambda: answered_by(shop, "web") == "web-v2")


def test_the_single_port_of_a_service_is_its_default(world: World) -> None:
    world.open_gateway()
    world.service("web", "v1", port=9080)
    world.routes("web", route(to("web")))
    eventually(lambda: answered_by(world, "web") == "web-v1")


def test_answers_of_a_mesh_when_nothing_is_there(shop: World) -> None:
    shop.routes(
        "web",
        route(to("web", "v1"), match=[{"uri": {"exact": "/there"}}]),
        route(to("web", "gone"), match=[{"uri": {"exact": "/no-subset"}}]),
        route(to("nobody"), match=[{"uri": {"exact": "/no-service"}}]),
        route(to("empty"), match=[{"uri": {"exact": "/no-endpoint"}}]),
    )
    shop.service("empty")
    eventually(lambda: answered_by(shop, "web", "/there") == "web-v1")
    host = shop.host("web")
    eventually(lambda: shop.gateway.get(host, "/no-endpoint").content == b"no healthy upstream")
    assert shop.gateway.get(host, "/no-endpoint").status == 503
    for path in ("/no-subset", "/no-service"):
        found = shop.gateway.get(host, path)
        assert (found.status, found.content) == (503, b""), path
    assert shop.gateway.get(host, "/no-route").status == 404
    assert shop.gateway.get(shop.host("unknown")).status == 404


def test_only_ready_endpoints_get_traffic(world: World) -> None:
    world.open_gateway()
    world.service("web", "v1", "v2")
    world.routes("web", route(to("web")))
    eventually(lambda: {answered_by(world, "web") for _ in range(20)} == {"web-v1", "web-v2"})
    world.endpoints("web", "v1", ready=False)
    eventually(lambda: {answered_by(world, "web") for _ in range(20)} == {"web-v2"})
    world.endpoints("web", "v1", ready=True)
    eventually(lambda: {answered_by(world, "web") for _ in range(20)} == {"web-v1", "web-v2"})


def test_several_virtual_services_share_a_host_in_order_of_age(shop: World) -> None:
    host = shop.host("shared")
    first = [route(to("web", "v1"), match=[{"uri": {"prefix": "/a"}}]), route(to("web", "v1"))]
    second = [
        route(to("web", "v2"), match=[{"uri": {"prefix": prefix}}]) for prefix in ("/a", "/b")
    ]
    shop.routes("shared-1", *first, hosts=[host])
    shop.routes("shared-2", *second, hosts=[host])
    eventually(lambda: answered_by(shop, "shared", "/b") == "web-v2")
    assert answered_by(shop, "shared", "/a") == "web-v1"
    assert answered_by(shop, "shared", "/c") == "web-v1"


def test_hosts_of_gateway_and_virtual_service_are_intersected(shop: World) -> None:
    domain = f"{shop.namespace}.example.com"
    shop.open_gateway(
        f"{shop.namespace}/*.{domain}", f"other/only.{domain}", f"x.{shop.namespace}.org"
    )
    shop.routes("web", route(to("web", "v1")), hosts=[f"a.{domain}", f"*.{shop.namespace}.org"])
    eventually(lambda: shop.gateway.get(f"a.{domain}").backend == "web-v1")
    assert shop.gateway.get(f"x.{shop.namespace}.org").backend == "web-v1"
    assert shop.gateway.get(f"y.{shop.namespace}.org").status == 404
    assert shop.gateway.get(f"b.{domain}").status == 404


def test_a_gateway_for_other_pods_is_not_served(shop: World) -> None:
    port = {"number": 443, "name": "https", "protocol": "HTTPS"}
    server = {"port": port, "hosts": ["*"], "tls": {"mode": "SIMPLE", "credentialName": "c"}}
    foreign = {"spec": {"selector": {"istio": "egressgateway"}, "servers": [server]}}
    shop.apply("Gateway", "foreign", foreign)
    shop.routes("foreign", route(to("web", "v1")), gateways=["foreign"])
    shop.routes("web", route(to("web", "v1")))
    eventually(lambda: answered_by(shop, "web") == "web-v1")
    assert shop.gateway.get(shop.host("foreign")).status == 404
    assert shop.warnings("foreign") == []


# The client's sidecar


def from_sidecar(world: World, host: str) -> Answer:
    return world.sidecar.get(host)


def test_a_sidecar_knows_every_name_of_a_service(world: World) -> None:
    address = f"10.96.{secrets.randbelow(250)}.{secrets.randbelow(250) + 1}"
    world.service("web", "v1", port=9080, clusterIP=address)
    namespace = world.namespace
    full = f"web.{namespace}.svc.cluster.local"
    eventually(lambda: from_sidecar(world, full).backend == "web-v1")
    for name in (f"web.{namespace}", f"web.{namespace}.svc", full, f"{full}.", address):
        for host in (name, f"{name}:9080"):
            assert from_sidecar(world, host).backend == "web-v1", host
    for host in ("web", f"{full}:9081", "elsewhere.example.com"):
        assert from_sidecar(world, host).status == 502, host


def test_short_names_belong_to_the_clients_namespace(world: World) -> None:
    world.namespace = "clients"
    name = f"web-{secrets.token_hex(4)}"
    try:
        world.service(name, "v1")
        eventually(lambda: from_sidecar(world, name).backend == f"{name}-v1")
        assert from_sidecar(world, f"{name}:80").backend == f"{name}-v1"
    finally:
        for kind in ("EndpointSlice", "Pod"):
            world.delete(kind, f"{name}-v1")
        world.delete("Service", name)


def test_mesh_routes_rule_the_sidecar_and_gateway_routes_do_not(shop: World) -> None:
    host = f"web.{shop.namespace}.svc.cluster.local"
    entry = shop.host("web")
    shop.routes("web", route(to("web", "v1")))
    eventually(lambda: answered_by(shop, "web") == "web-v1")
    eventually(
        lambda: {from_sidecar(shop, host).backend for _ in range(20)} == {"web-v1", "web-v2"}
    )
    inside = {"hosts": ["web"], "http": [route(to("web", "v2"))]}
    shop.apply("VirtualService", "inside", {"spec": inside})
    eventually(lambda: {from_sidecar(shop, host).backend for _ in range(20)} == {"web-v2"})
    assert answered_by(shop, "web") == "web-v1"
    both = {"hosts": ["web", entry], "gateways": ["mesh", "entry"]}
    entries = [
        route(to("web", "v1"), match=[{"gateways": ["mesh"], "uri": {"prefix": "/m"}}]),
        route(to("web", "v1"), match=[{"sourceLabels": {"app": "caller"}, "port": 80}]),
        route(to("web", "v2")),
    ]
    shop.delete("VirtualService", "web")
    shop.apply("VirtualService", "inside", {"spec": {**both, "http": entries}})
    eventually(lambda: answered_by(shop, "web") == "web-v2")
    eventually(lambda: from_sidecar(shop, host).backend == "web-v1")
    assert shop.sidecar.get(entry).backend == "web-v1"
    assert answered_by(shop, "web", "/m") == "web-v2"
    shop.delete("VirtualService", "inside")
    eventually(
        lambda: {from_sidecar(shop, host).backend for _ in range(20)} == {"web-v1", "web-v2"}
    )
    eventually(lambda: shop.gateway.get(entry).status == 404)


def test_a_delegates_entries_stand_in_for_the_roots(shop: World) -> None:
    below = {"uri": {"prefix": "/api"}}
    headers = {"response": {"set": {"x-root": "yes"}}}
    root = {"match": [below], "delegate": {"name": "inner"}, "headers": headers}
    shop.routes("web", root, route(to("web", "v1")))
    inner = [
        route(to("web", "v2"), match=[{"uri": {"exact": "/api/v2"}}]),
        route(to("web", "v2"), match=[{"uri": {"exact": "/elsewhere"}}]),
        route(to("web", "v1"), match=[{"headers": {"x-a": {"exact": "b"}}}]),
    ]
    shop.apply("VirtualService", "inner", {"spec": {"http": inner}})
    eventually(lambda: answered_by(shop, "web", "/api/v2") == "web-v2")
    assert shop.gateway.get(shop.host("web"), "/api/v2").headers["x-root"] == "yes"
    assert shop.gateway.get(shop.host("web"), "/api/x", x_a="b").headers["x-root"] == "yes"
    assert "x-root" not in shop.gateway.get(shop.host("web"), "/api/x").headers
    assert answered_by(shop, "web", "/elsewhere") == "web-v1"  # reaches beyond the root's condition
    shop.delete("VirtualService", "inner")
    eventually(lambda: answered_by(shop, "web", "/api/v2") == "web-v1")
