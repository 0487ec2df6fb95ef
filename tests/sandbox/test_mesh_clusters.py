"""Envoy's clusters: which endpoints are in them, and which DestinationRule shapes them."""

from __future__ import annotations

from typing import Any

from tests.sandbox.istio_objects import (
    Collection,
    Object,
    destination_rule,
    endpoint_slice,
    pod,
    service,
)
from theseus_ci.sandbox.mesh.translate import GATEWAY_PROXY, Proxy, Snapshot, translate

SIDECAR = Proxy("sidecar", "clients")
WEB = "web.shop.svc.cluster.local"


def test_subsets_hold_the_ready_endpoints_whose_pods_have_the_labels() -> None:
    found = translate(
        Snapshot(
            services=service("web"),
            pods={**pod("10.1.0.1", version="v1"), **pod("10.1.0.2", version="v2")},
            endpoint_slices={
                **endpoint_slice("web", "10.1.0.1", "10.1.0.2", port=8080),
                **endpoint_slice("web", "10.1.0.3", conditions={"ready": False}),
                **endpoint_slice("web", "10.1.0.2", port=80),
                **endpoint_slice("web", "192.168.0.1"),
            },
            destination_rules=destination_rule("web", "v1", "v2", "v3"),
        ),
        SIDECAR,
    ).clusters
    assert {name.split("|")[2]: cluster.endpoints for name, cluster in found.items()} == {
        "": (("127.1.0.1", 8080), ("127.1.0.2", 20080), ("127.1.0.2", 8080)),
        "v1": (("127.1.0.1", 8080),),
        "v2": (("127.1.0.2", 20080), ("127.1.0.2", 8080)),
        "v3": (),
    }


def lb_policies(*rules: Collection, proxy: Proxy = SIDECAR) -> dict[str, str]:
    """Load balancing by subset, for the service web."""
    merged: Collection = {}
    for rule in rules:
        merged.update(rule)
    snapshot = Snapshot(services=service("web"), destination_rules=merged)
    found = translate(snapshot, proxy).clusters
    return {name.split("|")[2]: each.config["lb_policy"] for name, each in found.items()}


def balanced(how: str, **more: Any) -> Object:
    return {"loadBalancer": {"simple": how}, **more}


def test_the_clients_namespace_rules_before_the_services_and_the_roots() -> None:
    own = destination_rule("web", trafficPolicy=balanced("RANDOM"))
    root = destination_rule(
        "any", namespace="istio-system", host="*", trafficPolicy=balanced("ROUND_ROBIN")
    )
    client = destination_rule(
        "mine", "c", namespace="clients", host=WEB, trafficPolicy=balanced("ROUND_ROBIN")
    )
    assert lb_policies() == {"": "LEAST_REQUEST"}
    assert lb_policies(root) == {"": "ROUND_ROBIN"}
    assert lb_policies(root, own) == {"": "RANDOM"}
    assert lb_policies(root, own, client) == {"": "ROUND_ROBIN", "c": "ROUND_ROBIN"}
    assert lb_policies(root, own, client, proxy=GATEWAY_PROXY) == {"": "RANDOM"}


def test_rules_of_one_host_add_up() -> None:
    first = destination_rule("web", "v1", created="2020")
    second = destination_rule(
        "more", "v1", "v2", host="web", created="2021", trafficPolicy=balanced("RANDOM")
    )
    third = destination_rule(
        "last", host=WEB, created="2022", trafficPolicy=balanced("ROUND_ROBIN")
    )
    expected = {"": "RANDOM", "v1": "RANDOM", "v2": "RANDOM"}
    assert lb_policies(third, second, first) == expected


def test_a_subsets_policy_replaces_the_rules_part_by_part_and_port_by_port() -> None:
    subsets = [
        {"name": "same", "labels": {}},
        {"name": "own", "labels": {}, "trafficPolicy": balanced("RANDOM")},
        {
            "name": "port",
            "labels": {},
            "trafficPolicy": {
                "portLevelSettings": [
                    {"port": {"number": 80}, **balanced("LEAST_REQUEST")},
                    {"port": {"number": 81}, **balanced("RANDOM")},
                ]
            },
        },
    ]
    policy = balanced("ROUND_ROBIN", outlierDetection={"consecutive5xxErrors": 7})
    rule = destination_rule("web", trafficPolicy=policy)
    rule["shop", "web"]["spec"]["subsets"] = subsets
    assert lb_policies(rule) == {
        "": "ROUND_ROBIN",
        "same": "ROUND_ROBIN",
        "own": "RANDOM",
        "port": "LEAST_REQUEST",
    }
    found = translate(Snapshot(services=service("web"), destination_rules=rule), SIDECAR).clusters
    detected = {
        name.split("|")[2]: "outlier_detection" in each.config for name, each in found.items()
    }
    assert detected == {"": True, "same": True, "own": True, "port": False}
