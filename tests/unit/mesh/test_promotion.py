"""Whole rollouts: the order of the closing steps, and ten releases that leave nothing behind."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from tests.unit.mesh.interpreter import outcome
from theseus_ci.mesh.choose import choose_sides, selects
from theseus_ci.mesh.destination_rule import (
    edit_destination_rule,
    new_destination_rule,
    restore_destination_rule,
    subsets_of,
)
from theseus_ci.mesh.promotion import Step, promotion_steps, rollback_steps
from theseus_ci.mesh.routing import Routing, ServiceHost
from theseus_ci.mesh.virtual_service import edit_virtual_service

Object = dict[str, Any]
NAMESPACE = "bookinfo"
REVIEWS = ServiceHost("reviews", NAMESPACE)


def vs(http: list[Object], name: str = "reviews", **spec: Any) -> Object:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"hosts": [name], "http": http, **spec},
    }


def dr(*subsets: Object) -> Object:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "reviews", "namespace": NAMESPACE},
        "spec": {"host": "reviews", "subsets": list(subsets)},
    }


def to(subset: str = "", weight: int | None = None, host: str = "reviews") -> Object:
    destination = {"host": host, **({"subset": subset} if subset else {})}
    return {"destination": destination, **({} if weight is None else {"weight": weight})}


def of(name: str, **labels: str) -> Object:
    return {"name": name, "labels": labels, "trafficPolicy": {"tls": {"mode": "DISABLE"}}}


SHAPES: dict[str, tuple[list[Object], Object | None]] = {
    "no subsets, no rule": ([vs([{"route": [to()]}])], None),
    "no subsets, a rule": ([vs([{"route": [to()]}])], dr()),
    "one named subset": ([vs([{"route": [to("v1")]}])], dr(of("v1", version="v1"))),
    "a name without a version": (
        [vs([{"route": [to("stable")]}])],
        dr(of("stable", app="reviews", version="v1"), of("v9", version="v9")),
    ),
    "versions within names": (
        [vs([{"route": [to("reviews-v1-eu", 30), to("", 70, "details")]}])],
        dr(of("reviews-v1-eu", version="v1")),
    ),
    "a subset for everything": ([vs([{"route": [to("all")]}])], dr(of("all", app="reviews"))),
    "named and unnamed": (
        [vs([{"match": [{"uri": {"prefix": "/a"}}], "route": [to("v1")]}, {"route": [to()]}])],
        dr(of("v1", version="v1")),
    ),
    "a mirror that names it": (
        [
            vs([{"route": [to("v1")]}]),
            vs(
                [
                    {
                        "route": [to("", host="details")],
                        "mirror": {"host": "reviews", "subset": "v1"},
                    }
                ],
                "details",
            ),
        ],
        dr(of("v1", version="v1")),
    ),
    "several services and no share": (
        [vs([{"route": [to("v1", 0), to("", 100, "details")]}, {"route": [to("v1")]}])],
        dr(of("v1", version="v1")),
    ),
}


class World:
    """Objects, pods, and a check after each write that no route names a subset without pods."""

    def __init__(self, virtual_services: list[Object], rule: Object | None) -> None:
        self.virtual_services = copy.deepcopy(virtual_services)
        self.rule = copy.deepcopy(rule)
        self.pods: list[dict[str, str]] = [{"app": "reviews", "version": "v1"}]

    def size(self) -> tuple[int, int]:
        subsets = len(subsets_of(self.rule)) if self.rule else -1
        text = json.dumps([self.virtual_services, self.rule])
        return subsets, len(text)

    def check(self) -> None:
        subsets = {one["name"]: one["labels"] for one in subsets_of(self.rule or {"spec": {}})}
        for one in self.virtual_services:
            for entry in one["spec"]["http"]:
                for (host, subset), _ in outcome(entry, 0, NAMESPACE).targets.items():
                    if host == REVIEWS.fqdn and subset:
                        assert subset in subsets, f"a route names {subset}, which is not there"
                        pods = [pod for pod in self.pods if selects(subsets[subset], pod)]
                        assert pods, f"nothing serves {subset}"

    def edit(self, routing: Routing) -> None:
        """The rule first, then the routes, as every step of a rollout does."""
        if self.rule is None:
            self.rule = new_destination_rule(REVIEWS, routing, None)
        self.rule = edit_destination_rule(self.rule, routing)
        self.check()
        for index, one in enumerate(self.virtual_services):
            self.virtual_services[index] = edit_virtual_service(one, routing)
            self.check()

    def close(self, steps: list[Step], gone: dict[str, str]) -> None:
        for step in steps:
            if step.other_version_gone and gone in self.pods:
                self.pods.remove(gone)
            self._write(step)
            self.check()
        if gone in self.pods:
            self.pods.remove(gone)
        self.check()

    def _write(self, step: Step) -> None:
        if step.kind == "DestinationRule":
            assert self.rule is not None
            assert step.apply(self.rule) == step.result
            self.rule = step.result
            return
        names = [one["metadata"]["name"] for one in self.virtual_services]
        index = names.index(step.name)
        assert step.apply(self.virtual_services[index]) == step.result
        assert step.result is not None
        self.virtual_services[index] = step.result


def rollout(world: World, number: int) -> tuple[Routing, dict[str, str], dict[str, str]]:
    """The routing when the candidate has been deployed, and both versions' pods."""
    before = {"app": "reviews", "version": f"v{number}"}
    after = {"app": "reviews", "version": f"v{number + 1}"}
    rules = [world.rule] if world.rule else []
    choice = choose_sides(REVIEWS, world.virtual_services, rules, before, after)
    routing = Routing(
        service=REVIEWS,
        rollout=f"r{number}",
        edit=1,
        previous=choice.previous,
        candidate=choice.candidate,
        weight=0,
        previous_routed=True,
        candidate_routed=False,
        secret="s",
        replaces=choice.replaces,
    )
    return routing, before, after


