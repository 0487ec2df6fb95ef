"""Whole judgements: what passes, what does not, what cannot be known, and how it is said."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import msgspec
import pytest

from tests.judge.simulation import World, lognormal, pairs
from theseus_ci import judge
from theseus_ci.config.performance import Performance, Request
from theseus_ci.errors import NoData
from theseus_ci.measure import Finding, Judgement, Measurement, SlicePair
from theseus_ci.model import CheckResult, Verdict
from theseus_ci.quantities import Duration

SERVICE = Performance(requests=(Request(path="/"),), rate=200)
WORLD = World(latency=lognormal(3))
CASES = [
    "load-valid",
    "errors",
    *("latency-p50", "latency-p95", "latency-p99"),
    *("anchor-p50", "anchor-p95", "anchor-p99"),
]


def world(**changes: object) -> World:
    return msgspec.structs.replace(WORLD, **changes)


def service(**changes: object) -> Performance:
    return msgspec.structs.replace(SERVICE, **changes)


def first_run(**changes: object) -> Measurement:
    return judge.baseline(pairs(world(**changes), 99), SERVICE).candidate


def cases(judgement: Judgement) -> dict[str, CheckResult]:
    return {case.name: case for case in judge.results(judgement)}


def test_an_equal_version_passes_against_both() -> None:
    outcome = judge.compare(pairs(WORLD, 1), SERVICE, first_run())
    assert outcome.finding is Finding.PASS
    assert outcome.verdict is Verdict.PASS
    assert not outcome.rule
    assert {case.verdict for case in judge.results(outcome)} == {Verdict.PASS}


def test_the_sentence_names_what_the_candidate_is_held_against() -> None:
    anchor = msgspec.structs.replace(first_run(), origin="the last promoted release")
    outcome = judge.compare(pairs(world(slower=1.5), 1), SERVICE, anchor)
    assert outcome.anchors[0].sentence.startswith("p50 against the last promoted release +")


def test_the_sentence_explains_a_failure_with_numbers() -> None:
    outcome = judge.compare(pairs(world(slower=1.5), 1), SERVICE)
    assert outcome.verdict is Verdict.FAIL
    p50 = next(one for one in outcome.latency if one.quantile == "p50")
    assert re.fullmatch(r"p50 \+\d+ % \(\+\d+ % to \+\d+ %\), tolerance 10 %: FAIL", p50.sentence)
    assert p50.sentence in outcome.sentence


def test_names_of_cases_never_change() -> None:
    outcomes = [
        judge.compare(pairs(WORLD, 1), SERVICE, first_run()),
        judge.compare(pairs(world(slower=2.0), 1), SERVICE),
        judge.compare(pairs(world(failing=1.0), 1), SERVICE),
        judge.compare(pairs(world(late=5000), 1), SERVICE),
        judge.baseline(pairs(world(alone=True), 1), SERVICE),
    ]
    assert [[case.name for case in judge.results(one)] for one in outcomes] == [CASES] * 5


def test_cases_chart_the_quantile_they_are_about() -> None:
    outcome = judge.compare(pairs(WORLD, 1), SERVICE)
    assert cases(outcome)["latency-p95"].charted_seconds == outcome.candidate.quantiles["p95"]


def test_a_candidate_ten_times_slower_does_not_become_a_baseline() -> None:
    assert judge.baseline(pairs(world(slower=10.0), 1), SERVICE).verdict is Verdict.FAIL


def test_small_slices_do_not_end_a_run_before_anything_can_be_said() -> None:
    """At 10 requests a slice the first look comes after 150 of them: too few to judge by."""
    outcome = judge.compare(pairs(world(slower=10.0, size=10), 1), SERVICE)
    assert outcome.verdict is Verdict.FAIL


def test_a_failing_candidate_fails_whatever_its_latency() -> None:
    outcome = judge.compare(pairs(world(failing=0.5), 1), SERVICE)
    assert outcome.verdict is Verdict.FAIL
    assert cases(outcome)["errors"].verdict is Verdict.FAIL
    assert "candidate failed" in outcome.sentence


def test_failed_requests_are_told_with_what_was_expected() -> None:
    beside = cases(judge.compare(pairs(world(failing=0.5), 1), SERVICE))["errors"]
    assert beside.expected == (
        "hardly more failures than of the previous version (0.1% more is fine), and at most 5%"
    )
    assert re.fullmatch(
        r"\d+ of \d+ requests \(\d\d\.\d\d%\) failed; "
        r"of the previous version 0 of \d+ requests \(0\.00%\)",
        beside.actual,
    )
    alone = cases(judge.baseline(pairs(world(alone=True, failing=0.1), 1), SERVICE))["errors"]
    assert alone.expected == "at most 0.1% of the requests fail; 1% is too many"
    assert re.fullmatch(r"\d+ of \d+ requests \(\d+\.\d\d%\) failed", alone.actual)


@pytest.mark.parametrize(
    "changes", [{"slower": 2.0}, {"failing": 0.5}, {"late": 5000}, {"alone": True, "failing": 0.1}]
)
def test_every_failed_case_says_what_was_expected_and_what_came(changes: dict[str, object]) -> None:
    outcome = judge.compare(pairs(world(**changes), 1), SERVICE, first_run())
    bad = [one for one in judge.results(outcome) if one.verdict in (Verdict.FAIL, Verdict.ERROR)]
    assert bad
    for case in bad:
        assert case.expected, case.name
        assert case.actual, case.name


def test_everybody_slower_than_in_the_first_run_fails() -> None:
    """As when the candidate wears out a database that both versions share."""
    outcome = judge.compare(pairs(world(latency=lognormal(3, 20.0)), 1), SERVICE, first_run())
    assert {one.finding for one in outcome.latency} != {Finding.FAIL}
    assert {one.finding for one in outcome.anchors} == {Finding.FAIL}
    assert outcome.verdict is Verdict.FAIL
    assert "previous version now" in outcome.anchors[0].sentence


@pytest.mark.parametrize(("slower", "verdict"), [(1.0, Verdict.PASS), (1.6, Verdict.FAIL)])
def test_a_version_alone_is_judged_by_its_first_run(slower: float, verdict: Verdict) -> None:
    alone = world(alone=True, latency=lognormal(3, 10.0 * slower))
    outcome = judge.compare(pairs(alone, 1), SERVICE, first_run())
    assert outcome.verdict is verdict
    assert not outcome.latency
    assert cases(outcome)["latency-p50"].verdict is Verdict.SKIPPED


def test_a_first_release_is_judged_by_its_errors() -> None:
    assert judge.baseline(pairs(world(alone=True), 1), SERVICE).verdict is Verdict.PASS
    bad = judge.baseline(pairs(world(alone=True, failing=0.1), 1), SERVICE)
    assert bad.verdict is Verdict.FAIL


def test_comparing_with_nothing_is_no_pass() -> None:
    with pytest.raises(NoData, match="nothing to compare"):
        judge.compare(pairs(world(alone=True), 1), SERVICE)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_answers_are_no_pass(count: int) -> None:
    with pytest.raises(NoData):
        judge.compare(pairs(WORLD, 1, count), SERVICE)


def test_a_previous_version_that_does_not_answer_is_no_pass() -> None:
    with pytest.raises(NoData, match="previous version"):
        judge.compare(pairs(world(previous_failing=1.0), 1), SERVICE)


@pytest.mark.parametrize("slower", [1.0, 2.0])
def test_a_late_generator_is_no_verdict_on_latency(slower: float) -> None:
    outcome = judge.compare(pairs(world(late=5000, slower=slower), 1), SERVICE)
    assert outcome.finding is Finding.INVALID
    assert outcome.verdict is Verdict.ERROR
    assert "5.00 ms late" in outcome.sentence
    assert cases(outcome)["load-valid"].verdict is Verdict.ERROR


def test_a_late_generator_does_not_excuse_failed_requests() -> None:
    assert judge.compare(pairs(world(late=5000, failing=0.5), 1), SERVICE).verdict is Verdict.FAIL


def test_a_noisy_machine_may_be_allowed() -> None:
    tolerant = service(max_scheduling_error=Duration(0.02))
    assert judge.compare(pairs(world(late=5000), 1), tolerant).verdict is Verdict.PASS


def test_a_generator_below_its_rate_is_invalid() -> None:
    assert judge.compare(pairs(WORLD, 1), service(rate=300)).finding is Finding.INVALID


@pytest.mark.parametrize(
    ("rule", "slower", "verdict"),
    [
        ("weak", 1.0, Verdict.PASS),
        ("weak", 1.14, Verdict.FAIL),
        ("fail", 1.0, Verdict.FAIL),
        ("gate", 1.0, Verdict.ERROR),
    ],
)
def test_what_stays_open_follows_the_named_rule(rule: str, slower: float, verdict: Verdict) -> None:
    short = service(on_inconclusive=rule, max_duration=Duration(10))
    outcome = judge.compare(pairs(world(slower=slower, size=50), 3, 20), short)
    assert outcome.finding is Finding.INCONCLUSIVE
    assert outcome.rule == rule
    assert outcome.verdict is verdict
    assert f"onInconclusive: {rule}" in outcome.sentence
    assert "2000 requests in 10s" in outcome.sentence
    judged = {case.verdict for case in judge.results(outcome)}
    assert verdict in judged
    if verdict is Verdict.PASS:
        assert "weak" in cases(outcome)["latency-p99"].message
        assert judged <= {Verdict.PASS, Verdict.SKIPPED}


def test_a_judgement_fits_into_state_and_back() -> None:
    outcome = judge.compare(pairs(WORLD, 1), SERVICE, first_run())
    text = msgspec.json.encode(outcome)
    assert msgspec.json.decode(text, type=Judgement) == outcome
    assert len(text) < 20_000


def test_the_supply_is_closed_at_the_end() -> None:
    closed = []

    def supply() -> Iterator[SlicePair]:
        try:
            yield from itertools.cycle(pairs(WORLD, 1, 40))
        finally:
            closed.append(True)

    judge.compare(supply(), SERVICE)
    assert closed
