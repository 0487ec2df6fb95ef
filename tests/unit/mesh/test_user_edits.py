"""What a user changes while a rollout is under way survives it, and is told."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.unit.mesh.interpreter import outcome
from tests.unit.mesh.worlds import NAMESPACE, RATINGS, REVIEWS, routings, virtual_services, widely
from theseus_ci.mesh.destination_rule import edit_destination_rule
from theseus_ci.mesh.drift import drift, rule_drift
from theseus_ci.mesh.naming import is_rollout_route
from theseus_ci.mesh.routing import Routing, Side
from theseus_ci.mesh.virtual_service import edit_virtual_service, restore_virtual_service

Object = dict[str, Any]
Change = Callable[[list[Object], int], None]


def _timeout(entries: list[Object], at: int) -> None:
    entries[at]["timeout"] = "77s"


def _match(entries: list[Object], at: int) -> None:
    entries[at]["match"] = [{"uri": {"prefix": "/changed"}}]


def _rename(entries: list[Object], at: int) -> None:
    entries[at]["name"] = "renamed"


def _remove(entries: list[Object], at: int) -> None:
    del entries[at]


def _to_front(entries: list[Object], at: int) -> None:
    entries.insert(0, entries.pop(at))


def _add(entries: list[Object], at: int) -> None:
    route = [{"destination": {"host": "details"}, "weight": 100}]
    entries.insert(at, {"match": [{"uri": {"prefix": "/new"}}], "route": route})


CHANGES: list[Change] = [_timeout, _match, _rename, _remove, _to_front, _add]


def changed(vs: Object, change: Change, at: int) -> Object:
    """The object with the change made to its user's entry number `at`, rollout or not."""
    vs = copy.deepcopy(vs)
    own = [one for one in vs["spec"]["http"] if not is_rollout_route(one)]
    before = list(own)
    change(own, at % len(own))
    # The user sees one list, ours among theirs: their entries keep standing behind our routes.
    if own == before:
        return vs
    laid: list[Object] = []
    for entry in vs["spec"]["http"]:
        if is_rollout_route(entry):
            laid.append(entry)
    vs["spec"]["http"] = [*laid, *own]
    return vs


def written(obj: object) -> str:
    return json.dumps(obj, sort_keys=True)


def unalike(vs: Object) -> bool:
    """No two entries with all the same conditions: a second one would never be reached."""
    seen = [json.dumps([one.get("match"), one.get("name")]) for one in vs["spec"]["http"]]
    return len(seen) == len(set(seen))


@widely
@given(
    virtual_services().filter(unalike),
    routings(live=True),
    st.sampled_from(CHANGES),
    st.integers(0, 4),
)
def test_a_change_survives_the_rollout(
    vs: Object, routing: Routing, change: Change, at: int
) -> None:
    under_way = changed(edit_virtual_service(vs, routing), change, at)
    wanted = changed(vs, change, at)
    again = edit_virtual_service(under_way, routing)
    assert written(restore_virtual_service(under_way, REVIEWS, "previous")) == written(wanted)
    assert written(restore_virtual_service(again, REVIEWS, "previous")) == written(wanted)
    assert _targets(again) == _targets(edit_virtual_service(wanted, routing))


def _targets(vs: Object) -> list[Any]:
    return [outcome(one, 0, NAMESPACE).targets for one in vs["spec"]["http"]]


@widely
@given(virtual_services(), routings())
def test_nothing_drifts_of_itself(vs: Object, routing: Routing) -> None:
    assert drift(edit_virtual_service(vs, routing), routing) == []


@widely
@given(virtual_services(), routings(), routings(RATINGS))
def test_another_services_rollout_is_no_drift(vs: Object, first: Routing, second: Routing) -> None:
    both = edit_virtual_service(edit_virtual_service(vs, first), second)
    assert drift(both, first) == []
    assert drift(both, second) == []


