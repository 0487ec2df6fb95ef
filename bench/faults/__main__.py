"""Every fault at every change of a release, and whether the world came out whole.

    python -m bench.faults [--all] [--seed N] [--sample N] [--workers N]

Runs from the repository's root. Without --all, a sample is tried that the seed decides. Exits
with 1 when anything was left behind or a user's request was lost.
"""

from __future__ import annotations

import argparse
import contextlib
import queue
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from tests.e2e.api import Api
from tests.faults.cases import LEFT, OUTCOMES, Case, Result, count_changes, every_case, try_case
from tests.faults.place import Place, place
from tests.faults.proxy import Proxy
from theseus_ci.sandbox.cluster import Sandbox

RATE = 20  # requests a second of each worker's users


class Tally:
    """What all workers have found."""

    def __init__(self, total: int) -> None:
        self.results: list[Result] = []
        self.requests = 0
        self.lost: list[str] = []
        self._total = total
        self._lock = threading.Lock()

    def add(self, result: Result, seconds: float) -> None:
        with self._lock:
            self.results.append(result)
            print(
                f"{len(self.results)}/{self._total}  {result.case} ({result.struck}): "
                f"{result.outcome} in {seconds:.0f} s",
                flush=True,
            )
            if result.detail:
                print("    " + result.detail.replace("\n", "\n    "), flush=True)

    def add_traffic(self, requests: int, lost: list[str]) -> None:
        with self._lock:
            self.requests += requests
            self.lost += lost


def main() -> int:
    parser = argparse.ArgumentParser(description="Faults at every change of a release.")
    parser.add_argument("--all", action="store_true", help="every case, not a sample")
    parser.add_argument("--sample", type=int, default=20, help="cases without --all (default 20)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="theseus-faults-") as name:
        folder = Path(name)
        with Sandbox.start(
            folder / "sandbox",
            gateway_delay=0.05,
            sidecar_delay=0.05,
            hpa_stabilization=0.3,
            crash_back_off=0.3,
        ) as sandbox:
            tally = _try_all(sandbox, folder, args)
    _table(tally, time.monotonic() - started)
    bad = tally.lost or any(one.outcome == LEFT for one in tally.results)
    return 1 if bad else 0


def _try_all(sandbox: Sandbox, folder: Path, args: argparse.Namespace) -> Tally:
    with contextlib.closing(Api(sandbox.kubeconfig, folder)) as api:
        own = folder / "count"
        own.mkdir()
        with place(sandbox, api, own) as counted, Proxy(sandbox.kubeconfig, own) as proxy:
            count = len(count_changes(counted, proxy))
    cases = every_case(count)
    random.Random(args.seed).shuffle(cases)
    chosen = cases if args.all else cases[: args.sample]
    print(f"{count} changes, {len(cases)} cases, {len(chosen)} chosen (seed {args.seed})")
    tally = Tally(len(chosen))
    waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
    for case in chosen:
        waiting.put(case)
    workers = [
        threading.Thread(target=_work, args=(sandbox, folder / f"worker-{n}", waiting, tally))
        for n in range(args.workers)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return tally


def _work(sandbox: Sandbox, folder: Path, waiting: queue.SimpleQueue[Case], tally: Tally) -> None:
    """Cases one after the other in a namespace; a new one after something was left behind."""
    folder.mkdir()
    number = 0
    with contextlib.closing(Api(sandbox.kubeconfig, folder)) as api:
        while not waiting.empty():
            number += 1
            own = folder / str(number)
            own.mkdir()
            with place(sandbox, api, own) as here, Proxy(sandbox.kubeconfig, own) as proxy:
                with here.traffic(rate=RATE) as requests:
                    _until_left_behind(here, proxy, waiting, tally)
                tally.add_traffic(len(requests), [str(one) for one in requests if not one.answered])


def _until_left_behind(
    here: Place, proxy: Proxy, waiting: queue.SimpleQueue[Case], tally: Tally
) -> None:
    while True:
        try:
            case = waiting.get_nowait()
        except queue.Empty:
            return
        started = time.monotonic()
        result = try_case(here, proxy, case)
        tally.add(result, time.monotonic() - started)
        if result.outcome == LEFT:
            return


def _table(tally: Tally, seconds: float) -> None:
    rows: dict[str, Counter[str]] = {}
    for one in tally.results:
        rows.setdefault(one.case.act.value, Counter())[one.outcome] += 1
    heads = ("fault", "tried", *OUTCOMES)
    widths = [max(len(heads[0]), *map(len, rows)), *(len(head) for head in heads[1:])]
    print("  ".join(head.ljust(width) for head, width in zip(heads, widths, strict=True)))
    for name, counts in sorted(rows.items()):
        cells = (name, str(counts.total()), *(str(counts[outcome]) for outcome in OUTCOMES))
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)))
    print(f"{tally.requests} requests of users meanwhile, {len(tally.lost)} lost; {seconds:.0f} s")
    for request in tally.lost[:10]:
        print(f"    {request}")


if __name__ == "__main__":
    sys.exit(main())
