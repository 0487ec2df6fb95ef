"""What the judge promises, held against a simulation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from bench.judge.cases import Case
from bench.judge.trials import Tally
from theseus_ci.judge.tails import binomial_greater
from theseus_ci.measure import Finding

_CLEAR = {"equal", "all +15 %", "all +25 %", "p99 only +100 %"}
_MUST_FAIL = ("all +15 %", "all +25 %", "p99 only +37.5 %", "p99 only +100 %")
_RARE = 0.01  # what chance alone would do less often than this is no accident
_MOST_REQUESTS = 18_000


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A promise, and whether it was kept."""

    promise: str
    held: bool
    found: str  # the worst that was seen


def targets(tallies: Mapping[Case, Tally]) -> Iterator[Target]:
    """The promises that the simulated cases can tell about."""
    equal = {case: tally for case, tally in tallies.items() if case.equal}
    passing = {case: one for case, one in equal.items() if not case.roughest}
    if passing:
        yield _least(passing, Finding.PASS, 0.98, "identical versions pass, but rough Pareto")
    if equal:
        failed = sum(one.findings[Finding.FAIL] for one in equal.values())
        runs = sum(one.runs for one in equal.values())
        yield Target(
            promise="identical versions fail in at most 0.5 % of the runs",
            held=binomial_greater(failed, runs, 0.005) >= _RARE,
            found=f"{failed} of {runs}",
        )
    for truth in _MUST_FAIL:
        slower = {case: one for case, one in tallies.items() if case.truth == truth}
        if slower:
            yield _least(slower, Finding.FAIL, 0.99, f"{truth} fails")
    clear = {case: one for case, one in tallies.items() if case.truth in _CLEAR}
    if clear:
        case, slowest = max(clear.items(), key=lambda item: item[1].mean_requests)
        yield Target(
            promise=f"equal and clear cases take at most {_MOST_REQUESTS} requests on average",
            held=slowest.mean_requests <= _MOST_REQUESTS,
            found=f"{slowest.mean_requests:.0f} ({case.truth}, {case.service})",
        )


def _least(cases: Mapping[Case, Tally], finding: Finding, share: float, promise: str) -> Target:
    case, worst = min(cases.items(), key=lambda item: item[1].share(finding))
    return Target(
        promise=f"{promise} in at least {share:.0%} of the runs",
        held=binomial_greater(worst.runs - worst.findings[finding], worst.runs, 1 - share) >= _RARE,
        found=f"{worst.findings[finding]} of {worst.runs} ({case.truth}, {case.service})",
    )
