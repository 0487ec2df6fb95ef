"""From pairs of slices to a judgement: what is collected, when it is enough, what it means."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from theseus_ci.config.performance import FIRST_PASS_REQUESTS, Performance
from theseus_ci.errors import NoData
from theseus_ci.judge.anchor import compare_with_anchor
from theseus_ci.judge.errors import ErrorJudge
from theseus_ci.judge.latency import FINEST, LAST_PAIRS, PASS_PAIRS, LatencyJudge, Look
from theseus_ci.judge.summary import summarise, summarise_load
from theseus_ci.judge.wording import ratio_sentence
from theseus_ci.measure import (
    A_PERSON_DECIDES,
    LOOKS,
    ErrorEffect,
    Finding,
    Judgement,
    LatencyEffect,
    LoadRun,
    Measurement,
    Slice,
    SlicePair,
)
from theseus_ci.model import Verdict
from theseus_ci.quantities import change

LEAST = 200  # judged latencies of each version below which nothing is said


def compare(
    pairs: Iterator[SlicePair], performance: Performance, anchor: Measurement | None = None
) -> Judgement:
    """Judge the candidate against the previous version beside it and against its first run.

    Takes pairs only until the outcome is known, then closes the iterator. With slices of the
    candidate alone, the first run is the only measure. Raises errors.NoData when there is nothing
    to compare with, or too little was answered to say anything.
    """
    return _judge(pairs, _Trial(performance, anchor), must_compare=True)


def baseline(pairs: Iterator[SlicePair], performance: Performance) -> Judgement:
    """The first run: its measurements are later runs' anchor, and it is judged like any other.

    The first release of a service has nothing beside it: then only its errors are judged.
    Raises errors.NoData when too little was answered to say anything.
    """
    return _judge(pairs, _Trial(performance, None), must_compare=False)


def _judge(pairs: Iterator[SlicePair], trial: _Trial, *, must_compare: bool) -> Judgement:
    exhausted = True
    for pair in pairs:
        if must_compare:
            trial.require_reference(pair)
        if trial.add(pair):
            exhausted = False
            break
    if isinstance(pairs, Generator):
        pairs.close()
    return trial.judgement(exhausted=exhausted)


class _Trial:
    """Everything measured so far, and what it says."""

    def __init__(self, performance: Performance, anchor: Measurement | None) -> None:
        self._performance = performance
        self._anchor = anchor
        self._tolerances = performance.tolerances()
        self._latency = LatencyJudge(self._tolerances)
        self._errors = ErrorJudge(performance.error_rate)
        self._candidate: list[Slice] = []
        self._previous: list[Slice] = []
        self._count = 0
        self._began = 0.0
        self._look: Look | None = None  # the one that decided

    def require_reference(self, pair: SlicePair) -> None:
        """Raises errors.NoData when there is nothing to compare the candidate with."""
        if pair.of("previous") is None and self._anchor is None:
            raise NoData(
                "nothing to compare the candidate with: the previous version is not measured "
                "beside it, and there is no first run",
                remedy="run theseus-ci performance --baseline first",
            )

    def add(self, pair: SlicePair) -> bool:
        """Take a pair in; whether the outcome is known now."""
        candidate, previous = pair.of("candidate"), pair.of("previous")
        if candidate is None:
            raise NoData("the load held no requests to the candidate")
        if not self._count:
            self._began = min(one.started for one in pair.slices)
        self._count += 1
        self._candidate.append(candidate)
        self._errors.add(pair)
        if previous is not None:
            self._previous.append(previous)
            self._latency.add(pair)
        if self._errors.clearly_bad:
            return True
        long_enough = pair.ended - self._began >= self._performance.min_duration
        if self._count >= LAST_PAIRS and long_enough:
            return True
        return self._count in LOOKS and self._decided(may_pass=long_enough)

    def _decided(self, *, may_pass: bool) -> bool:
        findings = [self._errors.effect(last=False).finding]
        if self._anchor is not None:
            beside = summarise("candidate", self._candidate)
            findings += [effect.finding for effect in self._against_anchor(beside, None)]
        look = None
        if self._previous:
            if not self._latency.pairs:
                return True  # nothing to compare with, and it will not come
            look = self._latency.look(last=False)
            findings.append(look.finding)
        if Finding.FAIL in findings and (findings[0] is Finding.FAIL or self._enough_answers()):
            self._look = look
            return True
        if may_pass and self._count >= PASS_PAIRS and set(findings) == {Finding.PASS}:
            self._look = look
            return True
        return False

    def _enough_answers(self) -> bool:
        """Whether a verdict by latency may be spoken already: see LEAST."""
        sides = [self._candidate, self._previous] if self._previous else [self._candidate]
        return all(sum(len(one.judged()) for one in slices) >= LEAST for slices in sides)

    def judgement(self, *, exhausted: bool) -> Judgement:
        """What it all says. Raises errors.NoData when that is nothing."""
        if not self._count:
            raise NoData(
                "no slice of requests was completed",
                remedy="raise performance.rate or performance.maxDuration",
            )
        load = summarise_load([*self._candidate, *self._previous], self._performance)
        candidate = summarise("candidate", self._candidate)
        previous = summarise("previous", self._previous) if self._previous else None
        errors = self._errors.effect(last=True)
        latency: list[LatencyEffect] = []
        anchors: list[LatencyEffect] = []
        if self._enough(candidate, previous, errors):
            latency = self._against_previous(candidate, previous)
            anchors = self._against_anchor(candidate, previous)
        finding = _overall(errors, load, [*latency, *anchors])
        rule = self._performance.on_inconclusive if finding is Finding.INCONCLUSIVE else ""
        within = errors.within and all(one.ratio <= 1 + one.tolerance for one in latency + anchors)
        verdict = _verdict(finding, rule, within=within)
        sentence = _sentence(finding, errors, load, latency=latency, anchors=anchors)
        if rule:
            sentence += (
                f"; {self._shortage(latency, exhausted=exhausted)}; {_ruling(rule, verdict)}"
            )
        return Judgement(
            finding=finding,
            verdict=verdict,
            rule=rule,
            sentence=sentence,
            latency=tuple(latency),
            anchors=tuple(anchors),
            errors=errors,
            load=load,
            candidate=candidate,
            previous=previous,
        )

    def _enough(
        self, candidate: Measurement, previous: Measurement | None, errors: ErrorEffect
    ) -> bool:
        """Whether latencies can be compared; False only where errors alone decide."""
        missing = None
        for one in (candidate, previous):
            if one is not None and one.judged < LEAST:
                missing = (
                    f"only {one.judged} of {one.requests} requests to the {one.version} version "
                    f"were answered as expected; {LEAST} are the least to judge by"
                )
                break
        if missing is None and self._previous and (granules := self._latency.too_coarse()):
            missing = (
                f"the median latency is {granules:.1f} times the timer's resolution; "
                f"{FINEST:g} times is the least to judge by"
            )
        if missing is None:
            return True
        if errors.finding is Finding.FAIL:
            return False
        raise NoData(missing, remedy="raise performance.rate or performance.maxDuration")

    def _against_previous(
        self, candidate: Measurement, previous: Measurement | None
    ) -> list[LatencyEffect]:
        if previous is None:
            return []
        look = self._look or self._latency.look(last=True)
        effects = []
        for name, tolerance in self._tolerances.items():
            estimate = self._latency.estimate(name)
            finding = look.quantiles[name]
            interval = (estimate.low, estimate.high)
            effects.append(
                LatencyEffect(
                    quantile=name,
                    finding=finding,
                    ratio=estimate.ratio,
                    low=estimate.low,
                    high=estimate.high,
                    tolerance=tolerance,
                    candidate=candidate.quantiles[name],
                    reference=previous.quantiles[name],
                    requests=candidate.judged + previous.judged,
                    sentence=ratio_sentence(
                        f"{name}, judged beside a gap," if estimate.beside_gap else name,
                        estimate.ratio,
                        interval,
                        tolerance=tolerance,
                        finding=finding,
                    ),
                )
            )
        return effects

    def _against_anchor(
        self, candidate: Measurement, previous: Measurement | None
    ) -> list[LatencyEffect]:
        if self._anchor is None:
            return []
        tolerance = float(self._performance.anchor_tolerance)
        return list(compare_with_anchor(candidate, self._anchor, tolerance, beside=previous))

    def _shortage(self, latency: list[LatencyEffect], *, exhausted: bool) -> str:
        """How many requests there were, and how many a clear verdict would take."""
        sent = sum(len(one.latencies) for one in (*self._candidate, *self._previous))
        open_names = [one.quantile for one in latency if one.finding is Finding.INCONCLUSIVE]
        needed = [self._latency.needed(name) for name in open_names]
        known = [count for count in needed if count is not None]
        if len(known) < len(needed):
            more = "more would hardly help, the estimate is at the tolerance or beyond"
        else:
            least = max([FIRST_PASS_REQUESTS, *known])
            more = f"a clear verdict takes about {least}"
        text = (
            f"{sent} requests in {self._performance.max_duration}"
            if exhausted
            else (f"{sent} requests")
        )
        return f"{text}, {more}"


def _overall(errors: ErrorEffect, load: LoadRun, effects: list[LatencyEffect]) -> Finding:
    if errors.finding is Finding.FAIL:
        return Finding.FAIL  # a failed request is one, however late it was sent
    if not load.valid:
        return Finding.INVALID
    findings = {errors.finding, *(effect.finding for effect in effects)}
    if Finding.FAIL in findings:
        return Finding.FAIL
    return Finding.PASS if findings == {Finding.PASS} else Finding.INCONCLUSIVE


def _verdict(finding: Finding, rule: str, *, within: bool) -> Verdict:
    if finding is Finding.INVALID or rule == "gate":
        return Verdict.ERROR
    if rule == "weak":
        return Verdict.PASS if within else Verdict.FAIL
    return Verdict.PASS if finding is Finding.PASS else Verdict.FAIL


def _ruling(rule: str, verdict: Verdict) -> str:
    if rule == "gate":
        return A_PERSON_DECIDES
    if rule == "fail":
        return "onInconclusive: fail"
    if verdict is Verdict.PASS:
        return "weak pass: every estimate is within its tolerance (onInconclusive: weak)"
    return "no weak pass: an estimate is beyond its tolerance (onInconclusive: weak)"


def _sentence(
    finding: Finding,
    errors: ErrorEffect,
    load: LoadRun,
    *,
    latency: list[LatencyEffect],
    anchors: list[LatencyEffect],
) -> str:
    effects = latency + anchors
    if finding is Finding.INVALID:
        return f"{load.sentence}: INVALID, nothing is known of the candidate"
    if finding is Finding.PASS and effects:
        changes = ", ".join(f"{one.quantile} {change(one.ratio)}" for one in latency or anchors)
        against = "previous version" if latency else "first run"
        return f"{changes} against the {against}, within tolerance; {errors.sentence}"
    telling = [effect.sentence for effect in effects if effect.finding is finding]
    if errors.finding is finding or not telling:
        telling.append(errors.sentence)
    return "; ".join(telling)
