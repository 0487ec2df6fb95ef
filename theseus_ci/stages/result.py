"""Outcomes of stages that check one thing: the case that stands in the report for the stage."""

from __future__ import annotations

from theseus_ci.model import CheckResult, Outcome, Verdict


def passed(name: str, summary: str) -> Outcome:
    """Done, as `summary` says; `name` is the case's constant name."""
    return _one(name, Verdict.PASS, summary)


def skipped(name: str, reason: str) -> Outcome:
    """Nothing to do, for a reason that is no failure."""
    return _one(name, Verdict.SKIPPED, reason)


def failed(
    name: str,
    summary: str,
    *,
    expected: str = "",
    actual: str = "",
    evidence: str = "",
    repeat: str = "",
) -> Outcome:
    """The release is bad."""
    result = CheckResult(
        name=name,
        verdict=Verdict.FAIL,
        message=summary,
        seconds=0.0,
        expected=expected,
        actual=actual,
        evidence=evidence,
        repeat=repeat,
    )
    return Outcome(verdict=Verdict.FAIL, summary=summary, results=(result,))


def of_results(results: list[CheckResult], good: str) -> Outcome:
    """The worst verdict among `results`; `good` is the summary when all have passed."""
    bad = [result for result in results if result.verdict in (Verdict.FAIL, Verdict.ERROR)]
    if not bad:
        verdict = (
            Verdict.SKIPPED
            if results and all(one.verdict is Verdict.SKIPPED for one in results)
            else Verdict.PASS
        )
        return Outcome(verdict=verdict, summary=good, results=tuple(results))
    failing = any(result.verdict is Verdict.FAIL for result in bad)
    summary = "; ".join(f"{result.name}: {result.message}" for result in bad[:3])
    if len(bad) > 3:
        summary += f"; and {len(bad) - 3} more"
    verdict = Verdict.FAIL if failing else Verdict.ERROR
    return Outcome(verdict=verdict, summary=summary, results=tuple(results))


def _one(name: str, verdict: Verdict, message: str) -> Outcome:
    result = CheckResult(name=name, verdict=verdict, message=message, seconds=0.0)
    return Outcome(verdict=verdict, summary=message, results=(result,))
