"""Many short commands: one process loads the program, and forks for each of them.

Each command is a process of its own with arguments, folder, environment and exit code as from a
shell; only what Python takes to load is spent once. For tests that run dozens of commands of which
each asks the server but a few questions.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tests.e2e.world import Done


class Forked:
    """Runs commands one after the other."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._folder = folder

    def run(self, *arguments: str, folder: Path, kubeconfig: Path) -> Done:
        """A command to its end."""
        out, err = (self._folder / name for name in ("forked-out", "forked-err"))
        asked = {
            "arguments": arguments,
            "folder": str(folder),
            "environment": {"KUBECONFIG": str(kubeconfig), "THESEUS_TEST": "1"},
            "out": str(out),
            "err": str(err),
        }
        stdin, stdout = _pipes(self._process)
        stdin.write(json.dumps(asked) + "\n")
        stdin.flush()
        code = int(stdout.readline())
        done = Done(code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))
        assert "Traceback" not in done.text, done.text
        return done


@contextlib.contextmanager
def forked(folder: Path) -> Iterator[Forked]:
    """The process that forks, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.forked"],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Forked(process, folder)
    finally:
        stdin, stdout = _pipes(process)
        stdin.close()
        process.wait(60)
        stdout.close()


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def _serve() -> None:
    import theseus_ci.commands.adapters  # noqa: PLC0415 (what takes long to load)
    from theseus_ci.cli import main  # noqa: PLC0415

    assert theseus_ci.commands.adapters
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(asked)
            code = 3
            try:
                code = main(list(asked["arguments"]))
            except SystemExit as end:
                code = int(end.code or 0)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(asked: dict[str, Any]) -> None:
    os.chdir(asked["folder"])
    os.environ.update(asked["environment"])
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(asked[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)


if __name__ == "__main__":
    _serve()
