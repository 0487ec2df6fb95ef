"""`theseus-ci demo` for real: both its releases, its words, and what an interruption leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SECONDS = 300.0
GONE_SECONDS = 20.0


class Demo:
    """One run of the demo, with folders of its own for everything."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.reports = folder / "demo-reports"
        self.json = folder / "demo.json"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "theseus_ci.cli", "demo"),
                *("--reports", str(self.reports), "--json", str(self.json)),
                *options,
            ],
            cwd=folder,
            env={
                **os.environ,
                "TMPDIR": str(self.temporary),
                "XDG_STATE_HOME": str(folder / "state"),
                "PYTHONUNBUFFERED": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def read_until(self, text: str) -> str:
        """Everything it says up to the line that holds `text`."""
        assert self.process.stdout is not None
        said = ""
        for line in self.process.stdout:
            said += line
            if text in line:
                return said
        raise AssertionError(f"{text!r} was never said:\n{said}")

    def finish(self) -> tuple[int, str]:
        said, _ = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, said

    def nothing_is_left(self) -> None:
        """No process that names our folders, and no temporary file."""
        deadline = time.monotonic() + GONE_SECONDS
        while left := _processes_naming(str(self.reports.parent)):
            assert time.monotonic() < deadline, left
            time.sleep(0.1)
        assert list(self.temporary.iterdir()) == []


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    running = Demo(tmp_path)
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait()
    assert running.process.stdout is not None
    running.process.stdout.close()


def test_both_releases_go_as_they_should(demo: Demo) -> None:
    code, said = demo.finish()
    assert code == 0, said
    found = json.loads(demo.json.read_text(encoding="utf-8"))
    good, bad = found["releases"]
    assert found["asExpected"] is True
    assert (good["exitCode"], bad["exitCode"]) == (0, 1)
    for release in (good, bad):
        requests = release["requests"]
        assert requests["lost"] == 0
        answers = sum(requests["answered"].values()) + requests["failedByVersion"]
        assert requests["sent"] == answers > 1000
        assert all(check["holds"] for check in release["checks"])
    assert good["requests"]["answered"].keys() == {"v1", "v2"}
    assert bad["requests"]["answered"].keys() == {"v2", "v3"}
    verdicts = {step["id"]: step["verdict"] for step in bad["steps"]}
    assert verdicts["smoke-dark"] == verdicts["shift-half"] == "pass"
    assert "fail" in verdicts.values()
    assert "shift-full" not in verdicts
    _words_agree(said, good["requests"]["sent"])
    for kind in ("good", "bad"):
        assert (demo.reports / kind / "theseus-state.json").exists()
        assert list((demo.reports / kind / "reports").glob("*.xml"))
    demo.nothing_is_left()


def _words_agree(said: str, sent: int) -> None:
    """The table shows the same figures as the JSON, and there is a picture."""
    lines = said.splitlines()
    [row] = [line for line in lines if line.strip().startswith("requests sent")]
    assert f"{sent:,}".replace(",", " ") in row
    assert any(line.split() == ["lost", "0", "0"] for line in lines)
    assert sum("░" in line and "┤" in line for line in lines) >= 4
    assert not any("✗" in line for line in lines)


def test_a_stopped_demo_leaves_nothing(demo: Demo) -> None:
    demo.read_until("[3/")
    started = time.monotonic()
    demo.process.send_signal(signal.SIGTERM)
    code, said = demo.finish()
    assert code == 128 + signal.SIGTERM, said
    assert time.monotonic() - started < SECONDS
    demo.nothing_is_left()
    assert (demo.reports / "good" / "run.log").exists()


def _processes_naming(text: str) -> list[str]:
    """Command lines of other running processes that hold `text`."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found
