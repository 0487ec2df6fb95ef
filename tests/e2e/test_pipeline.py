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


def failure(world: World, report: str) -> str:
    """The text of a report's only case, which has failed."""
    tree = ElementTree.parse(world.folder / "reports" / f"{report}.xml")
    ((bad,),) = [[*case.iter("failure"), *case.iter("error")] for case in tree.iter("testcase")]
    return bad.text or ""


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
    page = {"THESEUS_PAGE": "artifact/theseus/reports/html/index.html"}
    asked = world.theseus(
        "pipeline", "question", "promote", env=FIRST_BUILD | page
    ).out.splitlines()
    assert all(line.startswith("Note: ") for line in asked[4:-2])
    assert asked[:4] + asked[-2:] == [
        "Go on with promote?",
        f"{world.namespace}/web: web-v1 → web-v2.",
        "Production traffic: 100 % on web-v1, 0 % on web-v2.",
        "2 of 22 steps done; checks passed: 1, none failed.",
        "Report: http://jenkins.example.com/job/web/7/artifact/theseus/reports/html/index.html",
        "Test results: http://jenkins.example.com/job/web/7/testReport/",
    ]


def test_a_question_before_begin_has_its_words_alone(world: World) -> None:
    world.configure(app.candidate())
    asked = world.theseus("pipeline", "question", "begin", env={"THESEUS_GATE_MESSAGE": "Now?"})
    assert asked.out == "Now?\n"


def test_an_approval_is_kept_and_reported(world: World) -> None:
    begun(world)
    world.theseus("pipeline", "approve", "promote", env={"THESEUS_ANSWERED_BY": "alice"})
    state = json.loads((world.folder / "theseus-state.json").read_text(encoding="utf-8"))
    (answer,) = state["gates"]
    assert (answer["step"], answer["approved"], answer["by"]) == ("promote", True, "alice")
    assert cases(world, "promote-gate") == [("theseus.web.PromoteGate", "approved", True)]


def test_a_refusal_is_kept_reported_and_told(world: World) -> None:
    begun(world)
    answer = {"THESEUS_ANSWERED_BY": "bob", "THESEUS_ANSWER_COMMENT": "Rejected by Bob"}
    world.theseus("pipeline", "refuse", "promote", env=FIRST_BUILD | answer)
    (kept,) = world.state()["gates"]
    assert (kept["approved"], kept["by"], kept["comment"]) == (False, "bob", "Rejected by Bob")
    assert cases(world, "promote-gate") == [("theseus.web.PromoteGate", "approved", False)]
    assert failure(world, "promote-gate").split("\n\n") == [
        "not approved by bob: Rejected by Bob",
        "expected: consent to promote",
        "actual: no, by bob",
        "production traffic then: 100 % on web-v1, 0 % on web-v2",
        "what the rollout did: Nothing at once: the traffic is as it was tested. Everything is put "
        "back by theseus-ci rollback, which `run` and the Jenkins library start by themselves: its "
        "outcome is the case rolled-back of theseus.web.Rollback.",
    ]
    shown = world.theseus("status").out
    assert "gate      promote: not approved by bob: Rejected by Bob\n" in shown
    assert shown.endswith("next      theseus-ci rollback\n")
    told = world.theseus("report", "--markdown").out
    assert "was answered with no by bob, and nothing has been put back yet" in told
    world.theseus("rollback", "--own", env=FIRST_BUILD)
    told = world.theseus("report", "--markdown").out
    assert "the gate before promote was answered with no by bob" in told


def test_a_refusal_without_a_rollout_of_ours_is_reported_alone(world: World) -> None:
    world.start_service()
    world.configure(app.candidate())
    expired = {"THESEUS_ANSWER_COMMENT": "no answer in 90 minutes"}
    world.theseus("pipeline", "refuse", "begin", env=OTHER_BUILD | expired)
    assert cases(world, "begin-gate") == [("theseus.web.BeginGate", "approved", False)]
    told = failure(world, "begin-gate")
    assert told.startswith("not approved: no answer in 90 minutes\n\nexpected: consent to begin\n")
    assert "\n\nactual: no answer in 90 minutes\n\n" in told
    assert "production traffic then: as before" in told
    world.theseus("begin", env=FIRST_BUILD)
    elsewhere = world.empty_folder()
    world.theseus("pipeline", "refuse", "begin", folder=elsewhere, env=OTHER_BUILD | expired)
    assert json.loads((world.folder / "theseus-state.json").read_text())["gates"] == []


def test_the_page_finds_the_reports_that_a_pipeline_keeps_step_by_step(world: World) -> None:
    begun(world)
    for step in ("base-route", "deploy"):
        world.theseus(step, env={"THESEUS_REPORTS_DIR": f"reports/{step}"})
    absent = world.theseus("pipeline", "absent", env={"THESEUS_REPORTS_DIR": "reports"}).out
    assert absent == ""
    (world.folder / "reports" / "deploy" / "deploy.xml").unlink()
    assert world.theseus("pipeline", "absent").out == "deploy\n"


def test_an_approval_names_a_person_and_a_step(world: World) -> None:
    begun(world)
    assert "--by" in world.theseus("pipeline", "approve", "promote", code=2).err
    assert "no step" in world.theseus("pipeline", "approve", "pormote", "--by", "a", code=2).err


def test_a_step_without_a_report_gets_one(world: World) -> None:
    world.write("theseus.yaml", "servise: web\n")
    world.theseus("pipeline", "crashed", "begin", "--code", "2")
    assert cases(world, "begin")[0][1:] == ("completed", False)
    told = failure(world, "begin")
    assert "actual: exit code 2, and no report" in told
    assert "production traffic now: not known: " in told
    assert "unknown key 'servise'" in told


def test_a_step_that_was_killed_tells_where_traffic_is(world: World) -> None:
    begun(world)
    killed = ("pipeline", "crashed", "deploy", "--code", "137")
    world.theseus(*killed, folder=world.empty_folder("another"), env=OTHER_BUILD)
    (world.folder / "another" / "reports").rename(world.folder / "reports-of-another")
    world.theseus(*killed, env=FIRST_BUILD | {"THESEUS_REPORTS_DIR": "reports/deploy"})
    told = failure(world, "deploy/deploy")
    assert told.startswith("deploy ended with exit code 137 (SIGKILL) before it could report")
    assert "\n\nexpected: deploy says how it ends\n\n" in told
    assert "\n\nproduction traffic now: 100 % on web-v1, 0 % on web-v2\n\n" in told
    assert "theseus-ci rollback" in told
    other = ElementTree.parse(world.folder / "reports-of-another" / "deploy.xml")
    assert "production traffic then: as before" in "".join(other.getroot().itertext())


def test_a_step_that_crashed_with_the_cluster_away_gets_a_report_too(world: World) -> None:
    begun(world)
    nowhere = world.write("nowhere.yaml", _nowhere())
    away = {"THESEUS_REPORTS_DIR": "reports/deploy", "KUBECONFIG": str(nowhere)}
    world.theseus("pipeline", "crashed", "deploy", "--code", "137", env=away)
    assert "production traffic now: not known: " in failure(world, "deploy/deploy")


def _nowhere() -> object:
    """A kubeconfig of a server that does not listen."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "x", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "current-context": "x",
    }


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