def up_to(world: World, weights: list[int]) -> tuple[Routing, dict[str, str], dict[str, str]]:
    number = int(world.pods[0]["version"][1:])
    routing, before, after = rollout(world, number)
    world.edit(routing)
    world.pods.append(after)
    for weight in weights:
        routing = replace(routing, candidate_routed=True, weight=weight, edit=routing.edit + 1)
        world.edit(routing)
    return routing, before, after


@pytest.mark.parametrize("shape", SHAPES)
def test_ten_releases_leave_the_objects_their_size(shape: str) -> None:
    world = World(*SHAPES[shape])
    sizes = []
    for _ in range(10):
        routing, before, _ = up_to(world, [0, 1, 50, 100])
        routing = replace(routing, previous_routed=False, edit=routing.edit + 1)
        world.edit(routing)
        steps = promotion_steps(routing, world.virtual_services, world.rule, world.virtual_services)
        world.close(steps, gone=before)
        sizes.append(world.size())
        assert "theseus" not in json.dumps([world.virtual_services, world.rule])
    subsets = [count for count, _ in sizes]
    original = World(*SHAPES[shape]).size()[0]
    assert len(set(subsets)) == 1
    assert subsets[0] == original + (shape == "a mirror that names it")
    lengths = [length for _, length in sizes]
    assert max(lengths[:8]) - min(lengths) <= 4  # v1 to v9 are as long as one another


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weights", [[], [0], [0, 1], [0, 50, 100]])
def test_a_rollback_from_any_step_leaves_the_users_objects(shape: str, weights: list[int]) -> None:
    world = World(*SHAPES[shape])
    before = (copy.deepcopy(world.virtual_services), copy.deepcopy(world.rule))
    routing, _, after = up_to(world, weights)
    routing = replace(routing, weight=0, candidate_routed=False, edit=routing.edit + 1)
    world.edit(routing)
    world.close(rollback_steps(routing, world.virtual_services, world.rule), gone=after)
    assert (world.virtual_services, world.rule) == before


def test_the_users_subset_gives_way_in_the_order_that_loses_nothing() -> None:
    world = World(*SHAPES["one named subset"])
    routing, _, _ = up_to(world, [0, 100])
    routing = replace(routing, previous_routed=False, edit=9)
    world.edit(routing)
    steps = promotion_steps(routing, world.virtual_services, world.rule, world.virtual_services)
    kinds = [(one.kind, one.other_version_gone) for one in steps]
    assert kinds == [
        ("DestinationRule", False),
        ("VirtualService", False),
        ("VirtualService", False),
        ("DestinationRule", False),
    ]
    first, last = steps[0].result, steps[-1].result
    assert first is not None
    assert last is not None
    names = [one["name"] for one in subsets_of(first)]
    assert names[0] == "v2"
    assert names[1].startswith("theseus-v2-")
    assert subsets_of(last) == [of("v2", version="v2")]
    moved = steps[1].routing
    assert moved is not None
    assert moved.edit == 10


def test_closing_begins_anew_after_a_crash_between_any_two_steps() -> None:
    for crash in range(4):
        world = World(*SHAPES["one named subset"])
        routing, before, _ = up_to(world, [0, 100])
        routing = replace(routing, previous_routed=False, edit=9)
        world.edit(routing)
        objects = world.virtual_services
        steps = promotion_steps(routing, objects, world.rule, objects)
        for step in steps[:crash]:
            world._write(step)
            world.check()
        again = promotion_steps(routing, world.virtual_services, world.rule, objects)
        world.close(again, gone=before)
        assert world.rule == dr(of("v2", version="v2"))
        assert world.virtual_services == [vs([{"route": [to("v2")]}])]


