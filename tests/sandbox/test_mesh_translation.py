"""The translation to Envoy's configuration, as a pure function."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.istio_objects import (
    Collection,
    Object,
    gateway,
    named,
    service,
    to,
    virtual_service,
)
from theseus_ci.sandbox.mesh.translate import (
    GATEWAY_PROXY,
    Configuration,
    Proxy,
    Snapshot,
    hosts,
    parse_duration,
    refusals,
    translate,
)
from theseus_ci.sandbox.mesh.translate.policies import envoy_duration, seconds

SIDECAR = Proxy("sidecar", "clients", {"app": "caller"})
WEB = "web.shop.svc.cluster.local"


def at_gateway(**collections: Any) -> Configuration:
    return translate(Snapshot(**{"gateways": gateway(), **collections}), GATEWAY_PROXY)


def virtual_hosts(configuration: Configuration) -> dict[str, Object]:
    return {each["name"]: each for each in configuration.routes["virtual_hosts"]}


def clusters_of(routes: list[Object]) -> list[str]:
    return [route["route"]["cluster"] for route in routes]


# Names


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("web", WEB),
        ("web.other", "web.other"),
        ("web.example.com", "web.example.com"),
        ("*", "*"),
        ("*.example.com", "*.example.com"),
        ("10.0.0.1", "10.0.0.1"),
    ],
)
def test_a_name_without_a_dot_is_a_service_of_the_objects_namespace(
    host: str, expected: str
) -> None:
    assert hosts.resolve(host, "shop") == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mesh", "mesh"),
        ("entry", "shop/entry"),
        ("./entry", "shop/entry"),
        ("other/entry", "other/entry"),
        ("entry.other.svc.cluster.local", "other/entry"),
        ("entry.other", "other/entry"),
    ],
)
def test_gateways_are_found_by_all_forms_of_their_name(name: str, expected: str) -> None:
    assert hosts.resolve_gateway(name, "shop") == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("300ms", 0.3), ("1m30s", 90.0), ("0", 0.0), ("1h", 3600.0)]
)
def test_durations_are_gos(text: str, expected: float) -> None:
    assert parse_duration(text) == pytest.approx(expected)
    assert seconds(envoy_duration(text + "s" if text == "0" else text)) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "5", "1 s", "-1s", "1d", "s", "1e3s"])
def test_other_durations_are_errors(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


# Routes


def test_routes_behind_one_that_takes_everything_are_left_out() -> None:
    entries = [
        {"match": [{"uri": {"exact": "/a"}}], "route": [to("web", "v1")]},
        {"match": [{"uri": {"prefix": "/"}}, {"uri": {"exact": "/b"}}], "route": [to("web", "v2")]},
        {"route": [to("web", "v3")]},
    ]
    found = at_gateway(
        services=service("web"),
        virtual_services=virtual_service("web", *entries, gateways=["entry"]),
    )
    routes = virtual_hosts(found)[WEB]["routes"]
    assert clusters_of(routes) == [f"outbound|80|v1|{WEB}", f"outbound|80|v2|{WEB}"]


def test_several_virtual_services_for_a_host_keep_order_of_age_with_catch_alls_last() -> None:
    narrow = {"match": [{"uri": {"exact": "/n"}}], "route": [to("web", "new")]}
    old = virtual_service(
        "z-old", {"route": [to("web", "old")]}, hosts=["h.io"], gateways=["entry"], created="2020"
    )
    new = virtual_service(
        "a-new",
        narrow,
        {"route": [to("web", "new")]},
        hosts=["h.io"],
        gateways=["entry"],
        created="2021",
    )
    found = at_gateway(services=service("web"), virtual_services={**new, **old})
    routes = virtual_hosts(found)["h.io"]["routes"]
    assert clusters_of(routes) == [f"outbound|80|{each}|{WEB}" for each in ("new", "old", "new")]


def test_a_missing_port_is_the_services_only_one_or_the_listeners() -> None:
    entries = [
        {"match": [{"uri": {"exact": f"/{name}"}}], "route": [to(name)]}
        for name in ("single", "many", "unknown")
    ]
    services = {**service("single", 9080), **service("many", 9080, 80)}
    found = at_gateway(
        services=services,
        virtual_services=virtual_service("web", *entries, hosts=["h.io"], gateways=["entry"]),
        gateways=gateway(port=8080),
    )
    ports = [name.split("|")[1] for name in clusters_of(virtual_hosts(found)["h.io"]["routes"])]
    assert ports == ["9080", "8080", "8080"]


def test_gateway_servers_may_be_limited_to_namespaces() -> None:
    wanted = ["shop/a.io", "other/b.io", "./c.io", "*/d.io", "e.io"]
    listed = ["a.io", "b.io", "c.io", "d.io", "e.io"]
    found = at_gateway(
        virtual_services=virtual_service("web", hosts=listed, gateways=["entry"]),
        gateways=gateway("entry", *wanted),
    )
    assert sorted(virtual_hosts(found)) == ["a.io", "c.io", "d.io", "e.io"]


def test_what_is_exported_elsewhere_only_is_not_seen() -> None:
    private = virtual_service("private", hosts=["p.io"], gateways=["entry"], exportTo=["."])
    shared = virtual_service(
        "shared", hosts=["s.io"], gateways=["entry"], exportTo=["istio-system"]
    )
    public = virtual_service("public", hosts=["u.io"], gateways=["entry"], exportTo=["*"])
    found = at_gateway(virtual_services={**private, **shared, **public})
    assert sorted(virtual_hosts(found)) == ["s.io", "u.io"]


def test_without_gateway_or_route_everything_is_404() -> None:
    nothing: Collection = {}
    for found in (at_gateway(), at_gateway(gateways=nothing)):
        assert found.routes["virtual_hosts"] == [
            {"name": "blackhole", "domains": ["*"], "routes": []}
        ]


DELEGATE = {"name": "d", "namespace": "n"}
ANY: Object = {}
"""A condition that only asks for presence."""


@pytest.mark.parametrize(
    ("root", "inner", "merged"),
    [
        ({}, {"uri": {"exact": "/a"}}, {"uri": {"exact": "/a"}}),
        ({"uri": {"prefix": "/a"}}, {}, {"uri": {"prefix": "/a"}}),
        ({"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/a/b"}}, {"uri": {"prefix": "/a/b"}}),
        ({"uri": {"prefix": "/a"}}, {"uri": {"exact": "/a/b"}}, {"uri": {"exact": "/a/b"}}),
        ({"uri": {"exact": "/a"}}, {"uri": {"exact": "/a"}}, {"uri": {"exact": "/a"}}),
        ({"uri": {"prefix": "/a/b"}}, {"uri": {"prefix": "/a"}}, None),
        ({"uri": {"exact": "/a"}}, {"uri": {"prefix": "/a"}}, None),
        ({"uri": {"regex": "/a"}}, {"uri": {"exact": "/a"}}, None),
        ({"uri": {"prefix": "/a"}}, {"uri": {"regex": "/a"}}, None),
        ({"uri": {"prefix": "/A"}}, {"ignoreUriCase": True}, None),
        ({"port": 80}, {"port": 81}, None),
        (
            {"headers": {"a": {"prefix": "x"}}},
            {"headers": {"a": {"exact": "xy"}, "b": ANY}},
            {"headers": {"a": {"exact": "xy"}, "b": ANY}},
        ),
        ({"headers": {"a": ANY}}, {"headers": {"a": {"exact": "x"}}}, None),
        ({"gateways": ["entry"]}, {"gateways": ["other"]}, None),
    ],
)
def test_a_delegate_narrows_the_roots_conditions_or_does_not_count(
    root: Object, inner: Object, merged: Object | None
) -> None:
    sent = {"match": [inner], "route": [to("web")]}
    snapshot = Snapshot(
        virtual_services={
            **virtual_service(
                "root", {"match": [root], "delegate": {"name": "d", "namespace": "n"}}
            ),
            **named("d", {"http": [sent]}, namespace="n"),
        }
    )
    found = [entry for obj in snapshot.routing.values() for entry in obj["spec"]["http"]]
    if merged is None:
        assert found == []
        return
    condition = {**found[0]["match"][0]}
    assert condition.pop("name") == ""
    condition.pop("gateways", None)
    assert condition == merged
    assert found[0]["route"][0]["destination"]["host"] == "web.n.svc.cluster.local"


def test_a_delegate_must_be_exported_to_its_root() -> None:
    for targets, entries in (["."], 0), (["shop"], 1), (["*"], 1), (["other"], 0):
        delegate = named("d", {"http": [{"route": [to("web")]}], "exportTo": targets}, "n")
        root = virtual_service("root", {"delegate": DELEGATE})
        snapshot = Snapshot(virtual_services={**root, **delegate})
        assert len(snapshot.routing["shop", "root"]["spec"]["http"]) == entries, targets


# The sidecar


def test_sidecar_domains_are_all_names_of_a_service() -> None:
    services = {
        **service("web", 9080, clusterIP="10.96.0.7"),
        **service("near", 80, namespace="clients"),
    }
    found = virtual_hosts(translate(Snapshot(services=services), SIDECAR))
    names = [WEB, f"{WEB}.", "web.shop.svc", "web.shop", "10.96.0.7"]
    assert sorted(found[f"{WEB}:9080"]["domains"]) == sorted(
        names + [f"{name}:9080" for name in names]
    )
    assert {"near", "near:80"} <= set(found["near.clients.svc.cluster.local:80"]["domains"])
    assert found["block_all"]["domains"] == ["*"]


def test_each_port_of_a_service_has_its_own_table() -> None:
    found = virtual_hosts(
        translate(
            Snapshot(
                services=service("web", 9080, 80),
                virtual_services=virtual_service("web", {"route": [to("web", "v1")]}),
            ),
            SIDECAR,
        )
    )
    for number in (80, 9080):
        routes = found[f"{WEB}:{number}"]["routes"]
        assert clusters_of(routes) == [f"outbound|{number}|v1|{WEB}"]
    assert WEB in found[f"{WEB}:80"]["domains"]
    assert WEB not in found[f"{WEB}:9080"]["domains"]


def test_the_oldest_virtual_service_has_the_host_in_a_sidecar() -> None:
    old = virtual_service("old", {"route": [to("web", "old")]}, hosts=["web"], created="2020")
    new = virtual_service("new", {"route": [to("web", "new")]}, hosts=["web"], created="2021")
    snapshot = Snapshot(services=service("web"), virtual_services={**new, **old})
    found = virtual_hosts(translate(snapshot, SIDECAR))
    assert clusters_of(found[f"{WEB}:80"]["routes"]) == [f"outbound|80|old|{WEB}"]


def test_a_wildcard_rules_only_services_without_a_narrower_virtual_service() -> None:
    every = virtual_service(
        "every", {"directResponse": {"status": 418}}, hosts=["*.svc.cluster.local"], created="2020"
    )
    own = virtual_service("web", {"route": [to("web", "v1")]}, created="2021")
    snapshot = Snapshot(
        services={**service("web"), **service("api")}, virtual_services={**every, **own}
    )
    found = virtual_hosts(translate(snapshot, SIDECAR))
    assert clusters_of(found[f"{WEB}:80"]["routes"]) == [f"outbound|80|v1|{WEB}"]
    assert found["api.shop.svc.cluster.local:80"]["routes"][0]["direct_response"]["status"] == 418


def test_ports_that_do_not_speak_http_have_no_route() -> None:
    ports = [
        {"name": "tcp-db", "port": 5432},
        {"name": "redis", "port": 6379},
        {"name": "web", "port": 8080},
        {"name": "x", "port": 9000, "appProtocol": "kubernetes.io/h2c"},
        {"name": "mysql", "port": 3306},
        {"name": "dns", "port": 53, "protocol": "UDP"},
    ]
    found = translate(Snapshot(services=named("web", {"ports": ports})), SIDECAR)
    assert sorted(virtual_hosts(found)) == ["block_all", f"{WEB}:8080", f"{WEB}:9000"]
    assert f"outbound|5432||{WEB}" in found.clusters
    assert f"outbound|53||{WEB}" not in found.clusters


# Refusal


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        (
            "VirtualService",
            {"hosts": ["a"], "http": [{"match": [{"sourceNamespace": "x"}], "route": [to("a")]}]},
            "spec.http[0].match[0].sourceNamespace: the sandbox cannot translate this field",
        ),
        (
            "VirtualService",
            {"hosts": ["a"], "tcp": []},
            "spec.tcp: the sandbox cannot translate this field",
        ),
        (
            "VirtualService",
            {
                "hosts": ["a"],
                "http": [{"route": [to("a"), {"destination": {"host": "b", "x": 1}}]}],
            },
            "spec.http[0].route[1].destination.x: the sandbox cannot translate this field",
        ),
        (
            "VirtualService",
            {"gateways": ["entry"]},
            "spec.gateways: a delegate (without hosts) cannot have gateways",
        ),
        (
            "VirtualService",
            {"http": [{"delegate": {"name": "inner"}}]},
            "spec.http[0].delegate: a delegate cannot delegate",
        ),
        (
            "VirtualService",
            {"hosts": ["a"], "http": [{"route": [to("a", weight=0), to("b", weight=0)]}]},
            "spec.http[0].route: the weights add up to 0",
        ),
        (
            "VirtualService",
            {"hosts": ["a"], "http": [{"route": [{"destination": {"host": "a"}, "weight": "9"}]}]},
            "spec.http[0].route[0].weight: must be a whole number from 0 to 2147483647",
        ),
        (
            "VirtualService",
            {"hosts": ["a"], "http": [{"match": []}]},
            "spec.http[0]: one of route, redirect, directResponse, delegate is required",
        ),
        (
            "VirtualService",
            {"hosts": ["a"], "http": [{"route": [to("a")], "timeout": "soon"}]},
            "spec.http[0].timeout: must be a duration such as 1.5s",
        ),
        (
            "VirtualService",
            {
                "hosts": ["a"],
                "http": [
                    {"match": [{"headers": {"@request.auth.claims.sub": {}}}], "route": [to("a")]}
                ],
            },
            "spec.http[0].match[0].headers[@request.auth.claims.sub]: "
            "the sandbox cannot translate this field",
        ),
        (
            "DestinationRule",
            {"host": "a", "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}},
            "spec.trafficPolicy.tls.mode: the sandbox translates only DISABLE",
        ),
        (
            "DestinationRule",
            {"host": "a", "subsets": [{"name": "v", "trafficPolicy": {"tunnel": {}}}]},
            "spec.subsets[0].trafficPolicy.tunnel: the sandbox cannot translate this field",
        ),
        (
            "Gateway",
            {"servers": [{"hosts": ["a"], "port": {"number": 1, "protocol": "TLS"}}]},
            "spec.servers[0].port.protocol: the sandbox translates only HTTP, HTTP2, GRPC",
        ),
    ],
)
def test_a_refusal_names_the_object_and_the_fields_full_path(
    kind: str, spec: Object, expected: str
) -> None:
    obj = {"metadata": {"namespace": "shop", "name": "front-end"}, "spec": spec}
    assert refusals(kind, obj) == [f"{kind} shop/front-end: {expected}"]


@pytest.mark.parametrize("kind", ["VirtualService", "DestinationRule", "Gateway"])
def test_null_is_absent(kind: str) -> None:
    obj = {"metadata": {"namespace": "shop", "name": "x"}, "spec": {"unheard": None}}
    assert not any("unheard" in each for each in refusals(kind, obj))
