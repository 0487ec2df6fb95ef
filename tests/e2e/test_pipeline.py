"""What the Jenkins library asks of the command line, besides the steps of the plan."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from tests.e2e import app
from tests.e2e.world import World

FIRST_BUILD = {"BUILD_URL": "http://jenkins.example.com/job/web/7/"}
OTHER_BUILD = {"BUILD_URL": "http://jenkins.example.com/job/web/8/"}


def cases(world: World, report: str) -> list[tuple[str, str, bool]]:
    tree = ElementTree.parse(world.folder / "reports" / f"{report}.xml")
    return [
        (
            case.get("classname", ""),
            case.get("name", ""),
            case.find("failure") is None and case.find("error") is None,
        )
        for case in tree.iter("testcase")
    ]


def begun(world: World) -> None:
    world.start_service()
    world.configure(app.candidate())
    world.theseus("begin", env=FIRST_BUILD)


def test_lock_is_named_for_the_service_alone(world: World) -> None:
    world.configure(app.candidate())
    assert world.theseus("pipeline", "lock").out == f"theseus/{world.namespace}/web\n"


def test_the_plan_says_how_each_step_is_run(world: World) -> None:
    world.start_service()
    world.configure(app.candidate())
    steps = json.loads(world.theseus("plan", "--json").out)["steps"]
    assert steps[0]["argv"] == ["begin"]
    for step in steps[1:]:
        assert step["argv"] == [*step["command"], "--step", step["id"]]
    assert all(step["limit"] > (step["timeout"] or 0) for step in steps)


def test_a_question_tells_what_has_been_found(world: World) -> None:
    begun(world)
    world.theseus("base-route")
    asked = world.theseus("pipeline", "question", "promote", env=FIRST_BUILD).out.splitlines()
    assert asked[0] == "Go on with promote?"
    assert asked[1] == f"{world.namespace}/web: web-v1 → web-v2."
    assert asked[2] == "Production traffic: 100 % on web-v1, 0 % on web-v2."
    assert any(line.startswith("base-route (0 %): pass, ") for line in asked)
    assert asked[-1] == "Test report: http://jenkins.example.com/job/web/7/testReport/"


def test_a_question_before_begin_has_its_words_alone(world: World) -> None:
    world.configure(app.candidate())
    asked = world.theseus("pipeline", "question", "begin", env={"THESEUS_GATE_MESSAGE": "Now?"})
    assert asked.out == "Now?\n"


def test_an_approval_is_kept_and_reported(world: World) -> None:
    begun(world)
    world.theseus("pipeline", "approve", "promote", env={"THESEUS_APPROVED_BY": "alice"})
    state = json.loads((world.folder / "theseus-state.json").read_text(encoding="utf-8"))
    (answer,) = state["gates"]
    assert (answer["step"], answer["approved"], answer["by"]) == ("promote", True, "alice")
    assert cases(world, "promote-gate") == [("theseus.web.PromoteGate", "approved", True)]


def test_an_approval_names_a_person_and_a_step(world: World) -> None:
    begun(world)
    assert "--by" in world.theseus("pipeline", "approve", "promote", code=2).err
    assert "no step" in world.theseus("pipeline", "approve", "pormote", "--by", "a", code=2).err


def test_a_step_without_a_report_gets_one(world: World) -> None:
    world.write("theseus.yaml", "servise: web\n")
    world.theseus("pipeline", "crashed", "begin", "--code", "2")
    assert cases(world, "begin")[0][1:] == ("completed", False)


def test_a_report_that_is_there_stays(world: World) -> None:
    begun(world)
    world.theseus("pipeline", "crashed", "begin", "--code", "3")
    assert cases(world, "begin") == [("theseus.web.Begin", "checked", True)]


def test_a_refused_build_leaves_the_rollout_of_another_alone(world: World) -> None:
    begun(world)
    elsewhere = world.empty_folder()
    world.theseus("rollback", "--own", folder=elsewhere, env=OTHER_BUILD)
    assert world.has("Lease", "theseus-web")


def test_a_build_takes_its_own_rollout_back_from_an_empty_workspace(world: World) -> None:
    begun(world)
    world.theseus("rollback", "--own", folder=world.empty_folder(), env=FIRST_BUILD)
    assert not world.has("Lease", "theseus-web")


def test_own_rolls_back_what_the_artefact_proves(world: World) -> None:
    begun(world)
    world.theseus("rollback", "--own", env=OTHER_BUILD)
    assert not world.has("Lease", "theseus-web")
