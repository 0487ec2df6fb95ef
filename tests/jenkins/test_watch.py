"""`jenkins watch`: tells what changes, survives short outages, exits with the result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jenkins.conftest import Run, assert_secret, environment
from tests.jenkins.jobs import JOB_CLASS, Build, Frame, Input, Item, Queued, stage
from tests.jenkins.stand_in import TOKEN, StandIn

PAUSED = "PAUSED_PENDING_INPUT"
FAST = ("--interval", "20ms")


def job(jenkins: StandIn, *builds: Build, parameters: tuple[str, ...] = ()) -> None:
    jenkins.items["app"] = Item(JOB_CLASS, "<flow-definition/>", [*builds], parameters)


def ended(number: int, result: str | None) -> Build:
    return Build(number, [Frame(building=False, result=result)])


@pytest.mark.parametrize(
    ("result", "code"),
    [
        ("SUCCESS", 0),
        ("FAILURE", 1),
        ("UNSTABLE", 1),
        ("ABORTED", 3),
        ("NOT_BUILT", 3),
        (None, 3),
    ],
)
def test_exit_code_is_the_result(jenkins: StandIn, run: Run, result: str | None, code: int) -> None:
    job(jenkins, ended(3, "SUCCESS"), ended(4, result))
    assert f"build 4 of app: {result or 'unknown'}" in run("watch", "app", code=code).stdout
    run("watch", "app", "--number", "3")


def test_stages_and_gates_as_they_change(jenkins: StandIn, run: Run) -> None:
    gate = Input("Promote", "go on\nwith 1.4.2?")
    deploy = stage("6", "deploy", "IN_PROGRESS", 0)
    deployed = stage("6", "deploy", "SUCCESS", 12.5)
    frames = [
        Frame(stages=[deploy]),
        Frame(stages=[deploy]),
        Frame(stages=[deployed, stage("9", "Promote", PAUSED)], status=PAUSED, inputs=[gate]),
        Frame(stages=[deployed, stage("9", "Promote", PAUSED)], status=PAUSED, inputs=[gate]),
        Frame(stages=[deployed, stage("9", "Promote", "SUCCESS", 70, 65)]),
        Frame(
            building=False,
            result="FAILURE",
            stages=[
                deployed,
                stage("9", "Promote", "SUCCESS", 70, 65),
                stage("12", "smoke", "FAILED", 3),
            ],
        ),
    ]
    job(jenkins, Build(4, frames, nodes={"9": []}))
    lines = [line[10:] for line in run("watch", "app", *FAST, code=1).stdout.splitlines()]
    assert lines == [
        f"build 4 of app: {jenkins.url}job/app/4/",
        "stage deploy: started",
        "stage deploy: passed in 12500ms",
        "stage Promote: started",
        "gate Promote waits for an answer: go on with 1.4.2?",
        "  theseus-ci jenkins approve app --number 4 --gate Promote",
        "stage Promote: passed in 1m10s, 1m5s of it waiting",
        "stage smoke: FAILED in 3s",
        "build 4 of app: FAILURE",
    ]


def test_log_is_streamed_whole(jenkins: StandIn, run: Run) -> None:
    text = f"grüße\nthe token is {TOKEN}\nlast line without end"
    data = text.encode()
    cuts = (3, 3, 20, 35, len(data))  # inside ü, and inside the token
    frames = [Frame(log=data[:cut]) for cut in cuts]
    frames.append(Frame(building=False, result="SUCCESS", log=data))
    job(jenkins, Build(4, frames))
    done = run("watch", "app", "--number", "last", "--log", *FAST)
    assert done.stdout == text.replace(TOKEN, "***") + "\n"
    assert "build 4 of app: SUCCESS" in done.stderr


def test_a_log_that_got_shorter(jenkins: StandIn, run: Run) -> None:
    """A controller that crashed may have lost the end; it is not printed all over again."""
    frames = [
        Frame(log=b"one\ntwo\nthree\n"),
        Frame(log=b"one\n"),
        Frame(building=False, result="SUCCESS", log=b"one\nresumed\n"),
    ]
    job(jenkins, Build(4, frames))
    assert run("watch", "app", "--log", *FAST).stdout == "one\ntwo\nthree\nresumed\n"


@pytest.mark.parametrize("fault", ["starting", "reset", "login page", "not json"])
def test_short_outages_are_survived(jenkins: StandIn, run: Run, fault: str) -> None:
    job(jenkins, Build(4, [Frame(), Frame(building=False, result="SUCCESS")]))
    jenkins.faults.extend(["", "", fault, fault, fault])
    shown = run("watch", "app", "--number", "4", *FAST).stdout
    assert "no answer from Jenkins, asking on" in shown
    assert "Jenkins answers again" in shown


def test_a_long_outage_is_not_waited_out(jenkins: StandIn, run: Run) -> None:
    job(jenkins, Build(4, [Frame()]))
    jenkins.faults.extend(["", ""] + ["starting"] * 1000)
    said = run("watch", "app", "--number", "4", *FAST, "--outage", "50ms", code=3).stderr
    assert "Jenkins is not ready (503)" in said


def test_the_first_answer_is_not_waited_for(jenkins: StandIn, run: Run) -> None:
    job(jenkins, ended(4, "SUCCESS"))
    jenkins.faults.extend(["login page"] * 100)
    assert "Sign in" in run("watch", "app", "--number", "4", code=3).stderr


def test_what_is_no_outage(jenkins: StandIn, run: Run) -> None:
    job(jenkins, Build(4, [Frame()]))
    jenkins.faults.extend(["", "", "oops"])
    assert "an error inside Jenkins" in run("watch", "app", "--number", "4", *FAST, code=3).stderr


def test_deadline(jenkins: StandIn, run: Run) -> None:
    job(jenkins, Build(4, [Frame()]))
    said = run("watch", "app", *FAST, "--deadline", "100ms", code=3).stderr
    assert "build 4 has not ended within 100ms; it goes on" in said


def test_build_is_followed_through_the_queue(jenkins: StandIn, run: Run) -> None:
    job(jenkins, ended(4, "FAILURE"), ended(5, "SUCCESS"), parameters=("VERSION", "PIN"))
    jenkins.queue[0] = Queued("app", ["In the quiet period", "Waiting for an executor"], build=5)
    shown = run("watch", "app", "--build", "--parameter", "VERSION=1.4 & 2", *FAST).stdout
    assert "in the queue: In the quiet period" in shown
    assert "build 5 of app: SUCCESS" in shown
    assert jenkins.answers == [("app", "buildWithParameters", {"VERSION": "1.4 & 2"})]


def test_parameters_take_their_defaults(jenkins: StandIn, run: Run) -> None:
    """Jenkins refuses `build` for a job with parameters."""
    job(jenkins, ended(1, "SUCCESS"), parameters=("VERSION",))
    run("watch", "app", "--build", *FAST)
    job(jenkins, ended(1, "SUCCESS"))
    run("watch", "app", "--build", *FAST)
    assert [verb for _, verb, _ in jenkins.answers] == ["buildWithParameters", "build"]


def test_a_queue_item_that_jenkins_has_forgotten(jenkins: StandIn, run: Run) -> None:
    job(jenkins, ended(4, "FAILURE"), ended(5, "SUCCESS"))
    jenkins.queue[0] = Queued("app", build=5, forgotten=True)
    run("watch", "app", "--build", *FAST)


def test_a_cancelled_queue_item(jenkins: StandIn, run: Run) -> None:
    job(jenkins)
    jenkins.queue[0] = Queued("app", cancelled=True)
    assert "was cancelled" in run("watch", "app", "--build", *FAST, code=3).stderr


def test_nobody_knows_whether_it_was_queued(jenkins: StandIn, run: Run) -> None:
    job(jenkins)
    jenkins.faults.extend(["", "", "reset"])  # parameters, crumb, build
    said = run("watch", "app", "--build", *FAST, code=3).stderr
    assert "whether a build was queued is unknown" in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--build", "--parameter", "NONE=1"), 2, "has no parameter 'NONE'"),
        (("--build", "--number", "4"), 2, "its number is not known"),
        (("--parameter", "A=1"), 2, "add --build"),
        (("--number", "newest"), 2, "is no number of a build"),
        (("--number", "77"), 3, "not found (404)"),
        ((), 3, "has no build yet"),
    ],
)
def test_what_cannot_be_watched(
    jenkins: StandIn, run: Run, arguments: tuple[str, ...], code: int, said: str
) -> None:
    job(jenkins)
    assert said in run("watch", "app", *arguments, code=code).stderr
    assert jenkins.answers == []


def test_without_the_rest_api_plugin(jenkins: StandIn, run: Run) -> None:
    job(jenkins, ended(4, "SUCCESS"))
    jenkins.wfapi = False
    assert "does not tell stages" in run("watch", "app").stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_build_alone(
    jenkins: StandIn, tmp_path: Path, number: signal.Signals
) -> None:
    job(jenkins, Build(4, [Frame(stages=[stage("6", "deploy", "IN_PROGRESS")])]))
    with subprocess.Popen(
        [sys.executable, "-m", "theseus_ci.cli", "jenkins", "watch", "app", *FAST],
        env=environment(jenkins, tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        shown = process.stdout.readline() + process.stdout.readline()
        assert "stage deploy: started" in shown
        os.kill(process.pid, number)
        shown += process.stdout.read()
        assert process.wait(timeout=30) == 128 + number
    assert "build 4 of app goes on" in shown
    assert "Traceback" not in shown
    assert_secret(shown)
    assert all(request.method == "GET" for request in jenkins.seen)
