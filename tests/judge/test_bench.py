"""The bench that anyone can run keeps its promises, on a reduced grid."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from bench.judge.cases import Case
from bench.judge.rivals import mann_whitney_fails, threshold_fails
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
    assert "BROKEN" not in done.stdout


def test_a_broken_promise_is_told() -> None:
    equal = Case(truth="equal", service="ln3")
    slower = Case(truth="all +25 %", service="ln3")
    bad = Tally(findings=Counter({Finding.PASS: 90, Finding.FAIL: 10}), requests=2_000_000)
    broken = [one.promise for one in targets({equal: bad, slower: bad}) if not one.held]
    assert len(broken) == 4  # too few passes, false alarms, a slow candidate passed, too long


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
    equal = np.arange(1000.0, 2000.0)
    slower_tail = np.where(np.arange(1000) < 980, equal, equal * 2)
    assert not threshold_fails(equal, equal)
    assert threshold_fails(equal, slower_tail)
