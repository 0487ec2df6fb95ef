"""Properties of the translation that hold whatever people write."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sandbox.istio_objects import (
    DESTINATION_RULES,
    JSON,
    VIRTUAL_SERVICES,
    Collection,
    Object,
    endpoint_slice,
    gateway,
    named,
    pod,
    service,
)
from theseus_ci.sandbox.mesh.bootstrap import Files
from theseus_ci.sandbox.mesh.translate import (
    GATEWAY_PROXY,
    Proxy,
    Snapshot,
    hosts,
    refusals,
    translate,
)
from theseus_ci.sandbox.mesh.translate.matches import is_catch_all
from theseus_ci.sandbox.mesh.validator import envoys_objection

SIDECAR = Proxy("sidecar", "clients", {"app": "caller"})

HOSTS = st.sampled_from(
    ["*", "*.com", "*.a.com", "a.com", "b.a.com", "*.b.a.com", "c.b.a.com", "*.org", "b.org"]
)
CONCRETE = st.sampled_from(["a.com", "b.a.com", "c.b.a.com", "x.b.a.com", "b.org", "x.net"])


@given(st.lists(HOSTS), st.lists(HOSTS), CONCRETE)
def test_an_intersection_covers_exactly_what_both_cover(
    ours: list[str], theirs: list[str], host: str
) -> None:
    def covered(names: list[str]) -> bool:
        return any(hosts.subset_of(host, name) for name in names)

    assert covered(hosts.intersection(ours, theirs)) == (covered(ours) and covered(theirs))


@given(st.lists(HOSTS), CONCRETE)
def test_the_most_specific_host_is_covered_by_all_others_that_match(
    names: list[str], host: str
) -> None:
    found = hosts.most_specific(host, names)
    matching = [name for name in names if hosts.subset_of(host, name)]
    assert (found is None) == (not matching)
    assert all(found is not None and hosts.subset_of(found, name) for name in matching)


def snapshot_of(services: list[Object], rules: list[Object]) -> Snapshot:
    """Generated specs among fixed services and endpoints."""
    virtual: Collection = {}
    for index, spec in enumerate(services):
        virtual.update(named(f"vs-{index}", spec, creationTimestamp=f"{index:04}"))
    destination: Collection = {}
    for index, spec in enumerate(rules):
        destination.update(named(f"dr-{index}", spec, creationTimestamp=f"{index:04}"))
    return Snapshot(
        services={**service("web", 80, 9080), **service("api"), **service("cart")},
        endpoint_slices=endpoint_slice("web", "10.1.0.1"),
        pods=pod("10.1.0.1", version="v1"),
        virtual_services=virtual,
        destination_rules=destination,
        gateways=gateway(),
    )


SPECS = st.tuples(st.lists(VIRTUAL_SERVICES, max_size=3), st.lists(DESTINATION_RULES, max_size=2))


@given(SPECS)
@settings(deadline=None)
def test_what_is_not_refused_becomes_a_sound_configuration(
    specs: tuple[list[Object], list[Object]],
) -> None:
    snapshot = snapshot_of(*specs)
    for kind, found in (
        ("VirtualService", snapshot.virtual_services),
        ("DestinationRule", snapshot.destination_rules),
    ):
        for obj in found.values():
            assert refusals(kind, obj) == []
    before = copy.deepcopy(specs)
    for proxy in (GATEWAY_PROXY, SIDECAR):
        found_hosts = translate(snapshot, proxy).routes["virtual_hosts"]
        domains = [domain.lower() for each in found_hosts for domain in each["domains"]]
        assert len(domains) == len(set(domains))
        for each in found_hosts:
            catch_alls = [is_catch_all(route["match"]) for route in each["routes"]]
            assert catch_alls == sorted(catch_alls)
            for route in each["routes"]:
                actions = {"route", "redirect", "direct_response"} & route.keys()
                assert len(actions) == 1
                weighted = route.get("route", {}).get("weighted_clusters")
                assert weighted is None or all(each["weight"] for each in weighted["clusters"])
    assert specs == before


@given(SPECS)
@settings(deadline=None, max_examples=50)
def test_the_order_in_which_objects_are_seen_does_not_matter(
    specs: tuple[list[Object], list[Object]],
) -> None:
    snapshot = snapshot_of(*specs)
    backwards = Snapshot(
        **{
            name: dict(reversed(list(getattr(snapshot, name).items())))
            for name in snapshot.__dataclass_fields__
        }
    )
    for proxy in (GATEWAY_PROXY, SIDECAR):
        assert translate(snapshot, proxy) == translate(backwards, proxy)


@given(st.sampled_from(["VirtualService", "DestinationRule", "Gateway"]), JSON)
@settings(deadline=None)
def test_anything_at_all_is_refused_or_translated(kind: str, spec: Any) -> None:
    obj = {"metadata": {"namespace": "shop", "name": "x"}, "spec": spec or {}}
    if refusals(kind, obj):
        return
    collection = {
        "VirtualService": "virtual_services",
        "DestinationRule": "destination_rules",
        "Gateway": "gateways",
    }[kind]
    snapshot = Snapshot(services=service("x"), **{collection: {("shop", "x"): obj}})
    for proxy in (GATEWAY_PROXY, SIDECAR):
        translate(snapshot, proxy)


@given(SPECS)
@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_envoy_accepts_what_is_not_refused(
    tmp_path: Path, specs: tuple[list[Object], list[Object]]
) -> None:
    for proxy in (GATEWAY_PROXY, SIDECAR):
        configuration = translate(snapshot_of(*specs), proxy)
        assert asyncio.run(envoys_objection(configuration, proxy, Files(tmp_path))) is None
