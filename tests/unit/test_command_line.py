"""What the program says of itself, and of a command that it does not have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from theseus_ci.arguments.catalogue import COMMANDS, STAGES

THESEUS = Path(sys.executable).with_name("theseus-ci")


def theseus(*arguments: str, columns: int = 80) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [THESEUS, *arguments],
        env={**os.environ, "COLUMNS": str(columns)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("columns", [40, 80, 100, 400])
def test_help_tells_every_command_whatever_the_terminals_width(columns: int) -> None:
    shown = theseus("--help", columns=columns).stdout
    listed = shown[shown.index("a release, step by step:") : shown.index("exit codes:")]
    assert max(map(len, listed.splitlines())) <= max(47, min(columns, 100))
    steps = [f"{name} {summary}" for name, summary in STAGES.items()]
    others = [f"{name} {summary}" for name, summary in COMMANDS.items()]
    wanted = ["a release, step by step:", *steps, "around it:", *others]
    assert listed.split() == " ".join(wanted).split()


def test_without_a_command_the_help_is_shown_and_it_is_a_mistake() -> None:
    done = theseus()
    assert (done.returncode, done.stdout) == (2, theseus("--help").stdout)
    assert done.stdout.startswith("usage: theseus-ci [-h] [--version] COMMAND ...\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["deplyo"], "there is no command 'deplyo'; did you mean deploy?"),
        (["rolback", "--help"], "there is no command 'rolback'; did you mean rollback?"),
        (["xyz"], "there is no command 'xyz'"),
        (["--frobnicate"], "unrecognized arguments: --frobnicate"),
        (["--", "xyz"], "there is no command 'xyz'"),
        (["status", "now"], "unrecognized arguments: now"),
    ],
)
def test_a_mistake_is_told_with_what_to_do_next(arguments: list[str], said: str) -> None:
    done = theseus(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    usage, mistake, traffic, following = done.stderr.splitlines()
    assert usage.startswith("usage: theseus-ci ")
    assert mistake.endswith(said)
    assert traffic == "production traffic: as before, this command has touched nothing"
    assert following.startswith("next: theseus-ci")


@pytest.mark.parametrize(
    "content",
    [
        b"\x00\xff\xfe",
        b"contexts: [a",
        b"only text",
        b"[1, 2]",
        b"",
        b"{current-context: a, contexts: [{name: a, context: {cluster: c}}], clusters: 5}",
    ],
)
def test_a_kubeconfig_that_is_none_is_a_mistake_too(content: bytes, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_bytes(content)
    config = tmp_path / "theseus.yaml"
    config.write_text("service: web\nmanifest: m.yaml\n")
    arguments = ("status", "--config", str(config), "--kubeconfig", str(kubeconfig))
    done = theseus(*arguments, "--state", str(tmp_path / "state.json"))
    assert done.returncode == 2, done.stderr
    assert f"{kubeconfig}: no usable kubeconfig: " in done.stderr
    *_, traffic, following = done.stderr.splitlines()
    assert traffic == "production traffic: as before, this command has touched nothing"
    assert following.startswith("next: ")


@pytest.mark.parametrize("question", ["--help", "plan --help", "--version"])
def test_an_answer_that_cannot_be_printed_is_a_failure(question: str) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [THESEUS, *question.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    command = " ".join(["theseus-ci", *question.split()[:-1]])
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        f"{command}: cannot write to standard output: No space left on device",
        "  nothing else went wrong: see where the output leads, then run it again",
    ]
