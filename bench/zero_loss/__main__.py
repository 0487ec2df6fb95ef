"""Users' requests through whole releases, counted: how many were lost.

    python -m bench.zero_loss [--runs N] [--rate N] [--control-plane sandbox|real|both] [--seed N]
                              [--results FILE]

Runs from the repository's root. Each run starts a cluster whose gateway and client sidecar hear of
every change at times of their own, between 0.1 and 3 s, and in it takes a release to its end, one
back that turned out bad, and one back whose process was killed (-9) at a step that the seed
decides, from another workspace. Users ask through both proxies all the time, over connections that
are kept alive; none of them ever repeats a request. Exits with 1 when a request was lost. What
FILE holds already is not run again.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.table import markdown
from tests.e2e.loss import BEFORE_THE_END, WAYS, killed, meshed, users
from tests.e2e.world import World
from theseus_ci.demo.traffic import Request
from theseus_ci.sandbox.cluster import Sandbox
from theseus_ci.sandbox.settings import CONTROL_PLANES, REAL

SHORTEST, LONGEST = 0.1, 3.0
KILLED = next(way for way, act in WAYS.items() if act is killed)
Line = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One cluster, and what its seed decided."""

    control_plane: str
    number: int
    gateway_delay: float  # seconds
    sidecar_delay: float
    step: str  # at which the process is killed
    ends: bool  # once the step has ended, not in its middle

    @property
    def settle(self) -> str:
        """What an operator who knows the mesh would configure: longer than any proxy is late.

        Istio's proxies can be three messages late for a new subset: a change is held back until
        the one before has been confirmed, and the cluster waits for its endpoints.
        """
        late = max(self.gateway_delay, self.sidecar_delay)
        return f"{round((3 * late if self.control_plane == REAL else late) * 1000) + 1000}ms"

    def ways(self) -> Iterator[tuple[str, Callable[[World, str], None]]]:
        for way, act in WAYS.items():
            yield way, partial(killed, step=self.step, ends=self.ends) if way == KILLED else act


def main() -> int:
    args = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    chosen = CONTROL_PLANES if args.control_plane == "both" else (args.control_plane,)
    lines = _read(args.results)
    for control_plane in chosen:
        for run in _runs(control_plane, args.runs, args.seed):
            if not any(_is_of(line, run) for line in lines):
                made = _one(run, args.rate)
                lines += made
                _append(args.results, made)
    print(_table(lines))
    return 1 if any(line["lost"] or line["wrong"] for line in lines) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Requests lost in whole releases.")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--rate", type=float, default=200, help="requests a second (default 200)")
    parser.add_argument("--control-plane", choices=(*CONTROL_PLANES, "both"), default="both")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, help="where results are kept, and read from")
    return parser


def _runs(control_plane: str, count: int, seed: int) -> Iterator[Run]:
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        yield Run(
            control_plane=control_plane,
            number=number,
            gateway_delay=round(chance.uniform(SHORTEST, LONGEST), 2),
            sidecar_delay=round(chance.uniform(SHORTEST, LONGEST), 2),
            step=chance.choice(BEFORE_THE_END),
            ends=chance.random() < 0.5,
        )


def _one(run: Run, rate: float) -> list[Line]:
    lines = []
    with (
        tempfile.TemporaryDirectory(prefix="theseus-loss-") as name,
        Sandbox.start(
            Path(name) / "sandbox",
            control_plane=run.control_plane,
            gateway_delay=run.gateway_delay,
            sidecar_delay=run.sidecar_delay,
        ) as sandbox,
    ):
        folder = Path(name) / "world"
        folder.mkdir()
        with meshed(sandbox, folder) as world:
            for way, act in run.ways():
                lines.append(_line(run, way, *_under_traffic(world, rate, act, run.settle)))
    return lines


def _under_traffic(
    world: World, rate: float, act: Callable[[World, str], None], settle: str
) -> tuple[list[Request], str, float]:
    """The users' requests, what has gone wrong with the release, and how long it took."""
    started = time.monotonic()
    wrong = ""
    with users(world, rate) as found:
        try:
            act(world, settle)
        except AssertionError as error:
            wrong = str(error) or "the world is not as it was"
        took = time.monotonic() - started
    return found, wrong, took


def _line(run: Run, way: str, found: list[Request], wrong: str, took: float) -> Line:
    bad = [request for request in found if not request.answered]
    how = f", at {run.step}{'' if run.ends else ' (in its middle)'}" if way == KILLED else ""
    print(
        f"{time.strftime('%H:%M:%S')} {run.control_plane} {run.number}: gateway "
        f"{run.gateway_delay:.2f} s late, sidecar {run.sidecar_delay:.2f} s: {way}{how} in "
        f"{took:.0f} s: {len(found)} requests, {len(bad)} lost {wrong}",
        *map(str, bad[:20]),
        sep="\n    ",
        flush=True,
    )
    return {
        "controlPlane": run.control_plane,
        "number": run.number,
        "gatewayDelay": run.gateway_delay,
        "sidecarDelay": run.sidecar_delay,
        "way": way + how,
        "requests": len(found),
        "versions": sorted({request.version for request in found}),
        "lost": [str(request) for request in bad],
        "wrong": wrong,
        "seconds": round(took, 1),
    }


def _is_of(line: Line, run: Run) -> bool:
    return (line["controlPlane"], line["number"]) == (run.control_plane, run.number)


def _read(path: Path | None) -> list[Line]:
    text = path.read_text(encoding="utf-8") if path is not None and path.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def _append(path: Path | None, lines: list[Line]) -> None:
    if path is not None:
        with path.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines))


def _table(lines: list[Line]) -> str:
    rows = []
    for control_plane in dict.fromkeys(line["controlPlane"] for line in lines):
        for way in WAYS:
            of = [
                line
                for line in lines
                if line["controlPlane"] == control_plane and line["way"].startswith(way)
            ]
            rows.append(
                (
                    control_plane,
                    way,
                    str(len(of)),
                    str(sum(bool(line["wrong"]) for line in of)),
                    str(sum(line["requests"] for line in of)),
                    str(sum(len(line["lost"]) for line in of)),
                    f"{sum(line['seconds'] for line in of) / max(len(of), 1):.0f}",
                )
            )
    heads = ("control plane", "release", "runs", "gone wrong", "requests", "lost", "seconds each")
    total = sum(line["requests"] for line in lines)
    bad = sum(len(line["lost"]) for line in lines)
    return f"{markdown(heads, rows)}\n\n{total} requests, {bad} lost"


if __name__ == "__main__":
    sys.exit(main())
