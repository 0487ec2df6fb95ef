"""The bench that anyone can run keeps its promises, on a reduced grid."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from bench.judge.cases import Case
from bench.judge.rivals import Latencies, mann_whitney_fails, threshold_fails
from bench.judge.targets import targets
from bench.judge.trials import Tally
from theseus_ci.measure import Finding


def test_every_promise_holds_and_the_tables_are_printed() -> None:
    cells = ["--truth", "equal, rough", "--truth", "p99 only +37.5 %", "--service", "ln3"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.judge", "--runs", "8", "--workers", "2", *cells],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("| equal, rough ") == 2
    assert "holds  p99 only +37.5 % fails in at least 99% of the runs: 8 of 8" in done.stdout
    assert "8 of 8 (p99 only +37.5 %, ln3); about 46" in done.stdout, "459 are enough"
    assert "BROKEN" not in done.stdout


def test_a_broken_promise_is_told() -> None:
    equal = Case(truth="equal", service="ln3")
    slower = Case(truth="all +25 %", service="ln3")
    bad = Tally(findings=Counter({Finding.PASS: 90, Finding.FAIL: 10}), requests=2_000_000)
    broken = [one.promise for one in targets({equal: bad, slower: bad}) if not one.held]
    assert len(broken) == 4  # too few passes, false alarms, a slow candidate passed, too long


def passing(passes: int, runs: int) -> Tally:
    findings = Counter({Finding.PASS: passes, Finding.INCONCLUSIVE: runs - passes})
    return Tally(findings=findings, requests=runs)


@pytest.mark.parametrize(
    ("passes", "runs", "word", "untold"),
    [
        (40, 40, "holds ", "; about 228 runs a cell would tell"),
        (400, 400, "holds ", ""),
        (38, 40, "open  ", "; about 171 runs a cell would tell"),
        (98, 100, "holds ", "; as near to the promise as this, no number of runs would tell"),
        (35, 40, "BROKEN", ""),
    ],
)
def test_what_too_few_runs_cannot_tell_is_said(
    passes: int, runs: int, word: str, untold: str
) -> None:
    told, *_ = targets({Case(truth="equal", service="ln3"): passing(passes, runs)})
    promise = "identical versions pass, but rough Pareto in at least 98% of the runs"
    assert str(told) == f"{word} {promise}: {passes} of {runs} (equal, ln3){untold}"


def test_what_every_cell_breaks_a_little_is_broken_together() -> None:
    services = ("ln2", "ln3", "ln5", "ln10", "bimodal", "endpoints", "gap", "coarse")
    alone, *_ = targets({Case(truth="equal", service="ln3"): passing(38, 40)})
    together, *_ = targets({Case(truth="equal", service=one): passing(38, 40) for one in services})
    assert alone.held
    assert not together.held
    assert "304 of all 320" in together.found


@pytest.mark.parametrize(("shift", "fails"), [(0, False), (-100, False), (100, True)])
def test_mann_whitney_agrees_with_scipy(shift: int, fails: bool) -> None:
    """The interval's lower end is above zero exactly when the test is significant."""
    chance = np.random.default_rng(3)
    previous = np.sort(chance.normal(1000, 200, 400).round())
    candidate = np.sort(chance.normal(1000, 200, 400).round() + shift)
    greater = mannwhitneyu(candidate, previous, alternative="greater", method="asymptotic")
    assert bool(greater.pvalue < 0.01) is fails
    assert mann_whitney_fails(previous, candidate) is fails


def test_the_threshold_looks_at_the_slowest_hundredth_alone() -> None:
    equal: Latencies = np.arange(1000.0, 2000.0, dtype=np.float64)
    slower_tail: Latencies = np.where(np.arange(1000) < 980, equal, equal * 2)
    assert not threshold_fails(equal, equal)
    assert threshold_fails(equal, slower_tail)
