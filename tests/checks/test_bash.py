"""bash checks: real scripts that pass, fail, hang, fork and leave JUnit files."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.checks.conftest import LOOPBACK, SECRET, Run
from tests.checks.servers import Web
from theseus_ci.model import CheckResult, PodAddress, Verdict


def bash(run: Run, inline: str, timeout: str = "10s", **target: Any) -> list[CheckResult]:
    results = run({"name": "script", "bash": {"inline": inline}, "timeout": timeout}, **target)
    assert SECRET not in repr(results)
    return results


def alive(pid_file: Path) -> bool:
    """Whether the process whose number is in the file still runs; waits for it to go."""
    path = Path("/proc", pid_file.read_text().strip(), "stat")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if path.read_text().rpartition(")")[2].split()[0] == "Z":
                return False
        except OSError:
            return False
        time.sleep(0.01)
    return True


def test_the_exit_status_is_the_verdict(run: Run) -> None:
    assert bash(run, "echo fine")[0].verdict is Verdict.PASS
    (result,) = bash(run, "echo first; echo 'no reviews' >&2; exit 3")
    assert result.verdict is Verdict.FAIL
    assert result.message == "exit status 3: no reviews"
    assert "first\nno reviews" in result.evidence


@pytest.mark.parametrize("inline", ["false; true", "echo $nothing", "false | true"])
def test_bash_is_strict(run: Run, inline: str) -> None:
    assert bash(run, inline)[0].verdict is Verdict.FAIL


@pytest.mark.parametrize("inline", ["no-such-command-here", "kill -SEGV $$"])
def test_what_could_not_run_is_an_error(run: Run, inline: str) -> None:
    assert bash(run, inline)[0].verdict is Verdict.ERROR


def test_a_script_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "accept.sh").write_text('test "$PWD" = "$(cd "$(dirname "$0")"; pwd)"')
    assert run({"bash": "accept.sh"})[0].verdict is Verdict.PASS
    (result,) = run({"bash": "none.sh"})
    assert result.verdict is Verdict.ERROR
    assert "none.sh" in result.message


def test_what_a_script_is_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("THESEUS_")]:
        monkeypatch.delenv(name)
    inline = """
    { env | grep ^THESEUS_ | grep -v CHECK_RUN; echo "MODE=$(stat -c %a "$THESEUS_HEADERS_FILE")"
      echo "EXTRA=$EXTRA"; sed s/Zk3.*/SECRET/ "$THESEUS_HEADERS_FILE"; } > told
    """
    check = {"name": "a b", "bash": {"inline": inline, "env": {"EXTRA": "more"}}}
    (result,) = run(
        check,
        entrypoint="http://127.0.0.1:1",
        host="reviews.example.com",
        pods=(PodAddress(name="p-0", ip="10.0.0.7"), PodAddress(name="p-1", ip="10.0.0.8")),
        pod_network=LOOPBACK,
    )
    assert result.verdict is Verdict.PASS, result
    lines = (tmp_path / "told").read_text().splitlines()
    told = dict(line.split("=", 1) for line in lines if "=" in line)
    headers = [line for line in lines if "=" not in line]
    folder = Path(told.pop("THESEUS_REPORTS"))
    assert folder.parent == tmp_path / "reports"
    assert folder.is_dir()
    assert not Path(told.pop("THESEUS_HEADERS_FILE")).exists()
    assert headers == ["Host: reviews.example.com", "x-theseus-secret: SECRET"]
    assert told == {
        "THESEUS_SERVICE": "reviews",
        "THESEUS_NAMESPACE": "bookinfo",
        "THESEUS_ROLLOUT": "r-1",
        "THESEUS_CANDIDATE": "reviews-v2",
        "THESEUS_PREVIOUS": "reviews-v1",
        "THESEUS_CANDIDATE_VERSION": "2.0",
        "THESEUS_PREVIOUS_VERSION": "1.0",
        "THESEUS_ENTRYPOINT": "http://127.0.0.1:1",
        "THESEUS_HOST": "reviews.example.com",
        "THESEUS_PODS": "10.0.0.7 10.0.0.8",
        "THESEUS_POD_NAMES": "p-0 p-1",
        "THESEUS_POD_ADDRESSES": "127.0.0.7 127.0.0.8",
        "THESEUS_PRIVILEGED_PORT_OFFSET": "20000",
        "THESEUS_WEIGHT": "50",
        "MODE": "600",
        "EXTRA": "more",
    }


def test_curl_reaches_the_candidate(run: Run, web: Web) -> None:
    inline = 'curl -sf -H @"$THESEUS_HEADERS_FILE" "$THESEUS_ENTRYPOINT/health"'
    (result,) = bash(run, inline, entrypoint=web.url, host="reviews.example.com")
    assert result.verdict is Verdict.PASS, result
    assert web.asked[0]["x-theseus-secret"] == SECRET
    assert web.asked[0]["host"] == "reviews.example.com"


@pytest.mark.parametrize(
    "hanging",
    [
        "sleep 60",
        "trap '' TERM; echo $$ > pid; while true; do sleep 60 || true; done",
        "sleep 60 & echo $! > pid; wait",
        "(trap '' TERM; echo $BASHPID > pid; sleep 60; sleep 60) & sleep 60",
    ],
)
def test_a_script_that_hangs_is_killed_with_its_children(
    run: Run, tmp_path: Path, hanging: str
) -> None:
    (result,) = bash(run, f"echo $$ > pid; echo begun; {hanging}", "2s")
    assert result.verdict is Verdict.FAIL
    assert result.message == "no result within 2s"
    assert "begun" in result.evidence
    assert not alive(tmp_path / "pid")


@pytest.mark.parametrize(
    "leaving",
    [
        "sleep 60 & echo $! > pid",
        "setsid sleep 60 & echo $! > pid",
        "setsid -f bash -c 'echo $$ > pid; exec sleep 60'; until [ -s pid ]; do :; done",
    ],
)
def test_children_left_behind_are_killed_and_do_not_hold_it_up(
    run: Run, tmp_path: Path, leaving: str
) -> None:
    (result,) = bash(run, f"{leaving}; echo done")
    assert result.verdict is Verdict.PASS
    assert "done" in result.evidence
    assert not alive(tmp_path / "pid")


def test_a_stop_ends_all(run: Run, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    checks = [
        {"name": "under way", "bash": {"inline": "sleep 60 & echo $! > pid; > ready; wait"}},
        {"name": "waiting", "bash": {"inline": "true"}},
    ]
    results = run(*checks, parallel=1, stopped=ready.exists)
    assert [(r.name, r.verdict) for r in results] == [
        ("under way", Verdict.ERROR),
        ("waiting", Verdict.SKIPPED),
    ]
    assert "stopped" in results[0].message
    assert not alive(tmp_path / "pid")


def test_output_without_end_is_bounded(run: Run) -> None:
    (result,) = bash(run, "head -c 30000000 /dev/zero | tr '\\0' x; echo; echo the end; exit 1")
    assert result.message == "exit status 1: the end"
    assert len(result.evidence) < 100_000
    assert "left out" in result.evidence


def test_secrets_are_taken_out_of_output_and_files(run: Run, tmp_path: Path) -> None:
    inline = """
    cat "$THESEUS_HEADERS_FILE"; cp "$THESEUS_HEADERS_FILE" "$THESEUS_REPORTS/copy.txt"
    ln -s /etc/hostname "$THESEUS_REPORTS/link"
    exit 1
    """
    (result,) = bash(run, inline)
    assert "x-theseus-secret: <secret>" in result.evidence
    copy = tmp_path / "reports" / "script" / "copy.txt"
    assert copy.read_text() == "x-theseus-secret: <secret>\n"
    assert not copy.with_name("link").is_symlink()


def test_the_secret_is_neither_in_environment_nor_arguments(run: Run) -> None:
    inline = "! grep -q 'Zk[3]' /proc/$$/environ; ! grep -q 'Zk[3]' /proc/$$/cmdline"
    assert bash(run, inline)[0].verdict is Verdict.PASS


JUNIT = """<testsuites><testsuite name="s">
<testcase classname="shop.Cart" name="adds" time="0.5"/>
<testcase classname="shop.Cart" name="pays" time="1"><failure message="no {}">trace</failure>
</testcase><testcase name="later"><skipped/></testcase></testsuite></testsuites>"""


def test_junit_files_become_cases(run: Run, tmp_path: Path) -> None:
    (tmp_path / "good").write_text(JUNIT.format("money"))
    results = bash(run, 'mkdir "$THESEUS_REPORTS/sub"; cp good "$THESEUS_REPORTS/sub/a.xml"')
    assert [(r.name, r.verdict) for r in results] == [
        ("script", Verdict.PASS),
        ("script: shop.Cart.adds", Verdict.PASS),
        ("script: shop.Cart.pays", Verdict.FAIL),
        ("script: later", Verdict.SKIPPED),
    ]
    assert results[1].seconds == 0.5
    assert results[2].message == "no money"
    assert "trace" in results[2].evidence
    assert not list((tmp_path / "reports").rglob("*.xml"))


def test_files_of_an_earlier_run_do_not_count(run: Run, tmp_path: Path) -> None:
    (tmp_path / "good").write_text(JUNIT.format("money"))
    assert len(bash(run, 'cp good "$THESEUS_REPORTS/a.xml"')) == 4
    assert len(bash(run, "true")) == 1


BOMB = """<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<testsuite><testcase name="&b;"/></testsuite>"""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "empty"),
        ("<testsuite", "well-formed"),
        ("<html/>", "<html>"),
        ("<testsuite/>", "no test case"),
        (BOMB, "document type"),
        ("<testsuite>" + "<a>" * 100 + "</a>" * 100 + "</testsuite>", "nested"),
        ('<?xml version="1.0" encoding="nonsense"?><testsuite/>', "well-formed"),
    ],
)
def test_a_junit_file_that_is_none_is_an_error(
    run: Run, tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / "bad").write_text(content)
    own, case = bash(run, 'cp bad "$THESEUS_REPORTS/bad.xml"')
    assert own.verdict is Verdict.PASS
    assert case.verdict is Verdict.ERROR
    assert case.name == "script: bad.xml"
    assert said in case.message


def test_a_secret_in_a_junit_file(run: Run) -> None:
    inline = """
    echo "<testsuite><testcase name='$(cat "$THESEUS_HEADERS_FILE")'/></testsuite>" \
      > "$THESEUS_REPORTS/a.xml"
    """
    _, case = bash(run, inline)
    assert case.name == "script: x-theseus-secret: <secret>"


def test_repeat_is_a_command_that_works(run: Run, tmp_path: Path) -> None:
    (result,) = bash(run, 'cp "$THESEUS_HEADERS_FILE" got; echo "$THESEUS_PODS" > pods; exit 1')
    script = tmp_path / "repeat.sh"
    script.write_text(f"SECRET=hidden\n{result.repeat}\n")
    os.chmod(script, stat.S_IRWXU)
    again = f"""
    cd {tmp_path}; rm got pods
    bash {script} || test $? = 1
    grep -q 'x-theseus-secret: hidden' got
    """
    assert bash(run, again)[0].verdict is Verdict.PASS
    assert (tmp_path / "pods").read_text() == "127.0.0.1\n"


def test_no_secret_headers_at_all(run: Run) -> None:
    (result,) = bash(run, 'test ! -s "$THESEUS_HEADERS_FILE"; exit 1', secret_headers={})
    assert result.message == "exit status 1, without any output"
    assert result.repeat


def test_parallel_checks_do_not_wait_for_each_other(run: Run) -> None:
    meeting = "touch {0}; until [ -e {1} ]; do sleep 0.01; done"
    results = run(
        {"name": "one", "bash": {"inline": meeting.format("a", "b")}, "timeout": "10s"},
        {"name": "two", "bash": {"inline": meeting.format("b", "a")}, "timeout": "10s"},
    )
    assert [result.verdict for result in results] == [Verdict.PASS, Verdict.PASS]
    assert threading.active_count() < 20