@widely
@given(virtual_services(), routings())
def test_a_deleted_twin_comes_back_and_is_told(vs: Object, routing: Routing) -> None:
    edited = edit_virtual_service(vs, routing)
    ours = [one for one in edited["spec"]["http"] if is_rollout_route(one)]
    for gone in ours:
        left = copy.deepcopy(edited)
        left["spec"]["http"].remove(gone)
        assert any(gone["name"] in sentence for sentence in drift(left, routing))
        assert edit_virtual_service(left, routing) == edited
        assert restore_virtual_service(left, REVIEWS, "previous") == vs


V1 = Side("v1", {"version": "v1"}, owned=False)
OURS = Side("theseus-v1-aaaaaaaa", {"version": "v1"}, owned=True)
V2 = Side("theseus-v2-bbbbbbbb", {"version": "v2"}, owned=True)


def routing(weight: int, previous: Side = V1) -> Routing:
    return Routing(
        service=REVIEWS,
        rollout="r1",
        edit=4,
        previous=previous,
        candidate=V2,
        weight=weight,
        previous_routed=True,
        candidate_routed=True,
        secret="s",
    )


def vs_with(*route: Object, name: str = "") -> Object:
    entry: Object = {"name": name} if name else {}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "shop", "namespace": NAMESPACE},
        "spec": {"hosts": ["reviews"], "http": [{**entry, "route": list(route)}]},
    }


def to(host: str, subset: str = "", weight: int | None = None) -> Object:
    made: Object = {"destination": {"host": host}}
    if subset:
        made["destination"]["subset"] = subset
    if weight is not None:
        made["weight"] = weight
    return made


def last_route(vs: Object) -> list[Object]:
    route: list[Object] = vs["spec"]["http"][-1]["route"]
    return route


def test_weights_between_services_changed_by_hand_survive() -> None:
    edited = edit_virtual_service(
        vs_with(to("reviews", "v1", 50), to("details", "", 50)), routing(50)
    )
    assert [one["weight"] for one in last_route(edited)] == [1, 1, 2]
    last_route(edited)[2]["weight"] = 6
    assert any("another route than we wrote" in one for one in drift(edited, routing(50)))
    again = edit_virtual_service(edited, routing(10))
    assert [one["weight"] for one in last_route(again)] == [9, 1, 30]
    restored = restore_virtual_service(again, REVIEWS, "previous")
    assert restored is not None
    assert last_route(restored) == [to("reviews", "v1", 2), to("details", "", 6)]


def test_a_split_changed_by_hand_is_told_and_set_right_by_the_next_edit() -> None:
    original = vs_with(to("reviews", "v1"))
    edited = edit_virtual_service(original, routing(10))
    last_route(edited)[0]["weight"], last_route(edited)[1]["weight"] = 50, 50
    (sentence,) = drift(edited, routing(10))
    assert sentence == (
        "http[0] has another route than we wrote: reviews/v1 50, reviews/theseus-v2-bbbbbbbb 50,"
        " where this edit has reviews/v1 90, reviews/theseus-v2-bbbbbbbb 10"
    )
    assert edit_virtual_service(edited, routing(10)) == edit_virtual_service(original, routing(10))
    assert restore_virtual_service(edited, REVIEWS, "previous") == original


@pytest.mark.parametrize("previous", [V1, OURS])
def test_the_users_file_applied_again_is_told_and_edited_again(previous: Side) -> None:
    original = vs_with(to("reviews", "v1" if previous is V1 else ""))
    edited = edit_virtual_service(original, routing(30, previous))
    reset = copy.deepcopy(edited)
    reset["spec"] = copy.deepcopy(original["spec"])
    assert drift(reset, routing(30, previous))
    assert edit_virtual_service(reset, routing(30, previous)) == edited
    assert restore_virtual_service(reset, REVIEWS, "previous") == original


def test_a_users_split_between_the_two_versions_applied_again_is_not_taken_for_ours() -> None:
    second = Side("v2", {"version": "v2"}, owned=False)
    wanted = replace(routing(30), candidate=second)
    original = vs_with(to("reviews", "v1", 90), to("reviews", "v2", 10))
    edited = edit_virtual_service(original, wanted)
    assert [one["weight"] for one in last_route(edited)] == [63, 27, 10]
    reset = copy.deepcopy(edited)
    reset["spec"]["http"][-1] = copy.deepcopy(original["spec"]["http"][-1])
    assert edit_virtual_service(reset, wanted) == edited
    assert restore_virtual_service(reset, REVIEWS, "previous") == original


