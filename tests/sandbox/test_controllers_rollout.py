"""The arithmetic of rollouts, for every size there is rather than the few that come to mind."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from theseus_ci.sandbox.client import Object
from theseus_ci.sandbox.controllers import revisions, rollout
from theseus_ci.sandbox.controllers.selectors import selects

amounts = st.one_of(st.integers(0, 12), st.integers(0, 100).map(lambda percent: f"{percent}%"))


def deployment(replicas: int, surge: int | str = "25%", unavailable: int | str = "25%") -> Object:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    return {"metadata": {"name": "web"}, "spec": {"replicas": replicas, "strategy": strategy}}


def replica_set(name: str, size: int, available: int, **annotations: str) -> Object:
    return {
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"replicas": size},
        "status": {"availableReplicas": available},
    }


@st.composite
def standing(draw: st.DrawFn) -> tuple[Object, Object, list[Object]]:
    """A Deployment in the middle of anything: its new ReplicaSet and its old ones."""
    wish = deployment(draw(st.integers(0, 20)), draw(amounts), draw(amounts))

    def some(name: str) -> Object:
        size = draw(st.integers(0, 20))
        return replica_set(name, size, draw(st.integers(0, size)))

    old = [some(f"old-{number}") for number in range(draw(st.integers(0, 3)))]
    return wish, some("new"), old


@given(standing())
def test_growth_never_exceeds_what_surge_allows(case: tuple[Object, Object, list[Object]]) -> None:
    wish, new, old = case
    surge, _ = rollout.fenceposts(wish)
    size = rollout.new_size(wish, new, [*old, new])
    grown = size - rollout.wanted(new)
    assert size <= rollout.wanted(wish)
    if grown > 0:
        assert rollout.total([*old, new]) + grown <= rollout.wanted(wish) + surge


@given(standing())
def test_shrinking_leaves_as_many_available_as_promised(
    case: tuple[Object, Object, list[Object]],
) -> None:
    wish, new, old = case
    _, unavailable = rollout.fenceposts(wish)
    sizes = rollout.old_sizes(wish, new, old)
    before = rollout.available(new) + sum(rollout.available(rs) for rs in old)
    after = rollout.available(new)
    for rs in old:
        size = sizes.get(rs["metadata"]["name"], rollout.wanted(rs))
        assert 0 <= size <= rollout.wanted(rs)
        after += min(rollout.available(rs), size)  # pods that are not available go first
    assert after >= min(before, rollout.wanted(wish) - unavailable)


@given(standing())
def test_a_rollout_whose_pods_get_ready_ends(case: tuple[Object, Object, list[Object]]) -> None:
    wish, new, old = case
    for _ in range(200):
        everyone = [*old, new]
        size = rollout.new_size(wish, new, everyone)
        sizes = rollout.old_sizes(wish, new, old)
        new["spec"]["replicas"] = size
        for rs in old:
            rs["spec"]["replicas"] = sizes.get(rs["metadata"]["name"], rs["spec"]["replicas"])
        for rs in everyone:
            rs["status"]["availableReplicas"] = rs["spec"]["replicas"]
    assert rollout.wanted(new) == rollout.wanted(wish)
    assert rollout.total(old) == 0


@given(
    st.integers(0, 30),
    st.lists(st.integers(1, 20), min_size=2, max_size=4),
    amounts,
    st.integers(0, 40),
)
def test_scaling_in_the_middle_of_a_rollout_hits_the_size_exactly(
    replicas: int, sizes: list[int], surge: int | str, before: int
) -> None:
    wish = deployment(replicas, surge, 1)
    # What the ReplicaSets were allowed before was at least what they have.
    annotations: dict[str, Any] = {rollout.MAXIMUM: str(max(before, sum(sizes)))}
    active = [
        replica_set(f"rs-{number}", size, size, **annotations) for number, size in enumerate(sizes)
    ]
    result = rollout.proportional_sizes(wish, active)
    extra, _ = rollout.fenceposts(wish)
    assert sum(result.values()) == (replicas + extra if replicas else 0)
    assert all(size >= 0 for size in result.values())


@given(st.integers(0, 100), amounts, amounts)
def test_there_is_always_a_way_to_move(
    replicas: int, surge: int | str, unavailable: int | str
) -> None:
    most, least = rollout.fenceposts(deployment(replicas, surge, unavailable))
    assert most >= 0
    assert 0 <= least <= replicas
    assert replicas == 0 or most + least > 0


labels = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), max_size=3)


@given(labels, labels)
def test_a_selector_matches_exactly_the_labels_that_contain_it(
    selector: dict[str, str], present: dict[str, str]
) -> None:
    contained = bool(selector) and selector.items() <= present.items()
    assert selects({"matchLabels": selector}, present) == contained
    expressions = [{"key": k, "operator": "In", "values": [v]} for k, v in selector.items()]
    assert selects({"matchExpressions": expressions}, present) == contained


def test_a_template_hash_is_of_the_template_and_the_collisions_alone() -> None:
    web: Object = {"spec": {"replicas": 1, "template": {"metadata": {"labels": {"a": "b"}}}}}
    first = revisions.template_hash(web)
    web["spec"]["replicas"] = 5
    assert revisions.template_hash(web) == first
    web["status"] = {"collisionCount": 1}
    assert revisions.template_hash(web) != first
