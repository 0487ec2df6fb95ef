"""The clients: how each is started, and how its figures are read."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.load.processes import Finished, python, run

_K6 = """\
export const options = {
  scenarios: { load: JSON.parse(__ENV.SCENARIO) },
  summaryTrendStats: ['med', 'p(99)'],
};
import http from 'k6/http';
export default function () { http.get(__ENV.URL); }
export function handleSummary(data) { return { stdout: JSON.stringify(data.metrics) }; }
"""
_OVERLOAD, _AFFORDABLE = 200_000.0, 20_000.0  # requests a second
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A client's own figures, in seconds; None where it does not say."""

    cpu: float
    elapsed: float  # of the whole process
    p50: float | None = None
    p99: float | None = None
    late: float | None = None  # p99 of the scheduling error
    dropped: int = 0  # requests that were due and never sent


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """One of the programs compared."""

    name: str
    missing: str  # why it cannot run here, "" when it can
    saturate: Callable[[str, float, int], Run]  # URL, seconds, connections
    paced: Callable[[str, float, float, int], Run] | None  # URL, rate, seconds, connections
    reports_latency: bool = True
    reports_lateness: bool = False


def clients() -> list[Client]:
    """All that are compared, ours first; "bare loop" is what ours could cost at least."""
    return [
        _python("ours", "theseus_ci"),
        _python("bare loop", "httptools", worker="bare", keeps_books=False),
        Client(name="wrk", missing=_absent("wrk"), saturate=_wrk, paced=None),
        Client(name="hey", missing=_absent("hey"), saturate=_hey, paced=_hey_paced),
        Client(name="k6", missing=_absent("k6"), saturate=_k6, paced=_k6_paced),
        _python("aiohttp", "aiohttp"),
        _python("requests", "requests"),
    ]


def _python(name: str, module: str, *, worker: str = "", keeps_books: bool = True) -> Client:
    def paced(url: str, rate: float, seconds: float, connections: int) -> Run:
        arguments = [worker or name, url, str(rate), str(seconds), str(connections)]
        done = run(python("bench.load.worker", *arguments), core=0)
        found = json.loads(done.output)
        return Run(
            cpu=done.cpu,
            elapsed=done.seconds,
            p50=found["p50"],
            p99=found["p99"],
            late=found["late"],
        )

    def saturate(url: str, seconds: float, connections: int) -> Run:
        if name == "ours":  # keeps its schedule: so many requests at once, all answered
            return paced(url, _OVERLOAD, seconds * _AFFORDABLE / _OVERLOAD, connections)
        return paced(url, _OVERLOAD, seconds, connections)

    return Client(
        name=name,
        missing="" if importlib.util.find_spec(module) else f"{module} is not installed",
        saturate=saturate,
        paced=paced,
        reports_latency=keeps_books,
        reports_lateness=keeps_books,
    )


def _find(program: str) -> str | None:
    beside = Path(sys.executable).parent / program
    return str(beside) if beside.exists() else shutil.which(program)


def _absent(program: str) -> str:
    return "" if _find(program) else f"no {program} on the PATH"


def _command(program: str, *arguments: object) -> list[str]:
    return [_find(program) or program, *map(str, arguments)]


def _wrk(url: str, seconds: float, connections: int) -> Run:
    done = run(
        _command("wrk", "--latency", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", url), core=0
    )
    found = dict(re.findall(r"^\s+(50|99)%\s+(\S+)$", done.output, re.MULTILINE))
    return Run(
        cpu=done.cpu, elapsed=done.seconds, p50=_seconds(found["50"]), p99=_seconds(found["99"])
    )


def _seconds(text: str) -> float:
    match = re.fullmatch(r"([\d.]+)(us|ms|s)", text)
    if match is None:
        raise ValueError(f"{text!r} is no duration of wrk's")
    return float(match[1]) * _UNITS[match[2]]


def _hey(url: str, seconds: float, connections: int) -> Run:
    command = _command("hey", "-z", f"{seconds:g}s", "-c", connections, url)
    return _read_hey(run(command, core=0))


def _hey_paced(url: str, rate: float, seconds: float, connections: int) -> Run:
    each = rate / connections
    command = _command(
        "hey", "-z", f"{seconds:g}s", "-c", connections, "-q", f"{each:g}", "-t", 30, url
    )
    return _read_hey(run(command, core=0))


def _read_hey(done: Finished) -> Run:
    found = dict(re.findall(r"^\s+(50|99)%+ in (\S+) secs$", done.output, re.MULTILINE))
    return Run(cpu=done.cpu, elapsed=done.seconds, p50=float(found["50"]), p99=float(found["99"]))


def _k6(url: str, seconds: float, connections: int) -> Run:
    scenario = {"executor": "constant-vus", "vus": connections, "duration": f"{seconds:g}s"}
    return _run_k6(url, scenario)


def _k6_paced(url: str, rate: float, seconds: float, connections: int) -> Run:
    scenario = {
        "executor": "constant-arrival-rate",
        "rate": int(rate),
        "timeUnit": "1s",
        "duration": f"{seconds:g}s",
        "preAllocatedVUs": connections,
        "maxVUs": connections,
    }
    return _run_k6(url, scenario)


def _run_k6(url: str, scenario: dict[str, object]) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.js"
        script.write_text(_K6, encoding="utf-8")
        env = {"URL": url, "SCENARIO": json.dumps(scenario), "K6_NO_USAGE_REPORT": "true"}
        done = run(_command("k6", "run", "--quiet", script), core=0, env=env)
    metrics = json.loads(done.output[done.output.index("{") :])
    times = metrics["http_req_duration"]["values"]
    dropped = metrics.get("dropped_iterations", {"values": {"count": 0}})["values"]["count"]
    return Run(
        cpu=done.cpu,
        elapsed=done.seconds,
        p50=times["med"] / 1e3,
        p99=times["p(99)"] / 1e3,
        dropped=int(dropped),
    )
