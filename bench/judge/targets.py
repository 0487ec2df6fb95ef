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


_MOST_RUNS = 1_000_000  # beyond this, what was seen is too near the promise to tell them apart


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A promise, and whether it was kept."""

    promise: str
    held: bool
    found: str  # the worst that was seen
    open: bool = False  # held, but what was seen is less than promised: chance, or too few runs
    untold: str = ""  # how many runs would tell, where these do not

    def __str__(self) -> str:
        word = "BROKEN" if not self.held else "open  " if self.open else "holds "
        return f"{word} {self.promise}: {self.found}" + (f"; {self.untold}" if self.untold else "")


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
            held=not _is_too_often(failed, runs, 0.005),
            found=f"{failed} of {runs}",
            open=failed > runs * 0.005,
            untold=_untold(failed, runs, 0.005, of="in all"),
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
    """Each case must keep the promise, so all of them together must as well: where every case
    breaks it a little, that is seen in far fewer runs."""
    case, worst = min(cases.items(), key=lambda item: item[1].share(finding))
    bad = worst.runs - worst.findings[finding]
    all_runs = sum(one.runs for one in cases.values())
    all_bad = all_runs - sum(one.findings[finding] for one in cases.values())
    chance = 1 - share
    held = not (_is_too_often(bad, worst.runs, chance) or _is_too_often(all_bad, all_runs, chance))
    found = f"{worst.findings[finding]} of {worst.runs} ({case.truth}, {case.service})"
    return Target(
        promise=f"{promise} in at least {share:.0%} of the runs",
        held=held,
        found=f"{found}, {all_runs - all_bad} of all {all_runs}" if len(cases) > 1 else found,
        open=bad > worst.runs * chance,
        untold=_untold(bad, worst.runs, chance, of="a cell") if held else "",
    )


def _is_too_often(bad: int, runs: int, chance: float) -> bool:
    """Whether so many bad runs would be a rare accident if each were bad by `chance`."""
    return binomial_greater(bad, runs, chance) < _RARE


def _is_seldom(bad: int, runs: int, chance: float) -> bool:
    """Whether so few would be one: then the promise is not only unrefuted, but shown."""
    return 1 - binomial_greater(bad + 1, runs, chance) < _RARE


def _untold(bad: int, runs: int, chance: float, *, of: str) -> str:
    """How many runs would tell, if it went on as it was seen; "" where these have told."""
    more = runs
    while more < _MOST_RUNS:
        expected = round(bad * more / runs)
        if _is_too_often(expected, more, chance) or _is_seldom(expected, more, chance):
            return f"about {more} runs {of} would tell" if more > runs else ""
        more = more * 51 // 50 + 1
    return "as near to the promise as this, no number of runs would tell"
