"""What docs/jenkins.md shows works: commands, the job template, the library's configuration."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.jenkins.conftest import Run
from tests.jenkins.jobs import FOLDER_CLASS, JOB_CLASS, Item
from tests.jenkins.stand_in import StandIn
from theseus_ci.arguments import jenkins as command
from theseus_ci.cli import Parser
from theseus_ci.jenkins import library
from theseus_ci.jenkins.job import parsed

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "jenkins.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template's jobs as jenkins-job-builder itself writes them; it asks no server."""
    folder = tmp_path_factory.mktemp("jobs")
    settings = folder / "jenkins_jobs.ini"
    settings.write_text("[jenkins]\nurl=http://127.0.0.1:9/\nquery_plugins_info=False\n")
    template = DOCS / "jenkins" / "job-template.yaml"
    words = ["--conf", str(settings), "test", str(template), "-o", str(folder / "out")]
    subprocess.run(
        [sys.executable, "-m", "jenkins_jobs", *words, "--config-xml"],
        check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        timeout=120,
        capture_output=True,
    )
    return folder / "out"


def test_the_template_makes_what_install_makes(rendered: Path, jenkins: StandIn, run: Run) -> None:
    folder = (rendered / "team" / "config.xml").read_text(encoding="utf-8")
    assert parsed(folder).tag == FOLDER_CLASS
    jenkins.items["team"] = Item(FOLDER_CLASS, folder)
    arguments = ("--credentials", "git-reader", "--parameter", "VERSION=")
    for service in ("reviews", "ratings"):
        xml = (rendered / "team" / service / "config.xml").read_text(encoding="utf-8")
        jenkins.items[f"team/{service}"] = Item(JOB_CLASS, xml)
        url = f"https://git.example.com/{service}.git"
        done = run("install", f"team/{service}", "--repository", url, *arguments)
        assert f"team/{service} is as wanted: nothing to do" in done.stdout


def test_the_snippet_is_what_install_prints() -> None:
    text = (DOCS / "jenkins" / "casc.yaml").read_text(encoding="utf-8")
    [found] = yaml.safe_load(text)["unclassified"]["globalLibraries"]["libraries"]
    git = found["retriever"]["modernSCM"]["scm"]["git"]
    written = library.casc(git["remote"], found["defaultVersion"], git["credentialsId"])
    assert yaml.safe_load(written) == yaml.safe_load(text)
    assert found["name"] == "theseus-ci"
    assert found["implicit"] is False


def test_install_prints_the_snippet(run: Run) -> None:
    shown = run(
        "install",
        "app",
        "--repository",
        "https://h/a.git",
        "--library-repository",
        "https://h/t.git",
        "--library-version",
        "v9",
        "--dry-run",
    ).stdout
    printed = shown[shown.index("unclassified:") : shown.index("Or by hand")]
    [found] = yaml.safe_load(printed)["unclassified"]["globalLibraries"]["libraries"]
    assert found["defaultVersion"] == "v9"
    assert found["retriever"]["modernSCM"]["scm"]["git"] == {"remote": "https://h/t.git"}


def test_the_commands_on_the_page_are_right() -> None:
    blocks = "".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)).replace("\\\n", " ")
    lines = [shlex.split(line) for line in blocks.splitlines()]
    assert {line[2] for line in lines} == {
        "install",
        "gates",
        "approve",
        "reject",
        "watch",
        "baseline",
    }
    for line in lines:
        parser = argparse.ArgumentParser()
        command.configure(parser)
        parser.parse_args(line[2:])


@pytest.mark.parametrize("action", ["install", "gates", "approve", "reject", "watch", "baseline"])
def test_help_teaches(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser()
    command.configure(parser)
    with pytest.raises(SystemExit, match="0"):
        parser.parse_args([action, "--help"])
    assert f"theseus-ci jenkins {action} team/reviews" in capsys.readouterr().out
