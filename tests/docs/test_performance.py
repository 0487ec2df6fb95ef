"""docs/performance.md says what is: its configuration is read, its commands exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml

from tests.e2e.world import COMMAND
from theseus_ci.config.load import load_config

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")


def test_its_configuration_is_the_default_where_it_says_so(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    file = tmp_path / "theseus.yaml"
    file.write_text(f"service: web\n{block}")
    read = load_config(str(file)).performance
    bare = {"service": "web", "performance": {"requests": [{"path": "/"}], "rate": 1}}
    file.write_text(yaml.safe_dump(bare))
    default = load_config(str(file)).performance
    assert read is not None
    assert default is not None
    assert read.tolerances() == default.tolerances()
    assert read.anchor_tolerance == default.anchor_tolerance
    assert read.on_inconclusive == default.on_inconclusive
    assert f"{default.max_rate:,.0f}" in TEXT


def test_its_commands_exist(tmp_path: Path) -> None:
    """They are carried out in tests/e2e/test_undecided.py; here nothing is under way."""
    commands = set(re.findall(r"theseus-ci ([a-z][^`\n]*)", TEXT))
    assert len(commands) >= 7
    (tmp_path / "theseus.yaml").write_text("service: web\n")
    for command in commands:
        done = subprocess.run(
            [COMMAND, *command.split(), "--help"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)
        for option in re.findall(r"--[a-z]+", command):
            assert option in done.stdout, (command, option)
