"""`jenkins install`: once is enough, others' settings stay, Jenkins' own rewriting is no change."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.jenkins.conftest import Run
from tests.jenkins.jobs import FOLDER_CLASS, JOB_CLASS, Item
from tests.jenkins.stand_in import StandIn
from theseus_ci.jenkins.job import Parameter, PipelineJob, applied, difference, parsed

ARGUMENTS = (
    "install",
    "team/apps/reviews",
    "--repository",
    "https://git.example.com/reviews.git",
    "--credentials",
    "git-reader",
    "--parameter",
    "VERSION=",
    "--parameter",
    "DARK:boolean=true",
    "--parameter",
    "FLOW:choice=canary,blue-green",
)


def saved(jenkins: StandIn, name: str) -> ElementTree.Element:
    return parsed(jenkins.items[name].xml)


def writes(jenkins: StandIn) -> list[str]:
    return [one.path for one in jenkins.seen if one.method == "POST"]


def test_creates_folders_and_job_then_nothing_to_do(jenkins: StandIn, run: Run) -> None:
    done = run(*ARGUMENTS)
    assert "created team\n" in done.stdout
    assert [jenkins.items[name].kind for name in ("team", "team/apps", "team/apps/reviews")] == [
        FOLDER_CLASS,
        FOLDER_CLASS,
        JOB_CLASS,
    ]
    job = saved(jenkins, "team/apps/reviews")
    assert job.findtext(".//hudson.plugins.git.UserRemoteConfig/credentialsId") == "git-reader"
    assert job.findtext(".//hudson.plugins.git.BranchSpec/name") == "*/main"
    assert job.findtext("definition/scriptPath") == "Jenkinsfile"
    assert [one.text for one in job.iterfind(".//string")] == ["canary", "blue-green"]
    before = len(writes(jenkins))
    assert "team/apps/reviews is as wanted: nothing to do" in run(*ARGUMENTS).stdout
    assert len(writes(jenkins)) == before


def test_dry_run_shows_and_changes_nothing(jenkins: StandIn, run: Run) -> None:
    done = run(*ARGUMENTS, "--dry-run")
    assert "+++ team/apps/reviews/config.xml (wanted)" in done.stdout
    assert "nothing was changed" in done.stderr
    assert not writes(jenkins)
    run(*ARGUMENTS)
    done = run(*ARGUMENTS, "--branch", "release/1", "--dry-run")
    assert "-          <name>*/main</name>" in done.stdout
    assert "+          <name>*/release/1</name>" in done.stdout
    changed = [
        line
        for line in done.stdout.splitlines()
        if line[:1] in ("+", "-") and line[:3] not in ("+++", "---")
    ]
    assert len(changed) == 2


def test_an_update_keeps_what_others_set(jenkins: StandIn, run: Run) -> None:
    run(*ARGUMENTS)
    item = jenkins.items["team/apps/reviews"]
    item.xml = item.xml.replace(
        "<properties>",
        "<properties><jenkins.model.BuildDiscarderProperty><n>&lt;7&gt;</n>"
        "</jenkins.model.BuildDiscarderProperty>",
    )
    run(*ARGUMENTS, "--script", "ci/Jenkinsfile", "--parameter", "MORE=1")
    job = saved(jenkins, "team/apps/reviews")
    assert job.findtext("properties/jenkins.model.BuildDiscarderProperty/n") == "<7>"
    assert job.findtext("definition/scriptPath") == "ci/Jenkinsfile"
    names = [one.text for one in job.iterfind(".//parameterDefinitions/*/name")]
    assert names == ["VERSION", "DARK", "FLOW", "MORE"]


def test_inline_script_is_replaced(jenkins: StandIn, run: Run) -> None:
    xml = "<flow-definition><definition class='x.CpsFlowDefinition'><script>1</script></definition>"
    jenkins.items["app"] = Item(JOB_CLASS, xml + "</flow-definition>")
    done = run("install", "app", "--repository", "https://git.example.com/a.git")
    assert "-    <script>1</script>" in done.stdout
    assert saved(jenkins, "app").find("definition/script") is None


def test_passwords_of_others_are_not_shown(jenkins: StandIn, run: Run) -> None:
    run("install", "app", "--repository", "https://git.example.com/a.git")
    item = jenkins.items["app"]
    item.xml = item.xml.replace("https://git", "https://bob:hunter2@git").replace(
        "<triggers", "<authToken>hunter3</authToken><triggers"
    )
    done = run("install", "app", "--repository", "https://git.example.com/a.git")
    assert "-          <url>https://***@git.example.com/a.git</url>" in done.stdout
    assert "hunter" not in done.stdout
    assert saved(jenkins, "app").findtext("authToken") == "hunter3"
    assert "bob" not in item.xml


def test_what_is_no_pipeline_is_left_alone(jenkins: StandIn, run: Run) -> None:
    jenkins.items["app"] = Item("hudson.model.FreeStyleProject", "<project/>")
    arguments = ("--repository", "https://git.example.com/a.git")
    assert "is no pipeline but a project" in run("install", "app", *arguments, code=2).stderr
    assert "app exists and is no folder" in run("install", "app/b", *arguments, code=2).stderr
    assert not writes(jenkins)


def test_a_jenkins_that_keeps_something_else(jenkins: StandIn, run: Run) -> None:
    """Without the Git plugin, Jenkins drops what it does not know, and still answers 200."""
    jenkins.drops = "scm"
    done = run("install", "app", "--repository", "https://git.example.com/a.git", code=3)
    assert "keeps another one" in done.stderr
    assert "is a plugin missing?" in done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        ("--repository", "https://user:hunter2@git.example.com/a.git"),
        ("--repository", "https://h/a.git", "--parameter", "A:number=1"),
        ("--repository", "https://h/a.git", "--parameter", "A:boolean=maybe"),
        ("--repository", "https://h/a.git", "--parameter", "A"),
        ("--repository", "https://h/a.git", "--parameter", "A=1", "--parameter", "A=2"),
    ],
)
def test_wrong_arguments(jenkins: StandIn, run: Run, wrong: tuple[str, ...]) -> None:
    assert "hunter2" not in run("install", "app", *wrong, code=2).stderr
    assert not jenkins.seen


TEXT = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff")
)
JOBS = st.builds(
    PipelineJob,
    repository=TEXT.filter(str.strip),
    branch=TEXT.filter(str.strip),
    script=TEXT.filter(str.strip),
    credentials=TEXT,
    description=st.none() | TEXT,
    parameters=st.lists(
        st.builds(Parameter, TEXT.filter(str.strip), st.just("String"), st.tuples(TEXT))
        | st.builds(
            Parameter,
            TEXT.filter(str.strip),
            st.just("Choice"),
            st.lists(TEXT, min_size=1).map(tuple),
        ),
        unique_by=lambda one: one.name,
        max_size=4,
    ).map(tuple),
)


@given(JOBS, JOBS)
def test_applying_twice_is_applying_once(job: PipelineJob, other: PipelineJob) -> None:
    for existing in (None, applied(other, None)):
        once = applied(job, existing)
        assert applied(job, once) == once
        assert difference(once, applied(job, once), "x") == ""
        remote = parsed(once).find(".//hudson.plugins.git.UserRemoteConfig")
        assert remote is not None
        assert remote.findtext("url") == job.repository
