"""Does the candidate fail more often than is acceptable, and than the previous version?

Two sequential tests (Wald's SPRT) can end a run early: an absolute one, whether the candidate fails
at the unacceptable rather than the acceptable rate, and one on the failures alone, whether they
come from the candidate far more often than from the previous version. Only both together are a
FAIL, so a previous version with errors of its own does not condemn an equal candidate. What they
leave open is decided by Fisher's exact test.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator

from theseus_ci.config.performance import ErrorRate
from theseus_ci.judge.tails import binomial_greater, fisher_greater
from theseus_ci.judge.wording import share
from theseus_ci.measure import OK, ErrorEffect, Finding, Slice, SlicePair

FALSE_ALARM = 0.01
MISS = 0.05
_LOOKS = 10  # the chance of a false alarm is shared between so many early looks
_FEW = 1_000  # requests below which Fisher's test has too little to go by
_WATCH_FALSE_ALARM = 0.001
_IN_A_ROW = 10  # failures of the candidate alone, one after the other


class Wald:
    """A sequential test between two chances that a trial goes wrong."""

    def __init__(self, good: float, bad: float) -> None:
        self._wrong = math.log(bad / good)
        self._right = math.log((1 - bad) / (1 - good))
        self.evidence = 0.0  # log likelihood ratio; positive speaks for `bad`

    def add(self, wrong: int, right: int) -> None:
        """Take trials in."""
        self.evidence += wrong * self._wrong + right * self._right

    def decision(self) -> Finding:
        """FAIL: the chance is `bad`; PASS: it is `good`."""
        if self.evidence >= math.log((1 - MISS) / FALSE_ALARM):
            return Finding.FAIL
        if self.evidence <= math.log(MISS / (1 - FALSE_ALARM)):
            return Finding.PASS
        return Finding.INCONCLUSIVE


def _relative(rates: ErrorRate) -> Wald:
    """For failures of either version: is it the candidate's? An equal share each, or as much more
    as the unacceptable rate is above the acceptable one."""
    odds = rates.unacceptable / rates.acceptable
    return Wald(0.5, odds / (1 + odds))


class ErrorJudge:
    """Counts failures; says what they mean."""

    def __init__(self, rates: ErrorRate) -> None:
        self._rates = rates
        self._absolute = Wald(rates.acceptable, rates.unacceptable)
        self._relative = _relative(rates)
        self._good = False
        self._clearly_bad = False
        self._candidate = self._candidate_requests = 0
        self._previous = self._previous_requests = 0

    def add(self, pair: SlicePair) -> None:
        """Take a pair in; the first decision of the sequential tests stands."""
        candidate, previous = pair.of("candidate"), pair.of("previous")
        if candidate is not None:
            failed, total = candidate.failed(), len(candidate.outcomes)
            self._candidate += failed
            self._candidate_requests += total
            self._relative.add(failed, 0)
            if not self._good:
                self._absolute.add(failed, total - failed)
        if previous is not None:
            failed = previous.failed()
            self._previous += failed
            self._previous_requests += len(previous.outcomes)
            self._relative.add(0, failed)
        absolute = self._absolute.decision()
        self._good = self._good or absolute is Finding.PASS
        worse = not self._previous_requests or self._relative.decision() is Finding.FAIL
        self._clearly_bad = self._clearly_bad or (absolute is Finding.FAIL and worse)

    @property
    def clearly_bad(self) -> bool:
        """Whether waiting for more is pointless."""
        return self._clearly_bad or self._over_limit(FALSE_ALARM / _LOOKS)

    def effect(self, *, last: bool) -> ErrorEffect:
        """What is known now; `last`: nothing more will come."""
        p_value = None
        if self._previous_requests:
            p_value = fisher_greater(
                self._candidate, self._candidate_requests, self._previous, self._previous_requests
            )
        finding = self._finding(p_value, FALSE_ALARM if last else FALSE_ALARM / _LOOKS)
        return ErrorEffect(
            finding=finding,
            candidate=self._candidate,
            candidate_requests=self._candidate_requests,
            previous=self._previous,
            previous_requests=self._previous_requests,
            within=self._rate() <= max(self._rates.unacceptable, self._previous_rate()),
            p_value=p_value,
            sentence=self._sentence(finding, p_value),
            expected=self._expected(),
        )

    def _finding(self, p_value: float | None, threshold: float) -> Finding:
        if self.clearly_bad or self._over_limit(threshold):
            return Finding.FAIL
        if p_value is not None and self._worse(p_value, threshold):
            return Finding.FAIL
        if self._good:
            return Finding.PASS
        enough = self._candidate_requests >= _FEW
        if p_value is None:
            return (
                Finding.FAIL
                if enough and self._rate() > self._rates.unacceptable
                else (Finding.INCONCLUSIVE)
            )
        return Finding.PASS if enough else Finding.INCONCLUSIVE

    def _worse(self, p_value: float, threshold: float) -> bool:
        """Whether a difference is both real and large enough to matter."""
        difference = self._rate() - self._previous_rate()
        return p_value < threshold and difference > self._rates.acceptable

    def _rate(self) -> float:
        return self._candidate / self._candidate_requests if self._candidate_requests else 0.0

    def _previous_rate(self) -> float:
        return self._previous / self._previous_requests if self._previous_requests else 0.0

    def _over_limit(self, threshold: float) -> bool:
        """Whether so many failures would be a rare accident at the limit itself."""
        limit = self._rates.limit
        if self._rate() <= limit:
            return False
        return binomial_greater(self._candidate, self._candidate_requests, limit) < threshold

    def _expected(self) -> str:
        rates = self._rates
        if not self._previous_requests:
            return (
                f"at most {rates.acceptable} of the requests fail; {rates.unacceptable} is too many"
            )
        return (
            f"hardly more failures than of the previous version ({rates.acceptable} more is fine), "
            f"and at most {rates.limit}"
        )

    def _sentence(self, finding: Finding, p_value: float | None) -> str:
        parts = [f"candidate failed {share(self._candidate, self._candidate_requests)}"]
        if p_value is not None:
            parts.append(f"previous {share(self._previous, self._previous_requests)}")
            parts.append(f"p = {p_value:.2g}")
        if self._over_limit(FALSE_ALARM):
            parts.append(f"limit {self._rates.limit}")
        else:
            parts.append(f"acceptable {self._rates.acceptable}")
        return f"{', '.join(parts)}: {finding.name}"


class ErrorWatch:
    """For a long bake: says when the candidate begins to fail, however long it was fine.

    Cumulative sums that start again at zero, so that a good past does not hide a bad present.
    """

    def __init__(self, rates: ErrorRate) -> None:
        self._absolute = Wald(rates.acceptable, rates.unacceptable)
        self._relative = _relative(rates)
        self._alarm = -math.log(_WATCH_FALSE_ALARM)
        self._in_a_row = 0
        self._requests = 0
        self._failed = 0

    def add(self, pair: SlicePair) -> str | None:
        """Take a pair in; a sentence once the candidate is clearly bad, else None."""
        candidate, previous = pair.of("candidate"), pair.of("previous")
        compared = previous is not None
        if previous is not None:
            self._relative.add(0, previous.failed())
        if candidate is None:
            return None
        failed, total = candidate.failed(), len(candidate.outcomes)
        self._requests += total
        self._failed += failed
        self._absolute.add(failed, total - failed)
        self._relative.add(failed, 0)
        for test in (self._absolute, self._relative):
            test.evidence = max(0.0, test.evidence)
        fine = previous is None or previous.failed() < len(previous.outcomes)
        self._count_in_a_row(candidate)
        if self._in_a_row >= _IN_A_ROW and fine:
            return f"the candidate failed {self._in_a_row} requests in a row{_kinds(candidate)}"
        worse = not compared or self._relative.evidence >= self._alarm
        if self._absolute.evidence >= self._alarm and worse:
            return f"the candidate failed {share(self._failed, self._requests)}{_kinds(candidate)}"
        return None

    def _count_in_a_row(self, candidate: Slice) -> None:
        for outcome in candidate.outcomes:
            if self._in_a_row >= _IN_A_ROW and outcome == OK:
                break
            self._in_a_row = 0 if outcome == OK else self._in_a_row + 1


def _kinds(one: Slice) -> str:
    kinds = ", ".join(f"{count} {name}" for name, count in one.errors().items())
    return f", of the last {len(one.outcomes)}: {kinds}" if kinds else ""


def watch_errors(pairs: Iterator[SlicePair], rates: ErrorRate) -> str | None:
    """Watch until the pairs end: None; or until the candidate is clearly bad: a sentence."""
    watch = ErrorWatch(rates)
    for pair in pairs:
        alarm = watch.add(pair)
        if alarm is not None:
            if isinstance(pairs, Generator):
                pairs.close()
            return alarm
    return None
