"""Flows become plans, or an error that says which line and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from theseus_ci.config.performance import Performance, Request
from theseus_ci.config.smoke import HttpCheck, SmokeCheck
from theseus_ci.config.types import Config
from theseus_ci.errors import ConfigError, StateError, UsageError
from theseus_ci.flow import build_plan, load_flow, plan_from_dict, plan_to_dict, shipped_flows
from theseus_ci.flowfile import SHIPPED

BARE = Config(service="reviews")
WHOLE = Config(
    service="reviews",
    smoke=(SmokeCheck(name="health", http=HttpCheck()),),
    performance=Performance(requests=(Request(path="/"),), rate=10),
)
CANARY = """begin, base-route, deploy, dark-route, await-mesh, smoke-dark, autoscale, shift-first,
    performance-baseline, bake-first, shift-half, smoke-half, performance-half, bake-half,
    shift-full, smoke-full, bake-full, drain-previous, scale-down-previous, await-scale-down,
    smoke-alone, performance-alone, bake-alone, promote"""
HEAD = ["begin", "base-route", "deploy", "dark-route", "await-mesh"]
TAIL: list[Any] = [{"shift": 100}, "drain-previous", "promote"]


def ids(text: str) -> list[str]:
    return text.replace("\n", " ").replace(" ", "").split(",")


def write(folder: Path, steps: list[Any], **head: Any) -> str:
    path = folder / "my.yaml"
    path.write_text(yaml.safe_dump({**head, "steps": steps}, sort_keys=False))
    return str(path)


def refusal(folder: Path, steps: list[Any], **head: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_flow(write(folder, steps, **head))
    assert str(caught.value).startswith(f"{folder / 'my.yaml'}:")
    return str(caught.value)


def test_the_canary_is_the_sequence_of_the_design() -> None:
    plan = build_plan(load_flow("canary"), WHOLE, has_previous=True)
    assert [step.id for step in plan.steps] == ids(CANARY)
    assert plan.left_out == ()
    assert plan.on_failure == "rollback"
    commands = {step.id: step.command for step in plan.steps}
    assert commands["shift-first"] == ("shift", "1")
    assert commands["shift-half"] == ("shift", "50")
    assert commands["shift-full"] == ("shift", "100")
    assert commands["performance-baseline"] == ("performance", "--baseline")
    assert commands["performance-alone"] == ("performance", "--compare")
    assert commands["bake-first"] == ("bake", "1m")
    titles = {step.id: step.title for step in plan.steps}
    assert titles["shift-half"] == "Shift 50 % of production traffic to the candidate"
    assert titles["shift-full"] == "Shift all production traffic to the candidate"
    assert all(step.skip_reason == "" for step in plan.steps)


def test_the_canary_measures_at_each_share_of_the_traffic() -> None:
    weight, measured = 0, []
    for step in build_plan(load_flow("canary"), WHOLE, has_previous=True).steps:
        if step.command[0] == "shift":
            weight = int(step.command[1])
        elif step.command[0] == "performance":
            measured.append((weight, step.command[1]))
    assert measured == [(1, "--baseline"), (50, "--compare"), (100, "--compare")]


def test_a_first_release_leaves_out_what_needs_a_previous_version() -> None:
    plan = build_plan(load_flow("canary"), WHOLE, has_previous=False)
    assert [step.id for step in plan.steps] == ids(
        "begin, base-route, deploy, dark-route, await-mesh, smoke-dark, autoscale,"
        "performance-baseline, shift-full, smoke-full, bake-full, promote"
    )
    named = [step.id for step in plan.left_out] + [step.id for step in plan.steps]
    assert sorted(named) == sorted(ids(CANARY))
    assert all(step.reason.startswith("first release") for step in plan.left_out)
    with pytest.raises(UsageError, match="leaves drain-previous out: first release"):
        plan.find("drain-previous", [])


def test_a_comparison_of_a_first_release_is_a_measurement(tmp_path: Path) -> None:
    steps = [
        *HEAD,
        {"shift": 50},
        {"performance": {"mode": "baseline", "when": "previous"}},
        {"shift": 100},
        {"performance": "compare"},
        *TAIL[1:],
    ]
    flow = load_flow(write(tmp_path, steps))
    commands = [step.command for step in build_plan(flow, WHOLE, has_previous=False).steps]
    assert commands.count(("performance", "--baseline")) == 1
    assert ("performance", "--compare") not in commands


def test_sections_that_the_configuration_lacks_are_skipped_aloud() -> None:
    plan = build_plan(load_flow("canary"), BARE, has_previous=True)
    reasons = {step.command[0]: step.skip_reason for step in plan.steps}
    assert reasons["smoke"] == "theseus.yaml has no smoke checks"
    assert reasons["performance"] == "theseus.yaml has no performance section"
    assert reasons["shift"] == ""


@pytest.mark.parametrize("name", shipped_flows())
@pytest.mark.parametrize("has_previous", [True, False])
def test_shipped_plans_survive_the_state(name: str, has_previous: bool) -> None:
    plan = build_plan(load_flow(name), WHOLE, has_previous=has_previous)
    assert plan_from_dict(json.loads(json.dumps(plan_to_dict(plan)))) == plan
    assert plan.flow == name
    with pytest.raises(StateError):
        plan_from_dict({"flow": 3})


def test_next_and_find_follow_what_is_done() -> None:
    plan = build_plan(load_flow("canary"), WHOLE, has_previous=True)
    first = plan.next_after([])
    assert first is not None
    assert first.id == "begin"
    everything = [step.id for step in plan.steps]
    assert plan.next_after(everything) is None
    assert plan.find("smoke", []).id == "smoke-dark"
    assert plan.find("smoke", ["smoke-dark"]).id == "smoke-half"
    assert plan.find("smoke", everything).id == "smoke-alone"
    assert plan.find(("shift", "50"), []).id == "shift-half"
    assert plan.find(["shift", "50"], ["shift-half"]).id == "shift-half"
    assert plan.step("bake-half").command == ("bake", "2m")
    assert [step.id for step in plan.unfinished_before(plan.step("deploy"), ["begin"])] == [
        "base-route"
    ]
    with pytest.raises(UsageError) as caught:
        plan.find(("shift", "30"), [])
    assert "shift-half (shift 50)" in caught.value.remedy
    with pytest.raises(UsageError, match="no step 'nope'"):
        plan.step("nope")


def test_own_flows_from_the_folder_of_the_configuration(tmp_path: Path) -> None:
    steps = [*HEAD, "smoke", {"shift": 20}, "smoke", {"bake": "90s"}, {"bake": {"for": "1m"}}]
    promote = {
        "promote": {
            "title": "Well done",
            "timeout": "10m",
            "gate": {"message": "Promote?", "submitter": "release", "timeout": "4h"},
        }
    }
    write(tmp_path, [*steps, *TAIL[:2], promote], title="Ours")
    flow = load_flow("my.yaml", tmp_path)
    plan = build_plan(flow, WHOLE, has_previous=True)
    assert [step.id for step in plan.steps][5:10] == ["smoke", "shift", "smoke-2", "bake", "bake-2"]
    assert plan.flow == "my"
    assert plan.title == "Ours"
    last = plan.steps[-1]
    assert (last.title, last.timeout) == ("Well done", 600.0)
    assert last.gate is not None
    assert (last.gate.message, last.gate.submitter, last.gate.timeout) == (
        "Promote?",
        "release",
        14400.0,
    )
    assert plan.find(("bake", "1m30s"), []).id == "bake"


def test_a_gate_ends_by_itself(tmp_path: Path) -> None:
    steps = [*HEAD, *TAIL[:2], {"promote": {"gate": {"message": "Sure?"}}}]
    plan = build_plan(load_flow(write(tmp_path, steps)), WHOLE, has_previous=True)
    gate = plan.steps[-1].gate
    assert gate is not None
    assert gate.timeout == 24 * 3600


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([], "steps: is empty"),
        (["deplo"], "unknown command 'deplo'; did you mean deploy?"),
        (["begin", "x" * 20], "unknown command"),
        (["begin", {"deploy": {}, "smoke": {}}], "one command per step, not deploy and smoke"),
        (["begin", ["deploy"]], "expected a command or {command: …}, got a list"),
        (["begin", None], "expected a command or {command: …}, got nothing"),
        (["begin", {"deploy": 3}], "deploy takes no argument"),
        (["begin", {"deploy": {"wieght": 3}}], "unknown key 'wieght'"),
        (["begin", {"deploy": {"weight": 3}}], "unknown key 'weight'"),
        (["begin", {"deploy": {"gate": {"message": " "}}}], "say what is asked for"),
        (["begin", {"deploy": {"gate": {"message": "x", "timeout": "0"}}}], "more than 0"),
        (["begin", {"deploy": {"timeout": "0"}}], "must be more than 0"),
        (["begin", {"deploy": {"timeout": 5}}], "5 is not a duration"),
        (["begin", {"deploy": {"id": "Deploy"}}], "'Deploy' must be at most 40"),
        (["begin", {"deploy": {"id": ""}}], "'' must be at most 40"),
        (["begin", {"deploy": {"when": "never"}}], "write always or previous"),
        (["begin", "shift"], "shift needs a weight, a whole percentage from 1 to 100, got nothing"),
        (["begin", {"shift": 0}], "got the number 0"),
        (["begin", {"shift": 101}], "got the number 101"),
        (["begin", {"shift": 2.5}], "got the number 2.5"),
        (["begin", {"shift": True}], "got true"),
        (["begin", {"shift": {"weight": "50%"}}], "got the text '50%'"),
        (["begin", "bake"], "bake needs a duration"),
        (["begin", {"bake": 60}], "60 is not a duration"),
        (["begin", {"bake": "0"}], "bake needs more than 0"),
        (["begin", {"performance": "measure"}], "performance is either baseline or compare"),
        (["deploy", "promote"], "the first step must be begin"),
        ([*HEAD, {"shift": 100}], "the last step must be promote"),
        (["begin", "deploy", "promote"], "deploy needs base-route before it: without the previous"),
        (["begin", "base-route", "dark-route", "promote"], "dark-route needs deploy before it"),
        ([*HEAD[:3], "await-mesh", "promote"], "await-mesh needs dark-route before it"),
        ([*HEAD[:4], "smoke", "promote"], "smoke needs await-mesh before it"),
        ([*HEAD[:4], {"shift": 5}, "promote"], "shift needs await-mesh before it"),
        ([*HEAD, {"performance": "compare"}, *TAIL], "compare needs performance baseline before"),
        ([*HEAD, {"shift": 50}, {"shift": 50}, *TAIL], "shift 50 does not go beyond the 50 %"),
        ([*HEAD, {"shift": 50}, {"shift": 20}, *TAIL], "shift 20 does not go beyond the 50 %"),
        ([*HEAD, {"shift": 99}, *TAIL[1:]], "drain-previous needs shift 100 before it"),
        ([*HEAD, {"shift": 100}, "promote"], "promote needs drain-previous before it"),
        (
            [*HEAD, {"shift": 100}, "scale-down-previous", *TAIL[1:]],
            "scale-down-previous needs drain-previous before it",
        ),
        (
            [*HEAD, *TAIL[:2], "await-scale-down", "promote"],
            "await-scale-down needs scale-down-previous before it",
        ),
        ([*HEAD, "deploy", *TAIL], "deploy is in the flow already"),
        ([*HEAD, *TAIL, "promote"], "promote is in the flow already"),
        ([*HEAD, *TAIL, "smoke"], "smoke comes after promote"),
        (
            [*HEAD, {"smoke": {"id": "a"}}, {"smoke": {"id": "a"}}, *TAIL],
            "the id 'a' is taken by an earlier step",
        ),
        (
            [*HEAD, TAIL[0], {"drain-previous": {"when": "always"}}, TAIL[2]],
            "drain-previous cannot run always",
        ),
        ([*HEAD, {"shift": {"weight": 5, "when": "always"}}, *TAIL], "shift cannot run always"),
    ],
)
def test_what_is_refused(tmp_path: Path, steps: list[Any], words: str) -> None:
    assert words in refusal(tmp_path, steps)


def test_heads_that_are_refused(tmp_path: Path) -> None:
    assert "write rollback" in refusal(tmp_path, ["begin"], onFailure="panic")
    assert "did you mean title?" in refusal(tmp_path, ["begin"], tilte="x")
    with pytest.raises(ConfigError, match="no flow 'canry'; did you mean canary") as caught:
        load_flow("canry")
    assert "by its path" in caught.value.remedy
    with pytest.raises(ConfigError, match="does not exist"):
        load_flow("./absent.yaml", tmp_path)
    (tmp_path / "two.yaml").write_text("steps: []\n---\nsteps: []\n")
    with pytest.raises(ConfigError, match="holds several documents"):
        load_flow("two.yaml", tmp_path)
    (tmp_path / "bad.yaml").write_text("steps: [\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml:2:1"):
        load_flow("bad.yaml", tmp_path)


OBSERVATIONS = st.lists(
    st.sampled_from(["smoke", {"bake": "1s"}, {"performance": "baseline"}]), max_size=3
)


@st.composite
def flows(draw: st.DrawFn) -> list[Any]:
    steps: list[Any] = [*HEAD, *draw(OBSERVATIONS)]
    for weight in sorted(draw(st.sets(st.integers(1, 99), max_size=4))):
        steps += [{"shift": weight}, *draw(OBSERVATIONS)]
    steps += [{"shift": 100}, *draw(OBSERVATIONS), "drain-previous", *draw(OBSERVATIONS)]
    if draw(st.booleans()):
        steps += ["scale-down-previous", "await-scale-down", *draw(OBSERVATIONS)]
    return [*steps, "promote"]


@settings(deadline=None, max_examples=60)
@given(steps=flows(), has_previous=st.booleans())
def test_every_plan_ends_and_keeps_its_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any], has_previous: bool
) -> None:
    folder = tmp_path_factory.mktemp("flow")
    flow = load_flow(write(folder, steps))
    plan = build_plan(flow, WHOLE, has_previous=has_previous)
    in_flow = [step.id for step in flow.steps]
    assert len(set(in_flow)) == len(in_flow)
    kept = [step.id for step in plan.steps]
    assert kept == [one for one in in_flow if one in kept]
    assert len(kept) + len(plan.left_out) == len(in_flow)
    assert not has_previous or not plan.left_out
    weights = [int(step.command[1]) for step in plan.steps if step.command[0] == "shift"]
    assert weights[-1] == 100
    assert has_previous or weights == [100]
    done: list[str] = []
    while (step := plan.next_after(done)) is not None:
        assert plan.find(step.command, done) == step
        done.append(step.id)
    assert done == kept


def test_the_shipped_files_are_part_of_the_package() -> None:
    assert {"canary", "blue-green"} <= set(shipped_flows())
    assert (SHIPPED / "canary.yaml").is_file()
