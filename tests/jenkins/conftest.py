"""The command line against the stand-in; every output is searched for the token."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.jenkins.stand_in import TOKEN, USER, StandIn, serving

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def jenkins() -> Iterator[StandIn]:
    with serving(StandIn()) as stand_in:
        yield stand_in


def environment(jenkins: StandIn, home: Path, **changed: str | None) -> dict[str, str]:
    """The variables a person would have set, and nothing of this machine's."""
    wanted: dict[str, str | None] = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "JENKINS_URL": jenkins.url,
        "JENKINS_USER": USER,
        "JENKINS_TOKEN": TOKEN,
        **changed,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def assert_secret(text: str) -> None:
    basic = base64.b64encode(f"{USER}:{TOKEN}".encode()).decode()
    assert TOKEN not in text
    assert basic not in text


@pytest.fixture
def run(jenkins: StandIn, tmp_path: Path) -> Run:
    def go(
        *arguments: str, code: int = 0, **changed: str | None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "theseus_ci.cli", "jenkins", *arguments],
            env=environment(jenkins, tmp_path, **changed),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert_secret(done.stdout + done.stderr)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return go
