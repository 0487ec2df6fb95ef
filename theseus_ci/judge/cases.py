"""A judgement as the cases of a report: the same names on every run."""

from __future__ import annotations

from theseus_ci.judge.wording import seconds, share
from theseus_ci.measure import (
    A_PERSON_DECIDES,
    QUANTILES,
    BadAnswer,
    ErrorEffect,
    Finding,
    Judgement,
    LatencyEffect,
)
from theseus_ci.model import CheckResult, Verdict


def results(judgement: Judgement) -> list[CheckResult]:
    """load-valid, errors, latency-* and anchor-*: those with nothing to compare are skipped."""
    invalid = judgement.finding is Finding.INVALID
    cases = [_load(judgement), _errors(judgement)]
    for prefix, effects, absent in (
        ("latency", judgement.latency, "there is no previous version beside the candidate"),
        ("anchor", judgement.anchors, "there is no first run to compare with"),
    ):
        by_name = {effect.quantile: effect for effect in effects}
        for name in QUANTILES:
            effect = by_name.get(name)
            charted = judgement.candidate.quantiles.get(name)
            if invalid or effect is None:
                reason = "the load was not valid" if invalid else absent
                if not invalid and judgement.errors.finding is Finding.FAIL and not effects:
                    reason = "too few requests were answered as expected"
                cases.append(_skipped(f"{prefix}-{name}", reason, charted))
            else:
                cases.append(_latency(f"{prefix}-{name}", effect, judgement))
    return cases


def _skipped(name: str, reason: str, charted: float | None) -> CheckResult:
    return CheckResult(
        name=name, verdict=Verdict.SKIPPED, message=reason, seconds=0.0, charted_seconds=charted
    )


def _load(judgement: Judgement) -> CheckResult:
    load = judgement.load
    return CheckResult(
        name="load-valid",
        verdict=Verdict.PASS if load.valid else Verdict.ERROR,
        message=load.sentence,
        seconds=load.seconds,
        expected=f"{load.target_rate:g} requests a second",
        actual=f"{load.achieved_rate:.1f} requests a second",
        details={
            "requests": load.requests,
            "achievedRate": load.achieved_rate,
            "schedulingError": load.scheduling_error,
            "waited": load.waited,
        },
    )


def _errors(judgement: Judgement) -> CheckResult:
    errors = judgement.errors
    details: dict[str, float | int | str] = {
        "candidate": errors.candidate,
        "candidateRequests": errors.candidate_requests,
        "previous": errors.previous,
        "previousRequests": errors.previous_requests,
        "finding": errors.finding.value,
    }
    for kind, count in judgement.candidate.errors.items():
        details[f"candidate {kind}"] = count
    if errors.p_value is not None:
        details["pValue"] = errors.p_value
    verdict = _case_verdict(errors.finding, judgement, within=errors.within)
    return CheckResult(
        name="errors",
        verdict=verdict,
        message=errors.sentence + _ruling(errors.finding, verdict),
        seconds=judgement.load.seconds,
        expected=errors.expected,
        actual=_failures(errors),
        evidence="\n".join(_example(sample) for sample in judgement.candidate.samples),
        details=details,
    )


def _failures(errors: ErrorEffect) -> str:
    failed = f"{share(errors.candidate, errors.candidate_requests)} failed"
    if not errors.previous_requests:
        return failed
    return f"{failed}; of the previous version {share(errors.previous, errors.previous_requests)}"


def _example(sample: BadAnswer) -> str:
    answer = f"{sample.status}" if sample.status else sample.kind
    return f"{sample.request}: {answer} {sample.text}".rstrip()


def _latency(name: str, effect: LatencyEffect, judgement: Judgement) -> CheckResult:
    details: dict[str, float | int | str] = {
        "ratio": effect.ratio,
        "tolerance": effect.tolerance,
        "candidate": effect.candidate,
        "reference": effect.reference,
        "requests": effect.requests,
        "finding": effect.finding.value,
    }
    if effect.low is not None:
        details["low"] = effect.low
    if effect.high is not None:
        details["high"] = effect.high
    verdict = _case_verdict(effect.finding, judgement, within=effect.ratio <= 1 + effect.tolerance)
    return CheckResult(
        name=name,
        verdict=verdict,
        message=effect.sentence + _ruling(effect.finding, verdict),
        seconds=judgement.load.seconds,
        expected=f"at most {seconds(effect.reference * (1 + effect.tolerance))}",
        actual=seconds(effect.candidate),
        charted_seconds=effect.candidate,
        details=details,
    )


def _case_verdict(finding: Finding, judgement: Judgement, *, within: bool) -> Verdict:
    """A case's verdict under the rule for inconclusive findings, so that cases and whole agree."""
    if finding is Finding.PASS:
        return Verdict.PASS
    if finding is Finding.FAIL:
        return Verdict.FAIL
    if judgement.finding is not Finding.INCONCLUSIVE:
        return Verdict.SKIPPED  # cut short by what decided the whole
    if judgement.rule == "gate":
        return Verdict.ERROR
    return Verdict.PASS if judgement.rule == "weak" and within else Verdict.FAIL


def _ruling(finding: Finding, verdict: Verdict) -> str:
    """What became of a finding that decides nothing."""
    if finding is not Finding.INCONCLUSIVE:
        return ""
    words = {Verdict.PASS: "weak pass", Verdict.ERROR: A_PERSON_DECIDES}
    return f" ({words[verdict]})" if verdict in words else ""