def test_a_rollback_after_the_subset_gave_way_brings_it_back() -> None:
    world = World(*SHAPES["one named subset"])
    routing, _, _ = up_to(world, [0, 100])
    drained = replace(routing, previous_routed=False, edit=9)
    world.edit(drained)
    steps = promotion_steps(drained, world.virtual_services, world.rule, world.virtual_services)
    world._write(steps[0])
    assert world.rule is not None
    assert (
        restore_destination_rule(world.rule, REVIEWS, "previous") == SHAPES["one named subset"][1]
    )


def test_routes_without_a_subset_wait_for_the_other_versions_pods_to_go() -> None:
    world = World(*SHAPES["no subsets, no rule"])
    routing, _, _ = up_to(world, [0, 100])
    routing = replace(routing, previous_routed=False, edit=9)
    world.edit(routing)
    steps = promotion_steps(routing, world.virtual_services, world.rule)
    assert [(one.kind, one.other_version_gone, one.result is None) for one in steps] == [
        ("VirtualService", True, False),
        ("DestinationRule", False, True),
    ]


@pytest.mark.parametrize("shape", ["no subsets, no rule", "no subsets, a rule", "one named subset"])
@pytest.mark.parametrize("passed", [True, False])
def test_a_first_release_ends_with_the_users_objects(shape: str, passed: bool) -> None:
    """The rule's subset v1 selects the first release; until then it must not be reached by it."""
    world = World(*SHAPES[shape])
    before = (copy.deepcopy(world.virtual_services), copy.deepcopy(world.rule))
    pod = world.pods.pop()
    rules = [world.rule] if world.rule else []
    choice = choose_sides(REVIEWS, world.virtual_services, rules, None, pod)
    routing = Routing(
        service=REVIEWS,
        rollout="r",
        edit=1,
        previous=None,
        candidate=choice.candidate,
        weight=0,
        previous_routed=True,
        candidate_routed=True,
        secret="s",
        replaces=choice.replaces,
    )
    if world.rule is None:
        world.rule = new_destination_rule(REVIEWS, routing, None)
    world.rule = edit_destination_rule(world.rule, routing)
    for weight in (0, 100) if passed else (0,):
        routing = replace(routing, weight=weight, edit=routing.edit + 1)
        world.virtual_services = [edit_virtual_service(o, routing) for o in world.virtual_services]
        served = json.dumps(world.virtual_services[0]["spec"]["http"][-1])
        assert ("theseus-none" in served) == (weight == 0)
    if passed:
        world.pods.append(pod)
        routing = replace(routing, previous_routed=False)
        steps = promotion_steps(routing, world.virtual_services, world.rule)
        world.close(steps, gone={})
    else:
        routing = replace(routing, candidate_routed=False)
        for step in rollback_steps(routing, world.virtual_services, world.rule):
            world._write(step)
    assert (world.virtual_services, world.rule) == before


BOOKINFO = Path(__file__).parent / "bookinfo"


@pytest.mark.parametrize(
    "file", sorted(BOOKINFO.glob("virtual-service-*.yaml")), ids=lambda f: f.stem
)
def test_bookinfos_own_routes_come_back(file: Path) -> None:
    rules = yaml.safe_load_all((BOOKINFO / "destination-rule-all.yaml").read_text())
    rule = next(one for one in rules if one["spec"]["host"] == "reviews")
    routes = [one for one in yaml.safe_load_all(file.read_text()) if one]
    service = ServiceHost("reviews", "default")
    pods = [{"app": "reviews", "version": one} for one in ("v1", "v2")]
    choice = choose_sides(service, routes, [rule], *pods)
    assert choice.previous is not None
    assert (choice.previous.subset, choice.candidate.subset) == ("v1", "v2")
    for one in routes:
        before, now = json.dumps(one), one
        for edit, weight in enumerate([0, 1, 50, 100], start=1):
            routing = Routing(
                service=service,
                rollout="r",
                edit=edit,
                previous=choice.previous,
                candidate=choice.candidate,
                weight=weight,
                previous_routed=True,
                candidate_routed=True,
                secret="s",
            )
            now = edit_virtual_service(now, routing)
        restored = rollback_steps(replace(routing, weight=0, candidate_routed=False), [now], rule)
        assert json.dumps(restored[0].result if restored else now) == before
