"""How long commands take to start, beside `kubectl version --client` in the same run.

    python -m bench.startup [--runs N] [--cluster]

Runs from the repository's root. The commands take turns, and the least and the median of all runs
are told: the least is what the machine can do, the median what it did. With --cluster a sandbox
is started for the commands that need one (sandbox extra), in which a rollout has begun; otherwise
they are left out. Their target is the import of the Kubernetes client, 80 ms, and the round trips
they make: those are counted on their way, and one takes what a GET of a Deployment takes here.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from bench.table import markdown
from tests.e2e.api import Api
from tests.faults.place import Place, place
from tests.faults.proxy import Proxy
from theseus_ci.plan import Plan
from theseus_ci.rollout.state import Ref, Routes, State, Subset, Version, encode
from theseus_ci.sandbox.cluster import Sandbox

_RUNS = 15
_ROUND_TRIPS = 50  # requests whose median is what one takes
_BESIDES_THE_CLIENT = 0.08  # seconds
_IMPORT = "import of the Kubernetes client"
_DOCUMENT = """\
service: reviews
manifest: reviews-v2.yaml
entrypoint: http://127.0.0.1:8080
matchers:
  - header: {name: x-release, exact: candidate}
"""
_MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: reviews-v2}
spec:
  selector: {matchLabels: {app: reviews, version: v2}}
  template:
    metadata: {labels: {app: reviews, version: v2}}
    spec: {containers: [{name: reviews, image: reviews:2}]}
"""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What is started, and where."""

    name: str
    words: tuple[str, ...]
    folder: Path
    target: float | None = None  # seconds on a quiet machine
    round_trips: int | None = None  # requests to the API server


Times = dict[Command, list[float]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Time everything, print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--runs", type=int, default=_RUNS, help=f"default {_RUNS}")
    parser.add_argument("--cluster", action="store_true", help="with a sandbox of its own")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="theseus-startup-") as name:
        folder = Path(name)
        commands = _without_cluster(folder)
        if chosen.cluster:
            with _cluster(folder / "cluster") as (here, proxy):
                commands += _with_cluster(here, proxy)
                times = _measure(commands, chosen.runs, here.sandbox.kubeconfig)
                trip = _round_trip(here)
        else:
            times, trip = _measure(commands, chosen.runs, Path(os.devnull)), None
    print(_table(times, trip))
    return 0


def _state() -> State:
    """A rollout that has just begun: what `report` reads without asking a cluster."""
    rule = Ref(kind="DestinationRule", namespace="bookinfo", name="reviews")
    return State(
        theseus="bench",
        rollout="reviews-bench",
        service="reviews",
        namespace="bookinfo",
        holder="bench",
        started=1_700_000_000.0,
        config={},
        plan=Plan(flow="bench", title="Bench", has_previous=False, steps=()),
        previous=None,
        candidate=Version(deployment="reviews-v2", label="v2", pod_labels={"app": "reviews"}),
        before=None,
        wanted_replicas=1,
        routes=Routes(
            virtual_services=(),
            destination_rule=rule,
            created=(),
            previous=None,
            candidate=Subset(name="v2", labels={"version": "v2"}, owned=True),
        ),
    )


def _without_cluster(folder: Path) -> list[Command]:
    (folder / "theseus.yaml").write_text(_DOCUMENT, encoding="utf-8")
    (folder / "reviews-v2.yaml").write_text(_MANIFEST, encoding="utf-8")
    (folder / "theseus-state.json").write_bytes(encode(_state()))
    theseus = _beside("theseus-ci")
    words: list[tuple[str, tuple[str, ...], float | None]] = [
        ("kubectl version --client", (_beside("kubectl"), "version", "--client"), None),
        ("bare Python", (sys.executable, "-c", "pass"), None),
        ("theseus-ci --help", (theseus, "--help"), 0.04),
        ("theseus-ci --version", (theseus, "--version"), 0.04),
        ("theseus-ci begin --help", (theseus, "begin", "--help"), 0.04),
        ("theseus-ci report", (theseus, "report"), 0.08),
    ]
    return [
        Command(name=name, words=line, folder=folder, target=target) for name, line, target in words
    ]


def _with_cluster(here: Place, proxy: Proxy) -> list[Command]:
    """The first two stages are done, so that each command finds a rollout and changes nothing."""
    begun = here.planned()[:2]
    for stage in begun:
        here.theseus(*stage)
    client = "from kubernetes import client, config, dynamic"
    theseus = _beside("theseus-ci")
    stages = [
        Command(
            name=" ".join(("theseus-ci", *stage)),
            words=(theseus, *stage),
            folder=here.folder,
            round_trips=_counted(here, proxy, stage),
        )
        for stage in (("status",), *begun)
    ]
    return [
        Command(name=_IMPORT, words=(sys.executable, "-c", client), folder=here.folder),
        Command(
            name="kubectl get --raw /version",
            words=(_beside("kubectl"), "get", "--raw", "/version"),
            folder=here.folder,
        ),
        *stages,
    ]


def _counted(here: Place, proxy: Proxy, stage: Sequence[str]) -> int:
    proxy.forget()
    here.theseus(*stage, kubeconfig=proxy.kubeconfig)
    return len(proxy.calls)


def _round_trip(here: Place) -> float:
    """Seconds that a GET takes over a connection that is open."""
    times = []
    for _ in range(_ROUND_TRIPS):
        began = time.perf_counter()
        here.get("Deployment", "web-v1")
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _beside(program: str) -> str:
    own = Path(sys.executable).parent / program
    found = str(own) if own.exists() else shutil.which(program)
    if found is None:
        raise SystemExit(f"there is no {program}, neither beside this Python nor on the PATH")
    return found


@contextlib.contextmanager
def _cluster(folder: Path) -> Iterator[tuple[Place, Proxy]]:
    folder.mkdir()
    with (
        Sandbox.start(folder / "sandbox") as sandbox,
        contextlib.closing(Api(sandbox.kubeconfig, folder)) as api,
        place(sandbox, api, folder) as here,
        Proxy(sandbox.kubeconfig, folder) as proxy,
    ):
        yield here, proxy


def _measure(commands: Sequence[Command], runs: int, kubeconfig: Path) -> Times:
    times: Times = {command: [] for command in commands}
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else ours alone would be compiled each time
    for number in range(runs + 1):
        for command in commands:
            began = time.perf_counter()
            done = subprocess.run(
                command.words,
                cwd=command.folder,
                env=environment,
                capture_output=True,
                check=False,
            )
            taken = time.perf_counter() - began
            if done.returncode:
                raise SystemExit(f"{command.name} ended with {done.returncode}: {done.stderr!r}")
            if number:  # the first one fills the caches
                times[command].append(taken)
    return times


def _table(times: Times, trip: float | None) -> str:
    least = {command.name: min(taken) for command, taken in times.items()}
    reference = next(iter(least.values()))
    head = ["command", "least, ms", "median, ms", "least / kubectl's", "round trips", "target, ms"]
    rows = [
        [
            command.name,
            f"{least[command.name] * 1e3:.0f}",
            f"{statistics.median(taken) * 1e3:.0f}",
            f"{least[command.name] / reference:.2f}",
            "" if command.round_trips is None else str(command.round_trips),
            _target(command, least, trip),
        ]
        for command, taken in times.items()
    ]
    told = "" if trip is None else f"\n\nA round trip: {trip * 1e3:.1f} ms"
    return markdown(head, rows) + told


def _target(command: Command, least: dict[str, float], trip: float | None) -> str:
    target = command.target
    if command.round_trips is not None and trip is not None:
        target = least[_IMPORT] + _BESIDES_THE_CLIENT + command.round_trips * trip
    return "" if target is None else f"{target * 1e3:.0f}"


if __name__ == "__main__":
    sys.exit(main())
