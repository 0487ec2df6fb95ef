"""DestinationRules, the choice of subsets, and the lookup of the policy in effect."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.mesh.worlds import NAMESPACE, REVIEWS, widely
from theseus_ci.errors import Refused, StateError
from theseus_ci.mesh.choose import choose_sides, selects
from theseus_ci.mesh.destination_rule import (
    edit_destination_rule,
    new_destination_rule,
    owned_names,
    restore_destination_rule,
    subsets_of,
)
from theseus_ci.mesh.policy import effective_traffic_policy, rule_to_edit, shadowing_rules
from theseus_ci.mesh.routing import Routing, ServiceHost, Side

Object = dict[str, Any]


def rule(
    *subsets: Object, host: str = "reviews", namespace: str = NAMESPACE, **spec: Any
) -> Object:
    made: Object = {"host": host, **spec}
    if subsets:
        made["subsets"] = list(subsets)
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": spec.pop("name", "reviews"), "namespace": namespace},
        "spec": made,
    }


def subset(name: str, policy: Object | None = None, **labels: str) -> Object:
    made: Object = {"name": name, "labels": labels}
    return made if policy is None else {**made, "trafficPolicy": policy}


def routes_to(*names: str) -> Object:
    destinations = [{"host": "reviews", **({"subset": one} if one else {})} for one in names]
    return {
        "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": NAMESPACE},
        "spec": {
            "hosts": ["reviews"],
            "http": [{"route": [{"destination": one}]} for one in destinations],
        },
    }


def routing(previous: Side | None, candidate: Side | None) -> Routing:
    return Routing(
        service=REVIEWS,
        rollout="r1",
        edit=1,
        previous=previous,
        candidate=candidate,
        weight=0,
        previous_routed=True,
        candidate_routed=False,
    )


V1, V2, V3 = ({"app": "reviews", "version": one} for one in ("v1", "v2", "v3"))
users_subsets = st.lists(
    st.builds(
        lambda name, labels, policy: subset(name, policy, **labels),
        st.sampled_from(["v1", "v2", "stable", "blue"]),
        st.sampled_from([{}, {"app": "reviews"}, {"version": "v1"}, {"version": "v2"}]),
        st.sampled_from([None, {"tls": {"mode": "ISTIO_MUTUAL"}}]),
    ),
    max_size=4,
    unique_by=lambda one: str(one["name"]),
)
sides = st.sampled_from(
    [
        (Side("v1", V1, owned=False), Side("theseus-v2-b", V2, owned=True, stands_for="v1")),
        (Side("theseus-v1-a", V1, owned=True), Side("theseus-v2-b", V2, owned=True)),
        (Side("v1", V1, owned=False), Side("v2", V2, owned=False)),
        (None, Side("theseus-v2-b", V2, owned=True)),
        (Side("theseus-v1-a", V1, owned=True, stands_for="stable"), None),
    ]
)


@widely
@given(users_subsets, st.booleans(), st.sampled_from([None, {}, {"team": "shop"}]), sides)
def test_the_users_rule_comes_back_byte_for_byte(
    subsets: list[Object],
    explicit: bool,
    annotations: Object | None,
    both: tuple[Side | None, Side | None],
) -> None:
    dr = rule(trafficPolicy={"loadBalancer": {"simple": "RANDOM"}}, futureField=[1])
    if subsets or explicit:
        dr["spec"]["subsets"] = subsets
    if annotations is not None:
        dr["metadata"]["annotations"] = annotations
    before = json.dumps(dr)
    wanted = routing(*both)
    edited = edit_destination_rule(dr, wanted)
    assert edit_destination_rule(edited, wanted) == edited
    assert subsets_of(edited)[: len(subsets)] == subsets
    assert json.dumps(dr) == before
    for carries in ("previous", "candidate"):
        restored = restore_destination_rule(edited, REVIEWS, carries)
        assert json.dumps(restored) == before


def test_our_subset_copies_the_policy_of_the_users_it_stands_for() -> None:
    policy = {"outlierDetection": {"consecutive5xxErrors": 3}}
    dr = rule(subset("v1", policy, version="v1"))
    side = Side("theseus-v2-b", V2, owned=True, stands_for="v1")
    edited = edit_destination_rule(dr, routing(Side("v1", V1, owned=False), side))
    added = subsets_of(edited)[-1]
    assert added == {"name": "theseus-v2-b", "labels": V2, "trafficPolicy": policy}
    assert added["trafficPolicy"] is not subsets_of(dr)[0]["trafficPolicy"]


def test_a_first_release_gets_a_subset_that_selects_nothing() -> None:
    edited = edit_destination_rule(rule(), routing(None, Side("theseus-v2-b", V2, owned=True)))
    empty, candidate = subsets_of(edited)
    assert empty["labels"] == {"theseus-ci.io/none": "true"}
    assert candidate["name"] == "theseus-v2-b"


def test_a_rule_made_for_the_rollout_is_to_be_deleted() -> None:
    both = routing(Side("theseus-v1-a", V1, owned=True), Side("theseus-v2-b", V2, owned=True))
    policy = {"tls": {"mode": "ISTIO_MUTUAL"}}
    made = new_destination_rule(REVIEWS, both, policy)
    assert made["spec"]["host"] == "reviews.shop.svc.cluster.local"
    assert made["spec"]["trafficPolicy"] == policy
    assert restore_destination_rule(edit_destination_rule(made, both), REVIEWS, "previous") is None
    taken_over = copy.deepcopy(made)
    taken_over["spec"]["trafficPolicy"]["tls"]["mode"] = "DISABLE"
    kept = restore_destination_rule(taken_over, REVIEWS, "candidate")
    assert kept is not None
    assert "annotations" not in kept["metadata"]
    assert subsets_of(kept) == []


def test_a_record_that_cannot_be_read_stops_everything() -> None:
    edited = edit_destination_rule(rule(), routing(Side("theseus-v1-a", V1, owned=True), None))
    name = next(iter(edited["metadata"]["annotations"]))
    edited["metadata"]["annotations"][name] = "{"
    with pytest.raises(StateError, match="cannot be read"):
        restore_destination_rule(edited, REVIEWS, "previous")


def test_the_users_subsets_are_used_where_they_tell_the_versions_apart() -> None:
    dr = rule(subset("v1", version="v1"), subset("v2", version="v2"))
    choice = choose_sides(REVIEWS, [routes_to("v1")], [dr], V1, V2)
    assert choice.previous == Side("v1", {"version": "v1"}, owned=False)
    assert choice.candidate == Side("v2", {"version": "v2"}, owned=False)
    assert choice.replaces == frozenset()


def test_a_users_subset_that_takes_both_is_stood_in_for() -> None:
    dr = rule(subset("all", {"tls": {"mode": "ISTIO_MUTUAL"}}, app="reviews"))
    choice = choose_sides(REVIEWS, [routes_to("all")], [dr], V1, V2)
    assert choice.replaces == {"all"}
    assert choice.previous is not None
    assert (choice.previous.owned, choice.previous.labels) == (True, {"version": "v1"})
    assert (choice.candidate.owned, choice.candidate.labels) == (True, {"version": "v2"})
    assert choice.previous.stands_for == choice.candidate.stands_for == "all"
    assert choice.previous.subset.startswith("theseus-v1-")


def test_the_candidate_succeeds_the_users_labels() -> None:
    dr = rule(subset("v1", app="reviews", version="v1"))
    choice = choose_sides(REVIEWS, [routes_to("v1")], [dr], {**V1, "build": "7"}, V2)
    assert choice.candidate.labels == {"app": "reviews", "version": "v2"}
    assert choice.candidate.stands_for == "v1"


def test_pods_told_apart_by_hash_only() -> None:
    labels = {"app": "reviews"}
    with pytest.raises(Refused) as caught:
        choose_sides(REVIEWS, [], [], labels, labels)
    assert "pod-template-hash" in caught.value.remedy
    hashes = [{**labels, "pod-template-hash": one} for one in ("abc", "def")]
    choice = choose_sides(REVIEWS, [], [], *hashes)
    assert choice.previous is not None
    assert choice.previous.labels == {"pod-template-hash": "abc"}
    assert choice.candidate.labels == {"pod-template-hash": "def"}


def test_several_subsets_of_the_previous_version_are_refused() -> None:
    dr = rule(subset("v1", version="v1"), subset("v1-strict", version="v1"))
    with pytest.raises(Refused, match="v1, v1-strict"):
        choose_sides(REVIEWS, [routes_to("v1", "v1-strict")], [dr], V1, V2)
    choice = choose_sides(REVIEWS, [routes_to("v1-strict")], [dr], V1, V2)
    assert choice.previous is not None
    assert choice.previous.subset == "v1-strict"


def test_a_first_release_hides_the_candidate_from_the_users_routes() -> None:
    dr = rule(subset("v1", version="v1"))
    choice = choose_sides(REVIEWS, [routes_to("v1")], [dr], None, V1)
    assert choice.previous is None
    assert choice.candidate.owned
    assert choice.replaces == {"v1"}


def test_the_choice_is_the_same_once_the_objects_are_edited() -> None:
    dr = rule()
    choice = choose_sides(REVIEWS, [routes_to("")], [dr], V1, V2)
    edited = edit_destination_rule(dr, routing(choice.previous, choice.candidate))
    assert owned_names(edited, REVIEWS)
    assert choose_sides(REVIEWS, [routes_to("")], [edited], V1, V2) == choice


pod_labels = st.dictionaries(
    st.sampled_from(["app", "version", "track", "build"]), st.sampled_from("ab"), min_size=1
)


@widely
@given(
    users_subsets,
    st.lists(st.sampled_from(["v1", "v2", "stable", ""]), max_size=2),
    pod_labels,
    pod_labels,
    st.lists(pod_labels, max_size=2),
)
def test_chosen_subsets_select_one_version_alone(
    subsets: list[Object], named: list[str], before: Object, after: Object, others: list[Object]
) -> None:
    objects = [routes_to(*named)], [rule(*subsets)]
    try:
        choice = choose_sides(REVIEWS, *objects, before, after, others=others)
    except Refused:
        return
    assert choice.previous is not None
    assert selects(choice.previous.labels, before)
    assert not selects(choice.previous.labels, after)
    assert selects(choice.candidate.labels, after)
    assert not selects(choice.candidate.labels, before)
    assert not any(selects(choice.candidate.labels, pod) for pod in others)
    for side in (choice.previous, choice.candidate):
        assert side.owned != any(one["name"] == side.subset for one in subsets)


def test_the_policy_in_effect_is_found_as_istio_finds_it() -> None:
    def named(value: str) -> Object:
        return {"loadBalancer": {"simple": value}}

    everywhere = rule(host="*.local", namespace="istio-system", trafficPolicy=named("root"))
    wide = rule(host="*.svc.cluster.local", trafficPolicy=named("wide"))
    narrow = rule(host="*.shop.svc.cluster.local", trafficPolicy=named("narrow"))
    exact = rule(trafficPolicy=named("exact"))
    gateway = rule(host="*.local", namespace="edge", trafficPolicy=named("edge"))
    private = rule(namespace="other", host="reviews", trafficPolicy=named("none"))
    rules = [everywhere, wide, narrow, private]
    assert effective_traffic_policy(REVIEWS, []) is None
    assert effective_traffic_policy(REVIEWS, [everywhere, private]) == named("root")
    assert effective_traffic_policy(REVIEWS, rules) == named("narrow")
    assert effective_traffic_policy(REVIEWS, [*rules, exact]) == named("exact")
    everything = [*rules, exact, gateway]
    found = effective_traffic_policy(REVIEWS, everything, client_namespace="edge")
    assert found == named("edge")
    assert shadowing_rules(REVIEWS, everything, {"v1": V1}) == [gateway]
    assert rule_to_edit(REVIEWS, everything) is exact
    assert rule_to_edit(REVIEWS, rules) is None
    hidden = rule(trafficPolicy=named("hidden"), namespace=NAMESPACE, exportTo=["."])
    assert effective_traffic_policy(REVIEWS, [hidden]) == named("hidden")
    assert effective_traffic_policy(REVIEWS, [hidden], client_namespace="edge") is None


def test_rules_that_keep_subsets_from_callers() -> None:
    """By namespace; what Istio's own push context does with each."""
    host = REVIEWS.fqdn
    v1, v2 = ({"name": name, "labels": labels} for name, labels in (("v1", V1), ("v2", V2)))

    def hiding(*rules: Object) -> list[Object]:
        return shadowing_rules(REVIEWS, [rule(v1, v2), *rules], {"v1": V1, "v2": V2})

    def selecting(*subsets: Object) -> Object:
        selector = {"matchLabels": {"app": "batch"}}
        return rule(*subsets, host=host, namespace="a", workloadSelector=selector)

    bare = rule(host=host, namespace="a")
    private = rule(host=host, namespace="a", exportTo=["."])
    half = rule(v1, host=host, namespace="a")
    rest = rule(v2, host=host, namespace="a")
    other = rule(v1, subset("v2", {"version": "v3"}), host=host, namespace="a")
    wide = rule(host="*.local", namespace="a")
    for one in (bare, private, half, other, wide, selecting(), selecting(v1, v2)):
        assert hiding(one) == [one], "where no rule is for all pods, those not selected see none"
    assert hiding(half, rest, wide) == []
    assert hiding(half, rest, selecting(v1, v2)) == []
    assert hiding(half, rest, selecting()) == [selecting()]
    assert hiding(rule(host=host, namespace="a", exportTo=["b"])) == []
    assert hiding(rule(host="reviews", namespace="a")) == []
    assert hiding(rule(host=host, namespace="istio-system")) == []
    for_gateways = rule(host=host, namespace="istio-system", exportTo=["."])
    assert hiding(for_gateways) == [for_gateways]


@pytest.mark.parametrize(
    ("host", "namespace", "same"),
    [
        ("reviews", NAMESPACE, True),
        ("reviews", "other", False),
        ("reviews.shop.svc.cluster.local", "other", True),
        ("reviews.shop", NAMESPACE, False),
        ("reviews.shop.svc.cluster.local.", NAMESPACE, False),
        ("*", NAMESPACE, False),
        ("*.shop.svc.cluster.local", NAMESPACE, False),
        ("", NAMESPACE, False),
    ],
)
def test_hosts_resolve_as_istio_resolves_them(host: str, namespace: str, same: bool) -> None:
    assert ServiceHost("reviews", "shop").resolves(host, namespace) == same