@pytest.mark.parametrize("previous", [V1, OURS])
def test_without_its_record_the_object_still_gets_a_safe_way_back(previous: Side) -> None:
    original = vs_with(to("reviews", "v1" if previous is V1 else ""))
    edited = edit_virtual_service(original, routing(30, previous))
    del edited["metadata"]["annotations"]
    assert "record is gone" in drift(edited, routing(30, previous))[0]
    assert edit_virtual_service(edited, routing(40, previous)) == edit_virtual_service(
        original, routing(40, previous)
    )
    restored = restore_virtual_service(edited, REVIEWS, "previous")
    assert restored == original


def test_a_copy_of_a_divided_entry_is_joined_as_well() -> None:
    edited = edit_virtual_service(vs_with(to("reviews")), routing(30, OURS))
    copied = copy.deepcopy(edited["spec"]["http"][-1])
    copied["match"] = [{"uri": {"prefix": "/copy"}}]
    edited["spec"]["http"].insert(0, copied)
    restored = restore_virtual_service(edited, REVIEWS, "previous")
    assert restored is not None
    assert [one["route"] for one in restored["spec"]["http"]] == [[to("reviews")]] * 2


def test_a_users_own_split_added_meanwhile_is_kept() -> None:
    """Both subsets are the user's: a pair of them need not be ours."""
    second = Side("v2", {"version": "v2"}, owned=False)
    wanted = replace(routing(30), candidate=second)
    edited = edit_virtual_service(vs_with(to("reviews", "v1")), wanted)
    split = [to("reviews", "v1", 50), to("reviews", "v2", 50)]
    edited["spec"]["http"].append({"match": [{"uri": {"prefix": "/n"}}], "route": split})
    restored = restore_virtual_service(edited, REVIEWS, "previous")
    assert restored is not None
    assert last_route(restored) == split


def test_a_third_destination_added_meanwhile_stays() -> None:
    edited = edit_virtual_service(vs_with(to("reviews")), routing(30, OURS))
    last_route(edited).append(to("details", "", 100))
    restored = restore_virtual_service(edited, REVIEWS, "previous")
    assert restored is not None
    assert last_route(restored) == [to("reviews", "", 100), to("details", "", 100)]


def test_a_change_elsewhere_in_the_object_is_told() -> None:
    edited = edit_virtual_service(vs_with(to("reviews")), routing(30, OURS))
    edited["spec"]["hosts"].append("reviews.example.com")
    assert drift(edited, routing(30, OURS)) == [
        "something was changed beside the routes of the service"
    ]


def test_a_subset_that_others_touched_is_told() -> None:
    wanted = routing(30, OURS)
    labels = [{"name": "other", "labels": {"a": "b"}}]
    rule: Object = {
        "kind": "DestinationRule",
        "metadata": {"name": "reviews", "namespace": NAMESPACE},
        "spec": {"host": "reviews", "subsets": labels},
    }
    edited = edit_destination_rule(rule, wanted)
    assert rule_drift(edited, wanted) == []
    edited["spec"]["subsets"][1]["labels"] = {"version": "v7"}
    edited["spec"]["subsets"][2]["trafficPolicy"] = {"tls": {"mode": "DISABLE"}}
    assert rule_drift(edited, wanted) == [
        "subset theseus-v1-aaaaaaaa has other labels than when the rollout began",
        "our subset theseus-v2-bbbbbbbb is not what this edit writes",
    ]
    assert rule_drift(rule, routing(30))[0].startswith("subset v1 is gone")


def test_changed_settings_are_told_by_name() -> None:
    edited = edit_virtual_service(vs_with(to("reviews"), name="main"), routing(30, OURS))
    edited["spec"]["http"][-1]["timeout"] = "1s"
    told = drift(edited, routing(30, OURS))
    assert "http[0] 'main' has other settings than before" in told
    edited["spec"]["http"][-1]["match"] = [{"uri": {"prefix": "/a"}}]
    assert "http[0] 'main' has other match conditions than before" in drift(
        edited, routing(30, OURS)
    )
