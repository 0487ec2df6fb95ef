"""Laws that patches, selectors and ownership sets must keep for any input."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from theseus_ci.sandbox.apiserver import fieldsets, selectors
from theseus_ci.sandbox.apiserver.cells import duration
from theseus_ci.sandbox.apiserver.patches import merge_patch, strategic_patch
from theseus_ci.sandbox.apiserver.quantities import canonical
from theseus_ci.sandbox.apiserver.schema import builtin

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

names = st.sampled_from(["a", "b", "c", "d"])
scalars = st.one_of(st.integers(), st.text(max_size=3), st.booleans())
json_values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=8,
)
json_objects = st.dictionaries(names, json_values, max_size=4)
DEPLOYMENT = builtin("io.k8s.api.apps.v1.Deployment")
CONTAINER = builtin("io.k8s.api.core.v1.Container")

variables = st.lists(
    st.fixed_dictionaries({"name": names}, optional={"value": st.text(max_size=3)}),
    max_size=4,
    unique_by=lambda item: item["name"],
)
containers = st.fixed_dictionaries(
    {"name": names, "image": st.text(max_size=3)},
    optional={"env": variables, "command": st.lists(st.text(max_size=2), max_size=3)},
)


def difference(old: Any, new: Any) -> Any:
    """The merge patch that leads from `old` to `new`."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    patch: dict[str, Any] = {name: None for name in old if name not in new}
    for name, value in new.items():
        if name not in old:
            patch[name] = value
        elif old[name] != value:
            patch[name] = difference(old[name], value)
    return patch


@unhurried
@given(json_objects, json_objects)
def test_a_merge_patch_leads_where_it_was_made_for(old: Any, new: Any) -> None:
    assert merge_patch(old, difference(old, new)) == new


@unhurried
@given(json_objects, json_objects)
def test_a_merge_patch_twice_is_once(target: Any, patch: Any) -> None:
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


@unhurried
@given(containers, containers)
def test_a_strategic_patch_merges_by_key(target: Any, patch: Any) -> None:
    merged = strategic_patch(target, patch, CONTAINER)
    values = {item["name"]: item for item in target.get("env", [])}
    for item in patch.get("env", []):
        values[item["name"]] = {**values.get(item["name"], {}), **item}
    assert {item["name"]: item for item in merged.get("env", [])} == values
    assert merged.get("command", []) == patch.get("command", target.get("command", []))
    assert strategic_patch(merged, patch, CONTAINER) == merged


@unhurried
@given(containers, containers)
def test_patches_leave_their_target_alone(target: Any, patch: Any) -> None:
    before = repr(target)
    strategic_patch(target, patch, CONTAINER)
    merge_patch(target, patch)
    assert repr(target) == before


@unhurried
@given(containers, st.permutations(["a", "b", "c", "d"]))
def test_element_order_is_kept(target: Any, order: list[str]) -> None:
    directive = {"$setElementOrder/env": [{"name": name} for name in order]}
    merged = strategic_patch(target, directive, CONTAINER)
    present = [item["name"] for item in merged.get("env", [])]
    assert present == [name for name in order if name in present]


@unhurried
@given(containers, names)
def test_delete_directive_removes_one_item(target: Any, name: str) -> None:
    patch = {"env": [{"name": name, "$patch": "delete"}]}
    merged = strategic_patch(target, patch, CONTAINER)
    kept = [item for item in target.get("env", []) if item["name"] != name]
    assert merged.get("env", []) == kept


label_maps = st.dictionaries(names, st.sampled_from(["x", "y", ""]), max_size=4)
terms = st.one_of(
    st.builds(lambda k, v: f"{k}={v}", names, st.sampled_from(["x", "y"])),
    st.builds(lambda k, v: f"{k} notin ({v},z)", names, st.sampled_from(["x", "y"])),
    st.builds(lambda k: f"!{k}", names),
    names,
)


@unhurried
@given(label_maps, st.lists(terms, max_size=3))
def test_selector_terms_are_all_required(labels: dict[str, str], parts: list[str]) -> None:
    whole = selectors.parse_labels(",".join(parts)).matches(labels)
    assert whole == all(selectors.parse_labels(part).matches(labels) for part in parts)


@unhurried
@given(label_maps, names, st.sampled_from(["x", "y"]))
def test_opposite_terms_exclude_each_other(labels: dict[str, str], key: str, value: str) -> None:
    for one, other in ((f"{key}={value}", f"{key}!={value}"), (key, f"!{key}")):
        first = selectors.parse_labels(one).matches(labels)
        assert first != selectors.parse_labels(other).matches(labels)


@unhurried
@given(label_maps, label_maps)
def test_a_selector_object_and_its_text_agree(
    wanted: dict[str, str], labels: dict[str, str]
) -> None:
    selector = {"matchLabels": wanted}
    by_text = selectors.parse_labels(selectors.to_text(selector))
    assert by_text.matches(labels) == selectors.from_object(selector).matches(labels)


@unhurried
@given(containers)
def test_field_sets_survive_their_encoding(container: Any) -> None:
    spec = {"template": {"spec": {"containers": [container]}}}
    paths = fieldsets.leaves({"metadata": {"labels": {"a": "b"}}, "spec": spec}, DEPLOYMENT)
    assert frozenset(fieldsets.decode(fieldsets.encode(paths))) == paths


@unhurried
@given(st.integers(0, 10**6), st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi"]))
def test_a_canonical_quantity_stays(number: int, suffix: str) -> None:
    once = canonical(f"{number}{suffix}")
    assert canonical(once) == once


@unhurried
@given(st.integers(1, 10**4))
def test_equal_quantities_have_one_form(number: int) -> None:
    assert canonical(f"{number * 1000}m") == canonical(str(number))
    assert canonical(f"{number * 1024}Mi") == canonical(f"{number}Gi")
    assert canonical(f"{number}.5") == canonical(f"{number * 1000 + 500}m")


@unhurried
@given(st.integers(0, 10**9))
def test_ages_are_short(seconds: int) -> None:
    assert 2 <= len(duration(seconds)) <= 7
