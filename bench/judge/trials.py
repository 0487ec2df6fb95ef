"""Runs of a case: our judge through its own code, the others with as many samples."""

from __future__ import annotations

import itertools
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing import get_context

import msgspec
import numpy as np

from bench.judge.cases import Case
from bench.judge.rivals import mann_whitney_fails, threshold_fails
from tests.judge.simulation import pairs
from theseus_ci import judge
from theseus_ci.config.performance import Performance, Request
from theseus_ci.measure import SLICE, Finding

SETTINGS = Performance(requests=(Request(path="/"),), rate=200)
_OTHER_SEEDS = 1_000_000  # the others see samples of their own


class Tally(msgspec.Struct, kw_only=True):
    """What came of all runs of a case."""

    findings: Counter[Finding] = msgspec.field(default_factory=Counter)
    requests: int = 0  # of all runs together, both versions
    mann_whitney: int = 0  # runs that it failed
    threshold: int = 0

    @property
    def runs(self) -> int:
        return self.findings.total()

    @property
    def mean_requests(self) -> float:
        """Requests of both versions until the verdict."""
        return self.requests / self.runs

    def share(self, finding: Finding) -> float:
        """Fraction of the runs."""
        return self.findings[finding] / self.runs


def simulate(cases: Sequence[Case], runs: int, workers: int) -> dict[Case, Tally]:
    """`runs` runs of every case; the seed of a run is its number and its case's."""
    tallies = {case: Tally() for case in cases}
    with get_context("spawn").Pool(workers) as pool:
        ours = ((case, _seed(case, run)) for run in range(runs) for case in cases)
        for case, finding, requests in pool.imap_unordered(_judge, ours, chunksize=8):
            tallies[case].findings[finding] += 1
            tallies[case].requests += requests
        others = _others(tallies, runs)
        for case, by_test, by_threshold in pool.imap_unordered(
            _judge_otherwise, others, chunksize=8
        ):
            tallies[case].mann_whitney += by_test
            tallies[case].threshold += by_threshold
    return tallies


def _others(tallies: dict[Case, Tally], runs: int) -> Iterator[tuple[Case, int, int]]:
    for run in range(runs):
        for case, tally in tallies.items():
            count = round(tally.mean_requests / (2 * SLICE))
            yield case, _OTHER_SEEDS + _seed(case, run), count


def _seed(case: Case, run: int) -> int:
    return run * 997 + sum(map(ord, case.truth + case.service))


def _judge(task: tuple[Case, int]) -> tuple[Case, Finding, int]:
    case, seed = task
    judgement = judge.compare(pairs(case.world(), seed), SETTINGS)
    return case, judgement.finding, judgement.load.requests


def _judge_otherwise(task: tuple[Case, int, int]) -> tuple[Case, bool, bool]:
    case, seed, count = task
    slices = itertools.chain.from_iterable(pair.slices for pair in pairs(case.world(), seed, count))
    samples: dict[str, list[array[int]]] = {"previous": [], "candidate": []}
    for one in slices:
        samples[one.version].append(one.latencies)
    previous, candidate = (np.sort(np.concatenate(one).astype(float)) for one in samples.values())
    return (
        case,
        mann_whitney_fails(previous, candidate),
        threshold_fails(previous, candidate),
    )


def judging_seconds(case: Case, requests: int, *, times: int = 5) -> float:
    """CPU time of one whole judgement of so many requests, at every look and at the end.

    The least of several, each on samples of its own that are there before.
    """
    taken = []
    for seed in range(times):
        supply = list(pairs(case.world(), seed, requests // (2 * SLICE)))
        began = time.process_time()
        judge.compare(iter(supply), SETTINGS)
        taken.append(time.process_time() - began)
    return min(taken)
