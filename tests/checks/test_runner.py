"""Checks side by side: order, time, stops, and faults that stay with their check."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.checks.conftest import SECRET, Run, decode, make_target
from tests.checks.servers import Web, tcp_server
from theseus_ci.checks.runner import SmokeChecker
from theseus_ci.model import Verdict


def test_results_come_in_the_order_of_the_checks(run: Run, web: Web) -> None:
    results = run(
        {"name": "slow", "bash": {"inline": "until [ -e done ]; do sleep 0.01; done"}},
        {"name": "quick", "bash": {"inline": "touch done"}},
        {"name": "web", "http": {"path": "/broken"}},
        entrypoint=web.url,
    )
    assert [(r.name, r.verdict) for r in results] == [
        ("slow", Verdict.PASS),
        ("quick", Verdict.PASS),
        ("web", Verdict.FAIL),
    ]


def test_no_check_no_result(run: Run) -> None:
    assert run() == []


def test_no_more_than_allowed_run_at_a_time(run: Run, tmp_path: Path) -> None:
    inline = "echo x >> running; test $(wc -l < running) -le 2; sleep 0.05; sed -i 1d running"
    locked = f"exec 9> lock; {inline.replace('echo', 'flock 9; echo', 1)}"
    locked = locked.replace("; sleep 0.05;", "; flock -u 9; sleep 0.05; flock 9;")
    checks = [{"name": f"c{n}", "bash": {"inline": locked}} for n in range(6)]
    results = run(*checks, parallel=2)
    assert [r.verdict for r in results] == [Verdict.PASS] * 6, results
    with pytest.raises(ValueError, match="at least one"):
        SmokeChecker(directory=tmp_path, parallel=0)


def test_the_time_of_a_check_begins_when_it_does(run: Run) -> None:
    checks = [
        {"name": f"c{n}", "bash": {"inline": "sleep 0.9"}, "timeout": "2500ms"} for n in range(3)
    ]
    assert [r.verdict for r in run(*checks, parallel=1)] == [Verdict.PASS] * 3


@pytest.mark.parametrize(
    "written",
    [
        {"http": {"path": "no slash"}},
        {"http": {}, "bash": "x"},
        {},
        {"http": {"expect": {"status": []}}},
        {"http": {"expect": {"body": {"regex": "("}}}},
        {"bash": {"inline": "  "}},
    ],
)
def test_what_cannot_be_run_is_an_error_of_its_own(
    run: Run, web: Web, written: dict[str, Any]
) -> None:
    good = {"name": "good", "http": {"path": "/health"}}
    bad, beside = run(written, good, entrypoint=web.url)
    assert bad.verdict is Verdict.ERROR
    assert bad.message
    assert beside.verdict is Verdict.PASS


def test_an_unforeseen_fault_stays_with_its_check(run: Run, tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file where a folder should be")
    bad, good = run(
        {"name": "bad", "bash": {"inline": "true"}},
        {"name": "good", "ssh": {"host": "x", "command": "echo {{nothing}}"}},
    )
    assert bad.verdict is Verdict.ERROR
    assert "the check itself failed" in bad.message
    assert "Traceback" in bad.evidence
    assert "{{nothing}}" in good.message


def test_a_stop_ends_every_kind(run: Run, web: Web, tmp_path: Path) -> None:
    heard = threading.Event()

    def deaf(connection: Any) -> None:
        heard.set()
        connection.recv(100)

    def everything_runs() -> bool:
        return heard.is_set() and bool(web.asked) and (tmp_path / "ready").exists()

    with tcp_server(deaf) as port:
        results = run(
            {"name": "http", "http": {"path": "/slow"}},
            {"name": "tcp", "tcp": {"port": port, "expect": "never"}},
            {"name": "bash", "bash": {"inline": "touch ready; sleep 60"}},
            {"name": "retry", "http": {"path": "/broken", "retry": {"interval": "20s"}}},
            stopped=everything_runs,
            entrypoint=web.url,
        )
    assert [r.verdict for r in results] == [Verdict.ERROR] * 4
    assert {r.message for r in results} == {"stopped before it had ended"}
    assert not web.release.is_set()


def test_a_stop_before_the_start_touches_nothing(run: Run, web: Web) -> None:
    (result,) = run({"http": {"path": "/health"}}, stopped=lambda: True, entrypoint=web.url)
    assert result.verdict is Verdict.SKIPPED
    assert not web.asked


def test_no_child_is_left_when_stopped_raises(run: Run, tmp_path: Path) -> None:
    def interrupted() -> bool:
        if (tmp_path / "pid").exists():
            raise KeyboardInterrupt
        return False

    inline = "echo $$ > pid.new; mv pid.new pid; sleep 60"
    with pytest.raises(KeyboardInterrupt):
        run({"bash": {"inline": inline}}, stopped=interrupted)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_no_child_outlives_a_killed_parent(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from tests.checks.conftest import decode, make_target
from theseus_ci.checks.runner import SmokeChecker
folder = Path(sys.argv[1])
check = decode({"bash": {"inline": "echo $$ > pid.new; mv pid.new pid; sleep 60"}})
SmokeChecker(directory=folder).run([check], make_target(folder), stopped=lambda: False)
"""
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=root) as parent:
        pid = tmp_path / "pid"
        _until(pid.exists)
        parent.kill()
    _until(lambda: not Path("/proc", pid.read_text().strip(), "exe").exists())


def _until(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_only_what_is_used_is_imported(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from tests.checks.conftest import decode, make_target
import theseus_ci.checks.prober
from theseus_ci.checks.runner import SmokeChecker
folder = Path(sys.argv[1])
check = decode({"bash": {"inline": "true"}})
(result,) = SmokeChecker(directory=folder).run([check], make_target(folder), stopped=lambda: False)
assert result.verdict.value == "pass", result
heavy = {"requests", "urllib3", "sh", "jsonpath_ng", "junit_xml", "asyncio"} & set(sys.modules)
"""
    program = program.replace("from tests.checks.conftest import decode, make_target\n", STAND_INS)
    program += "assert not heavy, heavy\n"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=root, check=True)


STAND_INS = """
import msgspec
from theseus_ci.config.smoke import SmokeCheck
from theseus_ci.model import CheckTarget
def decode(written):
    return msgspec.convert({"name": "case"} | written, SmokeCheck)
def make_target(folder):
    fields = {name: "" for name in CheckTarget.__struct_fields__}
    fields |= {"secret_headers": {}, "pods": (), "pod_network": None, "weight": 1}
    return CheckTarget(**fields)
"""


def test_the_secret_is_taken_out_of_errors_too(run: Run, web: Web) -> None:
    (result,) = run({"ssh": {"host": "x", "command": f"echo {{{{{SECRET}}}}}"}})
    assert SECRET not in repr(result)
    check = decode({"name": f"named {SECRET}", "bash": {"inline": f"echo {SECRET.upper()}"}})
    checker = SmokeChecker(directory=Path("/"))
    (result,) = checker.run([check], make_target(Path()), stopped=lambda: True)
    assert result.name == "named <secret>"
