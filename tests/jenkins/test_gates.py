"""Gates are shown with what they ask, and answered as Jenkins wants it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.jenkins.conftest import Run
from tests.jenkins.jobs import JOB_CLASS, Build, Frame, Input, Item, stage
from tests.jenkins.stand_in import StandIn

PAUSED = "PAUSED_PENDING_INPUT"
PARAMETERS: list[dict[str, Any]] = [
    {
        "type": "StringParameterDefinition",
        "name": "REASON",
        "description": "for the report",
        "definition": {"defaultVal": "none given"},
    },
    {
        "type": "BooleanParameterDefinition",
        "name": "NOTIFY",
        "description": "",
        "definition": {"defaultVal": True},
    },
    {
        "type": "ChoiceParameterDefinition",
        "name": "NEXT",
        "description": "",
        "definition": {"defaultVal": "half", "choices": ["half", "all"]},
    },
]


def waiting(number: int, *inputs: Input, since: float = 0) -> Build:
    frame = Frame(
        status=PAUSED, stages=[stage("20", "Promote", PAUSED)], inputs=[*inputs], building=True
    )
    nodes = [
        {
            "id": str(30 + index),
            "name": "Wait for interactive input",
            "status": PAUSED,
            "parameterDescription": one.message,
            "startTimeMillis": int(since * 1000),
        }
        for index, one in enumerate(inputs)
    ]
    return Build(number, [frame], nodes={"20": nodes})


def job(jenkins: StandIn, *builds: Build) -> None:
    done = Build(1, [Frame(building=False, result="SUCCESS")])
    jenkins.items["team/app"] = Item(JOB_CLASS, "<flow-definition/>", [done, *builds])


def test_gates_tell_what_people_need(jenkins: StandIn, run: Run) -> None:
    message = "Promote reviews 1.4.2?\np95 12 ms beside 11 ms"
    since = time.time() - 3700
    job(jenkins, waiting(7, Input("Promote", message, PARAMETERS), since=since))
    shown = run("gates", "team/app").stdout
    day = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(since)))
    assert f"Promote  build 7, waits since {day} (1h1m" in shown
    assert "  Promote reviews 1.4.2?\n  p95 12 ms beside 11 ms\n" in shown
    assert "asks: REASON (default 'none given'): for the report" in shown
    assert "asks: NOTIFY (default 'true')" in shown
    assert "asks: NEXT (default 'half', one of half | all)" in shown
    assert f"{jenkins.url}job/team/job/app/7/input/" in shown
    [told] = json.loads(run("gates", "team/app", "--json").stdout)
    assert told["id"] == "Promote"
    assert told["since"] == pytest.approx(since, abs=0.01)
    assert told["parameters"][1]["default"] is True


def test_no_gate(jenkins: StandIn, run: Run) -> None:
    job(jenkins, Build(7, [Frame()]))
    assert run("gates", "team/app").stdout == "no build of team/app waits at a gate\n"
    assert json.loads(run("gates", "team/app", "--json").stdout) == []
    said = run("approve", "team/app", code=3).stderr
    assert "no build of team/app waits at a gate" in said


def test_approve_the_only_one_with_defaults(jenkins: StandIn, run: Run) -> None:
    """Over REST, Jenkins would leave out what is not sent."""
    job(jenkins, waiting(7, Input("Promote", "go?", PARAMETERS)))
    done = run("approve", "team/app", "--parameter", "REASON=looks = fine")
    values = {"REASON": "looks = fine", "NOTIFY": True, "NEXT": "half"}
    assert jenkins.answers == [("Promote", "proceed", values)]
    assert 'REASON = "looks = fine" (given)' in done.stdout
    assert 'NEXT = "half" (default)' in done.stdout


def test_approve_without_parameters(jenkins: StandIn, run: Run) -> None:
    job(jenkins, waiting(7, Input("Promote", "go?")))
    run("approve", "team/app", "--gate", "promote")  # Jenkins made it a capital
    assert jenkins.answers == [("Promote", "proceedEmpty", None)]


def test_reject(jenkins: StandIn, run: Run) -> None:
    job(jenkins, waiting(7, Input("Promote", "go?", PARAMETERS)))
    assert "rejected Promote of build 7" in run("reject", "team/app").stdout
    assert jenkins.answers == [("Promote", "abort", None)]


def test_an_odd_id(jenkins: StandIn, run: Run) -> None:
    job(jenkins, waiting(7, Input("To 50 % / ü?", "go?")))
    run("approve", "team/app", "--gate", "To 50 % / ü?")
    assert jenkins.answers == [("To 50 % / ü?", "proceedEmpty", None)]


def test_several_gates_need_a_name(jenkins: StandIn, run: Run) -> None:
    job(jenkins, waiting(7, Input("A", "a?"), Input("B", "b?")), waiting(8, Input("B", "b?")))
    said = run("approve", "team/app", code=2).stderr
    assert "A of build 7, B of build 7, B of build 8" in said
    run("approve", "team/app", "--gate", "B", code=2)
    assert jenkins.answers == []
    run("approve", "team/app", "--gate", "B", "--number", "8")
    run("reject", "team/app", "--gate", "A")
    assert jenkins.answers == [("B", "proceedEmpty", None), ("A", "abort", None)]


def test_a_gate_that_is_not_there(jenkins: StandIn, run: Run) -> None:
    job(jenkins, waiting(7, Input("A", "a?")))
    said = run("approve", "team/app", "--gate", "Promote", "--number", "7", code=3).stderr
    assert "build 7 of team/app does not wait at the gate Promote" in said
    assert "waiting: A of build 7" in said
    assert "not found (404)" in run("gates", "team/app", "--number", "99", code=3).stderr


def test_not_allowed(jenkins: StandIn, run: Run) -> None:
    job(jenkins, waiting(7, Input("Promote", "go?", submitters=("grace", "leads"))))
    said = run("approve", "team/app", code=3).stderr
    assert "You need to be grace,leads to submit this." in said
    assert "ada may not answer" in said
    assert jenkins.answers == []


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_already_answered(jenkins: StandIn, run: Run, verb: str) -> None:
    job(jenkins, waiting(7, Input("Promote", "go?", answered=True)))
    said = run(verb, "team/app", code=3).stderr
    assert "somebody has already answered gate Promote of build 7" in said


def test_the_answer_is_lost_on_its_way(jenkins: StandIn, run: Run) -> None:
    """Nobody must believe that a gate was answered, or was not, when that is unknown."""
    job(jenkins, waiting(7, Input("Promote", "go?")))
    asked = ("builds", "pending", "stages", "stage", "crumb")
    jenkins.faults.extend([*("" for _ in asked), "reset"])
    said = run("approve", "team/app", code=3).stderr
    assert "whether the answer arrived is unknown" in said
    assert "theseus-ci jenkins gates team/app" in said


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ("REASONS=x", "asks for no 'REASONS'"),
        ("NOTIFY=maybe", "NOTIFY is true or false"),
        ("NEXT=third", "choose one of: half, all"),
        ("NEXT", "--parameter NEXT has no value"),
    ],
)
def test_wrong_parameters_answer_nothing(
    jenkins: StandIn, run: Run, parameter: str, said: str
) -> None:
    job(jenkins, waiting(7, Input("Promote", "go?", PARAMETERS)))
    assert said in run("approve", "team/app", "--parameter", parameter, code=2).stderr
    assert jenkins.answers == []


def test_secret_parameters(jenkins: StandIn, run: Run) -> None:
    secret = {
        "type": "PasswordParameterDefinition",
        "name": "PIN",
        "definition": {"defaultVal": "hunter2"},
    }
    job(jenkins, waiting(7, Input("Promote", "go?", [secret])))
    for done in (
        run("gates", "team/app"),
        run("gates", "team/app", "--json"),
        run("approve", "team/app", code=2),
        run("approve", "team/app", "--parameter", "PIN", PIN="hunter2"),
    ):
        assert "hunter2" not in done.stdout + done.stderr
    assert jenkins.answers == [("Promote", "proceed", {"PIN": "hunter2"})]


def test_without_the_rest_api_plugin(jenkins: StandIn, run: Run) -> None:
    job(jenkins, waiting(7, Input("Promote", "go?")))
    jenkins.wfapi = False
    said = run("gates", "team/app", code=3).stderr
    assert "Pipeline: REST API" in said


def test_a_time_that_cannot_be_told(jenkins: StandIn, run: Run) -> None:
    build = waiting(7, Input("Promote", "go?"))
    build.nodes.clear()
    job(jenkins, build)
    assert run("gates", "team/app").stdout.startswith("Promote  build 7\n  go?\n")
