"""k6, wrk and hey against real servers: through the relay, read, judged, or refused."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.load.conftest import Serve
from tests.load.servers import OK_ANSWER, Seen, Server, always_ok
from theseus_ci import judge
from theseus_ci.config.driver import Driver
from theseus_ci.config.performance import Performance
from theseus_ci.errors import ConfigError, NoData
from theseus_ci.load.port import LoadGenerators
from theseus_ci.measure import Arm, Finding, LoadTarget, SlicePair
from theseus_ci.quantities import Duration

SECRET = "s3cret"
ARMS = (
    Arm(version="previous", headers={"x-release": f"{SECRET}-previous"}),
    Arm(version="candidate", headers={"x-release": f"{SECRET}-candidate"}),
)

K6 = """\
import http from 'k6/http';
export const options = {
  scenarios: { open: { executor: 'constant-arrival-rate', rate: 150, timeUnit: '1s',
                       duration: '2s', preAllocatedVUs: 150 } },
};
export default function () {
  http.post(`${__ENV.THESEUS_URL}/cart`, 'two', { headers: { 'x-kind': 'mine' } });
}
"""
WRK = """\
wrk.path = "/cart"
wrk.headers["x-kind"] = "mine"
"""
HEY = """\
hey -z 2s -c 2 -q 75 -o csv -H 'x-kind: mine' "$THESEUS_URL/cart"
"""
SCRIPTS = {
    "k6": (K6, ()),
    "wrk": (WRK, ("-t1", "-c2", "-d1s")),
    "hey": (HEY, ()),
}


def driver(tool: str, folder: Path, text: str | None = None) -> Driver:
    script = folder / f"script-for-{tool}"
    usual, arguments = SCRIPTS[tool]
    script.write_text(usual if text is None else text, encoding="utf-8")
    return Driver(**{tool: str(script)}, args=arguments)


def load(chosen: Driver, **changes: object) -> Performance:
    return Performance(
        driver=chosen,
        max_rate=float(str(changes.get("max_rate", 50_000))),
        max_duration=Duration(float(str(changes.get("max_duration", 30)))),
    )


def pairs(server: Server, performance: Performance) -> Iterator[SlicePair]:
    target = LoadTarget(url=server.url(), host="shop.example.com", arms=ARMS)
    return LoadGenerators().pairs(target, performance, seed=1, stopped=lambda: False)


@pytest.fixture(autouse=True)
def beside_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """k6 is installed as a package of the environment."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def present(tool: str) -> str:
    if shutil.which(tool) is None and os.environ.get("THESEUS_REQUIRE") != "all":
        pytest.skip(f"{tool} is not installed")
    return tool


@pytest.mark.parametrize("tool", ["k6", "wrk", "hey"])
def test_a_tool_measures_both_versions_through_its_relay(
    serve: Serve, tmp_path: Path, tool: str
) -> None:
    server = serve(always_ok)
    performance = load(driver(present(tool), tmp_path))
    found = list(pairs(server, performance))
    assert found
    assert all(not one.failed() for pair in found for one in pair.slices)
    assert {one.version for one in found[0].slices} == {"previous", "candidate"}
    seen = server.requests
    assert {x.headers["x-release"] for x in seen} == {arm.headers["x-release"] for arm in ARMS}
    assert {x.headers["host"] for x in seen} == {"shop.example.com"}
    assert {x.headers["x-kind"] for x in seen} == {"mine"}
    assert {x.path for x in seen} == {"/cart"}
    judgement = judge.compare(iter(found), performance)
    assert judgement.finding is Finding.INCONCLUSIVE  # too few of k6 and hey; wrk never tells more
    assert judgement.rule == "weak"
    assert f"as {tool} sent them" in judgement.load.sentence


@pytest.mark.parametrize("tool", ["k6", "wrk", "hey"])
def test_a_failing_candidate_fails_by_any_tool(serve: Serve, tmp_path: Path, tool: str) -> None:
    async def answer(_: Server, seen: Seen, writer: object) -> None:
        bad = "candidate" in seen.headers["x-release"]
        data = b"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\noops" if bad else OK_ANSWER
        writer.write(data)  # type: ignore[attr-defined]

    performance = load(driver(present(tool), tmp_path))
    judgement = judge.compare(pairs(serve(answer), performance), performance)
    assert judgement.finding is Finding.FAIL
    assert set(judgement.candidate.errors) == {"status"}


STANDINS = {
    "nonsense": ("echo 'no csv of mine'", "cannot read hey's output"),
    "nothing": ("true", "cannot read hey's output"),
    "a failure": ("echo no host >&2; exit 7", "ended with 7: no host"),
    "requests elsewhere": (
        "echo response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,"
        "status-code,offset; for i in 1 2 3; do echo 0.1,0,0,0,0,0,200,0.$i; done",
        "3 requests, of which 0 went to",
    ),
}


@pytest.mark.parametrize("case", STANDINS)
def test_what_cannot_be_relied_on_is_no_measurement(
    serve: Serve, tmp_path: Path, case: str
) -> None:
    script, message = STANDINS[case]
    with pytest.raises(NoData, match=message):
        list(pairs(serve(always_ok), load(driver("hey", tmp_path, script))))


@pytest.mark.parametrize(("tool", "message"), [("k6", "k6's output"), ("wrk", "wrk's output")])
def test_a_summary_of_another_program_is_refused(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str, message: str
) -> None:
    other = tmp_path / "bin" / tool
    other.parent.mkdir()
    other.write_text("#!/bin/sh\necho all fine\n")
    other.chmod(other.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{other.parent}:/usr/bin:/bin")
    with pytest.raises(NoData, match=message):
        list(pairs(serve(always_ok), load(driver(tool, tmp_path))))


def test_a_tool_that_is_not_there_is_named(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="no k6 on the PATH"):
        list(pairs(serve(always_ok), load(driver("k6", tmp_path))))


def test_a_tool_is_ended_at_the_cap_on_the_rate(serve: Serve, tmp_path: Path) -> None:
    flood = 'while true; do curl -s -o "$0.out" "$THESEUS_URL/"; done'
    server = serve(always_ok)
    with pytest.raises(NoData, match="more than maxRate"):
        list(pairs(server, load(driver("hey", tmp_path, flood), max_rate=5)))
    assert len(server.requests) < 1000


def test_a_tool_is_ended_at_the_longest_duration_with_all_it_started(
    serve: Serve, tmp_path: Path
) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/child; wait"
    with pytest.raises(NoData, match="did not end within maxDuration"):
        list(pairs(serve(always_ok), load(driver("hey", tmp_path, script), max_duration=1)))
    child = Path("/proc", (tmp_path / "child").read_text().strip(), "cmdline")
    assert not child.exists() or not child.read_bytes()


def test_neither_script_nor_processes_hold_the_secret(serve: Serve, tmp_path: Path) -> None:
    script = f"env > {tmp_path}/env; cat /proc/*/cmdline > {tmp_path}/processes 2>/dev/null; true"
    with pytest.raises(NoData):
        list(pairs(serve(always_ok), load(driver("hey", tmp_path, script))))
    assert "THESEUS_URL=http://127.0.0.1:" in (tmp_path / "env").read_text()
    assert SECRET not in (tmp_path / "env").read_text()
    assert SECRET.encode() not in (tmp_path / "processes").read_bytes()
