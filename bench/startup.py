"""How long commands take to start, beside `kubectl version --client` in the same run.

    python -m bench.startup [--runs N] [--cluster]

Runs from the repository's root. The commands take turns, and the least and the median of all runs
are told: the least is what the machine can do, the median what it did. With --cluster a sandbox
is started for the commands that need one (sandbox extra); otherwise they are left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.table import markdown
from theseus_ci.plan import Plan
from theseus_ci.rollout.state import Ref, Routes, State, Subset, Version, encode

_RUNS = 15
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
    """What is started, and how it should end."""

    name: str
    words: tuple[str, ...]
    codes: tuple[int, ...] = (0,)
    target: float | None = None  # seconds on a quiet machine


def main(arguments: Sequence[str] | None = None) -> int:
    """Time everything, print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--runs", type=int, default=_RUNS, help=f"default {_RUNS}")
    parser.add_argument("--cluster", action="store_true", help="with a sandbox of its own")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "theseus.yaml").write_text(_DOCUMENT, encoding="utf-8")
        (Path(folder) / "reviews-v2.yaml").write_text(_MANIFEST, encoding="utf-8")
        (Path(folder) / "theseus-state.json").write_bytes(encode(_state()))
        if chosen.cluster:
            with _sandbox(Path(folder)) as kubeconfig:
                times = _measure(
                    [*_without_cluster(), *_with_cluster()], chosen.runs, folder, kubeconfig
                )
        else:
            times = _measure(_without_cluster(), chosen.runs, folder, os.devnull)
    print(_table(times))
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


def _without_cluster() -> list[Command]:
    theseus = _beside("theseus-ci")
    return [
        Command(name="kubectl version --client", words=(_beside("kubectl"), "version", "--client")),
        Command(name="bare Python", words=(sys.executable, "-c", "pass")),
        Command(name="theseus-ci --help", words=(theseus, "--help"), target=0.04),
        Command(name="theseus-ci --version", words=(theseus, "--version"), target=0.04),
        Command(name="theseus-ci begin --help", words=(theseus, "begin", "--help"), target=0.04),
        Command(name="theseus-ci report", words=(theseus, "report"), target=0.08),
    ]


def _with_cluster() -> list[Command]:
    return [
        Command(name="import kubernetes", words=(sys.executable, "-c", "import kubernetes")),
        Command(
            name="kubectl get --raw /version",
            words=(_beside("kubectl"), "get", "--raw", "/version"),
        ),
        Command(
            name="theseus-ci status",
            words=(_beside("theseus-ci"), "status"),
            codes=(0, 2, 3),
            target=0.3,
        ),
    ]


def _beside(program: str) -> str:
    own = Path(sys.executable).parent / program
    found = str(own) if own.exists() else shutil.which(program)
    if found is None:
        raise SystemExit(f"there is no {program}, neither beside this Python nor on the PATH")
    return found


@contextmanager
def _sandbox(folder: Path) -> Iterator[str]:
    theseus, name = _beside("theseus-ci"), "bench-startup"
    state = ["--name", name, "--directory", str(folder / "sandbox")]
    ports = ["--api-port", "0", "--gateway-port", "0", "--sidecar-port", "0"]
    subprocess.run(
        [theseus, "sandbox", "up", *state, *ports], check=True, stdout=subprocess.DEVNULL
    )
    try:
        (kubeconfig,) = (folder / "sandbox").rglob("kubeconfig")
        yield str(kubeconfig)
    finally:
        subprocess.run([theseus, "sandbox", "down", *state], check=True, stdout=subprocess.DEVNULL)


def _measure(
    commands: Sequence[Command], runs: int, folder: str, kubeconfig: str
) -> dict[Command, list[float]]:
    times: dict[Command, list[float]] = {command: [] for command in commands}
    environment = {**os.environ, "KUBECONFIG": kubeconfig}
    for number in range(runs + 1):
        for command in commands:
            began = time.perf_counter()
            done = subprocess.run(
                command.words, cwd=folder, env=environment, capture_output=True, check=False
            )
            taken = time.perf_counter() - began
            if done.returncode not in command.codes:
                raise SystemExit(f"{command.name} ended with {done.returncode}: {done.stderr!r}")
            if number:  # the first one fills the caches
                times[command].append(taken)
    return times


def _table(times: dict[Command, list[float]]) -> str:
    reference = min(next(iter(times.values())))
    rows = []
    for command, all_runs in times.items():
        best = min(all_runs)
        target = f"{command.target * 1e3:.0f}" if command.target else ""
        rows.append(
            [
                command.name,
                f"{best * 1e3:.0f}",
                f"{statistics.median(all_runs) * 1e3:.0f}",
                f"{best / reference:.2f}",
                target,
            ]
        )
    return markdown(["command", "least, ms", "median, ms", "least / kubectl's", "target, ms"], rows)


if __name__ == "__main__":
    sys.exit(main())
