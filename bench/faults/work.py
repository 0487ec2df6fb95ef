"""Workers that try cases one after the other, each in a namespace of its own, under traffic."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from bench.faults.record import Record, Tried
from tests.e2e.api import Api
from tests.faults.cases import LEFT, Case, Result, try_case
from tests.faults.place import Place, place
from tests.faults.proxy import Proxy
from theseus_ci.sandbox.cluster import Sandbox

RATE = 20  # requests a second of each worker's users
BATCH = 5  # cases that are recorded together


class Queue:
    """Cases that nobody has taken yet."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._cases = list(reversed(cases))
        self._lock = threading.Lock()
        self._total = len(cases)
        self._ended = 0

    def take(self) -> Case | None:
        with self._lock:
            return self._cases.pop() if self._cases else None

    def ended(self, result: Result, seconds: float) -> None:
        struck = f"{result.struck[0]}" if result.struck else "nothing"
        more = f" and {len(result.struck) - 1} more" if len(result.struck) > 1 else ""
        with self._lock:
            self._ended += 1
            count = f"{time.strftime('%H:%M:%S')} {self._ended}/{self._total}"
            print(f"{count}  {result.case} ({struck}{more}): {result.outcome} in {seconds:.0f} s")
            if result.detail:
                print("    " + result.detail.replace("\n", "\n    "))
            print(end="", flush=True)


def work_all(sandbox: Sandbox, folder: Path, waiting: Queue, record: Record, workers: int) -> None:
    """Try all cases; returns when they have ended."""
    threads = [
        threading.Thread(
            target=_work, args=(sandbox, folder / f"worker-{n}", waiting, record), daemon=True
        )
        for n in range(workers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _work(sandbox: Sandbox, folder: Path, waiting: Queue, record: Record) -> None:
    """Batches in a namespace; a new one after something was left behind."""
    folder.mkdir()
    number = 0
    going = True
    with contextlib.closing(Api(sandbox.kubeconfig, folder)) as api:
        while going:
            number += 1
            own = folder / str(number)
            own.mkdir()
            with place(sandbox, api, own) as here, Proxy(sandbox.kubeconfig, own) as proxy:
                going = _batches(here, proxy, waiting, record)


def _batches(here: Place, proxy: Proxy, waiting: Queue, record: Record) -> bool:
    """Until something is left behind; False once there is nothing more to try."""
    while True:
        tried: list[Tried] = []
        with here.traffic(rate=RATE) as requests:
            while len(tried) < BATCH and (case := waiting.take()) is not None:
                began = time.time()
                result = _try(here, proxy, case)
                tried.append(Tried(result, began, time.time()))
                waiting.ended(result, tried[-1].ended - began)
                if result.outcome == LEFT:
                    break
        record.batch(tried, requests)
        if tried and tried[-1].result.outcome == LEFT:
            return True
        if len(tried) < BATCH:
            return False


def _try(here: Place, proxy: Proxy, case: Case) -> Result:
    try:
        return try_case(here, proxy, case)
    except AssertionError as error:  # the world has not become what was waited for
        return Result(case, LEFT, detail=str(error))
