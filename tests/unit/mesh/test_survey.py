"""Reading what is there before anything is touched."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.mesh.interpreter import Request, route
from tests.unit.mesh.worlds import NAMESPACE, REVIEWS, routings, virtual_services, widely
from theseus_ci.mesh.routing import Routing, ServiceHost
from theseus_ci.mesh.sample import sample_request
from theseus_ci.mesh.survey import carrying, reaching, survey
from theseus_ci.mesh.virtual_service import edit_virtual_service

Object = dict[str, Any]
BOOKINFO = Path(__file__).parent / "bookinfo"
DEFAULT = ServiceHost("reviews", "default")


def bookinfo(file: str) -> list[Object]:
    return [one for one in yaml.safe_load_all((BOOKINFO / file).read_text()) if one]


def test_bookinfos_split_is_read() -> None:
    found = survey(bookinfo("virtual-service-reviews-90-10.yaml"), DEFAULT)
    assert [(one.subset, one.share) for one in found.shares] == [
        ("v1", Fraction(9, 10)),
        ("v2", Fraction(1, 10)),
    ]
    assert found.carrying() == {"v1": True, "v2": True}
    rules = bookinfo("destination-rule-all.yaml")
    (dangerous,) = reaching(found, rules, {"app": "reviews", "version": "v2"})
    assert dangerous.where == "default/reviews http[0]"


def test_bookinfos_route_for_one_person_is_conditional() -> None:
    found = survey(bookinfo("virtual-service-reviews-test-v2.yaml"), DEFAULT)
    jason, rest = found.shares
    assert (jason.subset, jason.conditional, rest.conditional) == ("v2", True, False)
    assert jason.sample is not None
    assert jason.sample.headers == {"end-user": "jason"}
    assert rest.sample is not None
    assert (rest.sample.path, rest.sample.method, rest.sample.headers) == ("/", "GET", {})


def vs(name: str, http: list[Object], **spec: Any) -> Object:
    return {
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"http": http, **spec},
    }


def test_delegates_mirrors_and_merged_hosts_are_told() -> None:
    entry = {"route": [{"destination": {"host": "reviews"}}]}
    copying = {"route": [{"destination": {"host": "d"}}], "mirror": {"host": "reviews"}}
    objects = [
        vs("root", [{"delegate": {"name": "deep"}}, copying], hosts=["a"], gateways=["g"]),
        vs("deep", [entry]),
        vs("one", [entry], hosts=["a"], gateways=["shop/g", "mesh"]),
        vs("tcp", [], tcp=[entry], hosts=["b"]),
    ]
    found = survey(objects, REVIEWS)
    assert found.virtual_services == (("shop", "deep"), ("shop", "one"), ("shop", "tcp"))
    assert [(one.virtual_service, one.to) for one in found.delegations] == [
        (("shop", "root"), ("shop", "deep"))
    ]
    assert found.delegates == (("shop", "deep"),)
    assert found.unobservable == (("shop", "tcp"),)
    assert found.mirrors == ("shop/root http[1]",)
    assert found.merged == ((("shop", "one"), ("shop", "root")),)


@widely
@given(virtual_services(), routings())
def test_a_rollout_under_way_does_not_change_what_the_user_wrote(
    vs: Object, routing: Routing
) -> None:
    before, after = survey([vs], REVIEWS), survey([edit_virtual_service(vs, routing)], REVIEWS)
    assert before.shares == after.shares
    assert before.under_way == ()
    if any(one.share for one in before.shares):
        assert bool(after.under_way) == (edit_virtual_service(vs, routing) != vs)


@widely
@given(virtual_services(), routings(live=True))
def test_what_carries_now_is_read_from_the_production_routes(vs: Object, routing: Routing) -> None:
    now = carrying([edit_virtual_service(vs, routing)], REVIEWS)
    before = carrying([vs], REVIEWS)
    assert routing.candidate is not None
    assert routing.previous is not None
    named = {None, routing.previous.subset, *routing.replaces}
    serving = any(before.get(subset) for subset in named)
    if serving and routing.weight:
        assert now[routing.candidate.subset]
    if routing.weight == 100:
        assert not now.get(routing.previous.subset)


@widely
@given(virtual_services(), st.data())
def test_a_sample_reaches_its_entry(vs: Object, data: Any) -> None:
    index = data.draw(st.integers(0, len(vs["spec"]["http"]) - 1))
    sample = sample_request(vs, index)
    if sample is None:
        return
    path, _, query = sample.path.partition("?")
    entry = vs["spec"]["http"][index]
    origins = entry.get("match") or [{}]
    for block in origins:
        request = Request(
            path=path,
            method=sample.method,
            authority=sample.authority or "shop.example.com",
            scheme=block.get("scheme", {}).get("exact", "http"),
            headers=dict(sample.headers),
            query=dict(pair.split("=") for pair in query.split("&")) if query else {},
            port=block.get("port", 80),
            gateway=(block.get("gateways") or ["mesh"])[0],
            source_labels=block.get("sourceLabels") or {},
            source_namespace=block.get("sourceNamespace", NAMESPACE),
        )
        found = route(vs, request)
        if found is not None and found.index == index:
            return
    pytest.fail(f"{sample} does not reach http[{index}]")
