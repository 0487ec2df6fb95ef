"""The README says what is: its tables are the parser's, its walk runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from theseus_ci.commands.reference import filled
from theseus_ci.errors import (
    EXIT_BAD_RELEASE,
    EXIT_CANNOT_KNOW,
    EXIT_DONE,
    EXIT_SIGNAL,
    EXIT_USAGE,
)

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_generated_parts_are_up_to_date() -> None:
    assert filled(README) == README, "run: python -m theseus_ci.commands.reference"


def test_exit_codes_are_those_of_the_program() -> None:
    table = README.partition("<!-- exit codes -->")[2].partition("<!-- /exit codes -->")[0]
    listed = re.findall(r"^\| ([0-9n+]+) \|", table, re.MULTILINE)
    codes = [EXIT_DONE, EXIT_BAD_RELEASE, EXIT_USAGE, EXIT_CANNOT_KNOW]
    assert listed == [*map(str, codes), f"{EXIT_SIGNAL}+n"]


def test_the_walk(tmp_path: Path) -> None:
    """Run every sh block of the README's walk, in order, in one shell."""
    walk = README.partition("<!-- walk -->")[2].partition("<!-- /walk -->")[0]
    blocks = re.findall(r"```sh\n(.*?)```", walk, re.DOTALL)
    assert len(blocks) == 5
    folder = tmp_path / "quickstart"
    shutil.copytree(ROOT / "examples" / "quickstart", folder)
    sandbox = f"walk-{os.getpid()}"
    script = "set -euo pipefail\n" + "\n".join(blocks)
    script = script.replace("sandbox up", f"sandbox up --name {sandbox}")
    script = script.replace("sandbox down", f"sandbox down --name {sandbox}")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    try:
        ran = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
    finally:
        subprocess.run(
            [sys.executable, "-m", "theseus_ci.cli", "sandbox", "down", "--name", sandbox],
            env=environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-4000:]
    assert "released: web-v2" in ran.stdout
    assert '"version":"v2"' in ran.stdout.replace(" ", ""), "the matcher led to the candidate"
    assert "production traffic: 100 % on web-v2" in ran.stderr
