"""How the tests run Maven."""

from __future__ import annotations

import subprocess
from pathlib import Path

HERE = Path(__file__).parent
NO_DOWNLOAD = ("Cannot access", "offline mode", "No plugin found for prefix")
SECONDS = 1200


def maven(folder: Path, goal: str, **properties: object) -> None:
    """Offline first, since what it needs is there after one run; fails the test if Maven does."""
    given = [f"-Dtheseus.{name}={value}" for name, value in properties.items()]
    command = ["mvn", "-q", "-B", *given, goal]
    ended = run([*command[:1], "--offline", *command[1:]], folder)
    if ended.returncode and any(words in ended.stdout for words in NO_DOWNLOAD):
        ended = run(command, folder)
    assert ended.returncode == 0, ended.stdout[-20_000:]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
