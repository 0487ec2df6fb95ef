"""DestinationRules by which some proxies would have the routes and not the subsets they name."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e import app
from tests.e2e.accounts import account, all_rights
from tests.e2e.api import Object
from tests.e2e.world import World
from theseus_ci.mesh.policy import ROOT_NAMESPACE
from theseus_ci.rights.needed import MESH_DEFAULTS, RELEASES, ROUTES

CALLERS = "default"
V1_V2 = {"v1": {"version": "v1"}, "v2": {"version": "v2"}}


@pytest.fixture(scope="module")
def service(shared_world: World) -> World:
    """A service with callers at a gateway and inside the mesh, and a candidate to release."""
    shared_world.start_service(replicas=1)
    routes = app.virtual_service(shared_world.host)
    routes["spec"]["hosts"].append("web")
    routes["spec"]["gateways"].append("mesh")
    shared_world.apply(routes)
    shared_world.configure(app.candidate(replicas=1), performance=None, virtualServices=["web"])
    return shared_world


@pytest.fixture
def steady(service: World) -> Iterator[World]:
    before = service.dump()
    yield service
    for place in (CALLERS, ROOT_NAMESPACE):
        service.api.delete("DestinationRule", place, service.namespace)
    if service.has("DestinationRule", "web"):
        service.remove(app.destination_rule({}))
    bind(service, "front", "mesh", exportTo=None, http=before["VirtualService web"]["spec"]["http"])
    assert service.dump() == before


def callers_rule(world: World, host: str = "", place: str = CALLERS, **spec: object) -> None:
    """One of a team that calls the service, in that team's namespace; or a mesh-wide one."""
    host = host or f"web.{world.namespace}.svc.cluster.local"
    made = app.destination_rule({})
    made["metadata"]["name"] = world.namespace
    made["spec"] = {"host": host, "exportTo": ["."], **spec}
    world.api.apply(made, place)


def own_rule(world: World, **spec: object) -> Object:
    made = app.destination_rule(V1_V2)
    made["spec"] |= spec
    world.apply(made)
    return made


def bind(world: World, *gateways: str, **spec: object) -> None:
    world.merge("VirtualService", "web", {"spec": {"gateways": list(gateways), **spec}})


def refused(world: World, *says: str) -> None:
    """By begin, and by doctor with the same words."""
    before = world.dump()
    done = world.theseus("begin", code=2)
    told = json.loads(world.theseus("doctor", "--json", code=2).out)
    problem, *more = [one["message"] for one in told["findings"] if one["level"] == "problem"]
    assert not more
    for text in says:
        assert text in done.err
        assert text in problem
    assert world.dump() == before


def notes(world: World) -> str:
    """What plan notes of a release that it would begin."""
    return "\n".join(json.loads(world.theseus("plan", "--json").out)["notes"])


def test_a_rule_in_the_callers_namespace(steady: World) -> None:
    says = f"DestinationRule {CALLERS}/{steady.namespace} hides the service's own rule"
    callers_rule(steady)
    refused(steady, says)
    callers_rule(steady, host="*.local")
    refused(steady, says)
    own_rule(steady)
    subsets = app.destination_rule(V1_V2)["spec"]["subsets"]
    callers_rule(steady, subsets=subsets[:1])
    refused(steady, says)
    callers_rule(steady, subsets=subsets)
    assert notes(steady) == "", "it has all that the routes are going to name"
    callers_rule(steady, host="other.example.com")
    assert notes(steady) == "", "it is for another service"
    callers_rule(steady)
    bind(steady, "front")
    assert says.replace("service's own rule", "service's own rule from") in notes(steady)
    bind(steady, "front", "mesh", exportTo=[".", "istio-system"])
    own_rule(steady)
    assert notes(steady) == "", "the routes are for nobody there"


def test_rules_that_may_not_be_looked_at(steady: World) -> None:
    """Who names the routes may release with rights in namespaces alone, and is told."""
    callers_rule(steady)
    user = account(steady, all_rights(steady, (RELEASES, MESH_DEFAULTS)))
    before = steady.dump()
    done = steady.theseus("begin", kubeconfig=user.kubeconfig)
    assert "note: DestinationRules of other namespaces may not be looked at" in done.text
    steady.theseus("rollback", kubeconfig=user.kubeconfig)
    assert steady.dump() == before
    wider = account(steady, all_rights(steady, (RELEASES, ROUTES)))
    assert (
        "hides the service's own rule"
        in steady.theseus("begin", kubeconfig=wider.kubeconfig, code=2).err
    )


def test_a_rule_that_is_exported_to_fewer_than_the_routes(steady: World) -> None:
    alone = f"DestinationRule {steady.namespace}/web is exported to namespace {steady.namespace}"
    own_rule(steady, exportTo=["."])
    refused(steady, alone, "VirtualService", "to all namespaces", "Give both the same `exportTo`")
    bind(steady, "front")
    refused(steady, alone)
    own_rule(steady, exportTo=[".", "istio-system"])
    assert notes(steady) == "", "the gateways' pods may well run there"
    bind(steady, "front", "mesh")
    refused(steady, "exported to namespace", "istio-system")
    bind(steady, "front", "mesh", exportTo=[".", "istio-system"])
    assert notes(steady) == ""
    named = [{"route": [{"destination": {"host": "web", "subset": "v1"}}]}]
    bind(steady, "front", "mesh", exportTo=None, http=named)
    assert notes(steady) == "", "who does not see the rule has been served by nobody before"


def test_a_mesh_wide_rule_with_subsets_that_routes_name(steady: World) -> None:
    subsets = app.destination_rule(V1_V2)["spec"]["subsets"]
    callers_rule(steady, place=ROOT_NAMESPACE, exportTo=["*"], subsets=subsets)
    assert notes(steady) == "", "no route names them"
    named = [{"route": [{"destination": {"host": "web", "subset": "v1"}}]}]
    bind(steady, "front", "mesh", http=named)
    says = f"routes name subset v1 of DestinationRule {ROOT_NAMESPACE}/{steady.namespace}"
    refused(steady, says, "DestinationRule of its own")
    own_rule(steady)
    assert notes(steady) == ""
