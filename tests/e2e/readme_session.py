"""Runs the commands of a README as a reader would: one shell, from the first block to the last."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SESSION_SECONDS = 600.0
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXPECTED = re.compile(r"#.*\bexit code (\d+)")
_ENDED = re.compile(r"^@ended (\d+) with (\d+)\n", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """One line of a README's code, and the exit code that its comment promises."""

    text: str

    @property
    def expected(self) -> int:
        promised = _EXPECTED.search(self.text)
        return int(promised[1]) if promised else 0


@dataclass(frozen=True)
class Ran:
    """What became of a command; standard output and error together."""

    command: Command
    code: int
    output: str


def commands_of(readme: Path) -> list[Command]:
    """Every line of every `sh` block."""
    blocks = _BLOCK.findall(readme.read_text(encoding="utf-8"))
    return [Command(line) for block in blocks for line in block.splitlines() if line.strip()]


def environment(home: Path) -> dict[str, str]:
    """Our own programs first in the PATH, and sandboxes in a place of their own."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "LC_ALL") if name in os.environ}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**kept, "PATH": path, "XDG_STATE_HOME": str(home)}


def run_session(commands: list[Command], folder: Path, home: Path) -> list[Ran]:
    """Run them one after the other in one shell; each goes on whatever became of the last."""
    script = "".join(
        f"{command.text}\ncode=$?; echo; echo @ended {number} with $code\n"
        for number, command in enumerate(commands)
    )
    done = subprocess.run(
        ["bash", "-c", f"exec 2>&1 </dev/null\n{script}"],
        cwd=folder,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=SESSION_SECONDS,
        check=False,
    )
    parts = _ENDED.split(done.stdout)
    return [
        Ran(commands[int(number)], int(code), output)
        for output, number, code in zip(parts[::3], parts[1::3], parts[2::3], strict=False)
    ]


def take_down(home: Path) -> None:
    """Leave no sandbox, whatever happened."""
    subprocess.run(
        ["theseus-ci", "sandbox", "down", "--all"],
        env=environment(home),
        capture_output=True,
        timeout=60,
        check=True,
    )
