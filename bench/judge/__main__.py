"""How often each way to judge is right, by simulation.

    python -m bench.judge [--runs N] [--quick] [--truth NAME] [--service NAME] [--workers N]

Runs from the repository's root. Prints the share of PASS, FAIL and undecided runs and the requests
that a verdict took; then how often the others fail the same candidates with as many samples. Exits
with 1 when a promise is broken: when what was seen, in one cell or in all of them together, would
be a rare accident (1 %) if it were kept. "open" is less than was promised, in too few runs to tell.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from bench.judge.cases import LEGEND, SERVICES, TRUTHS, Case
from bench.judge.targets import Target, targets
from bench.judge.trials import Tally, judging_seconds, simulate
from bench.table import markdown
from theseus_ci.measure import Finding

_RUNS = 200
_QUICK_RUNS = 20
_UNDECIDED = Case(truth="all +5 %", service="ln10")  # stays open so long that every look is taken
_JUDGED = 10_000
_LONGEST = 0.1  # seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, print, say whether every promise was kept."""
    chosen = _parser().parse_args(arguments)
    cases = [
        Case(truth=truth, service=service)
        for truth in chosen.truth or TRUTHS
        for service in chosen.service or SERVICES
    ]
    runs = chosen.runs or (_QUICK_RUNS if chosen.quick else _RUNS)
    began = time.monotonic()
    tallies = simulate(cases, runs, chosen.workers)
    print(f"{runs} runs a cell, {time.monotonic() - began:.0f} s\n\n{LEGEND}\n")
    print("PASS / FAIL / undecided in %; thousand requests on average\n")
    print(_table(tallies, _verdicts))
    print(
        "\nFAIL in %, equal mean samples: ours / Mann-Whitney as in Kayenta / "
        "a fixed threshold as in Flagger and Argo, p99 > 1.10x\n"
    )
    print(_table(tallies, _fails))
    print()
    broken = 0
    for target in targets(tallies):
        broken += not target.held
        print(target)
    seconds = judging_seconds(_UNDECIDED, _JUDGED)
    broken += seconds >= _LONGEST
    promise = f"{_JUDGED} requests are judged in under {_LONGEST * 1e3:.0f} ms"
    print(Target(promise=promise, held=seconds < _LONGEST, found=f"{seconds * 1e3:.0f} ms"))
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.judge", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--runs", type=int, help=f"of each cell (default {_RUNS})")
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK_RUNS} runs of each cell")
    parser.add_argument("--truth", action="append", choices=TRUTHS, help="only this row")
    parser.add_argument("--service", action="append", choices=SERVICES, help="only this column")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    return parser


def _table(tallies: Mapping[Case, Tally], cell: Callable[[Tally], str]) -> str:
    services = list(dict.fromkeys(case.service for case in tallies))
    rows: dict[str, list[str]] = {}
    for case, tally in tallies.items():
        rows.setdefault(case.truth, [case.truth]).append(cell(tally))
    return markdown(["truth", *services], list(rows.values()))


def _verdicts(tally: Tally) -> str:
    order = (Finding.PASS, Finding.FAIL, Finding.INCONCLUSIVE)
    shares = "/".join(f"{100 * tally.share(finding):.3g}" for finding in order)
    return f"{shares} {tally.mean_requests / 1000:.1f}"


def _fails(tally: Tally) -> str:
    counts = (tally.findings[Finding.FAIL], tally.mann_whitney, tally.threshold)
    return " / ".join(f"{100 * count / tally.runs:.3g}" for count in counts)


if __name__ == "__main__":
    sys.exit(main())
