"""The performance part of theseus.yaml: what is refused, and by which key."""

from __future__ import annotations

import msgspec
import pytest

from theseus_ci.config.performance import (
    ErrorRate,
    Performance,
    Request,
    Tolerance,
    validate,
    warnings,
)
from theseus_ci.quantities import Duration, Percentage

GOOD = Performance(requests=(Request(path="/"),), rate=200)


def changed(**changes: object) -> Performance:
    return msgspec.structs.replace(GOOD, **changes)


def request(**changes: object) -> Performance:
    return changed(requests=(msgspec.structs.replace(Request(path="/"), **changes),))


def test_a_usual_load_is_accepted_without_a_word() -> None:
    assert not list(validate(GOOD))
    assert not list(warnings(GOOD))


@pytest.mark.parametrize(
    ("performance", "key"),
    [
        (changed(requests=()), "requests"),
        (request(path="reviews"), "requests[0].path"),
        (request(path="/a b"), "requests[0].path"),
        (request(weight=0), "requests[0].weight"),
        (request(method="GET /"), "requests[0].method"),
        (request(headers={"Host": "x"}), "requests[0].headers.Host"),
        (request(headers={"X-A": "a\r\nX-B: b"}), "requests[0].headers.X-A"),
        (changed(rate=0), "rate"),
        (changed(rate=1001), "rate"),
        (changed(rate=float("nan")), "rate"),
        (changed(max_rate=float("inf")), "maxRate"),
        (changed(connections=0), "connections"),
        (changed(timeout=Duration(0)), "timeout"),
        (changed(ramp=Duration(3600)), "ramp"),
        (changed(min_duration=Duration(700)), "minDuration"),
        (changed(max_duration=Duration(0)), "maxDuration"),
        (changed(max_scheduling_error=Duration(0)), "maxSchedulingError"),
        (changed(min_achieved=Percentage(0)), "minAchieved"),
        (changed(expect_status="teapot"), "expectStatus"),
        (changed(expect_status="400-200"), "expectStatus"),
        (changed(tolerance="0%"), "tolerance"),
        (changed(tolerance="ten"), "tolerance"),
        (changed(tolerance=Tolerance(p99=Percentage(0))), "tolerance.p99"),
        (changed(anchor_tolerance=Percentage(0)), "anchorTolerance"),
        (changed(error_rate=ErrorRate(acceptable=Percentage(0.02))), "errorRate"),
    ],
)
def test_what_cannot_be_done_is_named_by_its_key(performance: Performance, key: str) -> None:
    assert [path for path, _ in validate(performance)] == [key]


def test_tolerances_come_from_the_preset_unless_given() -> None:
    assert GOOD.tolerances() == {"p50": 0.10, "p95": 0.15, "p99": 0.25}
    assert changed(preset="quick").tolerances() == {"p50": 0.20, "p95": 0.25, "p99": 0.40}
    assert changed(tolerance="12%").tolerances() == dict.fromkeys(("p50", "p95", "p99"), 0.12)
    only = changed(tolerance=Tolerance(p95=Percentage(0.5)))
    assert only.tolerances() == {"p50": 0.10, "p95": 0.5, "p99": 0.25}


def test_what_will_hardly_lead_to_a_verdict_is_warned_of() -> None:
    told = [message for key, message in warnings(changed(tolerance="4%")) if key == "tolerance"]
    assert [text.partition(" is")[0] for text in told] == ["4% of p95", "4% of p99"]
    fine = Tolerance(p50=Percentage(0.03))
    assert [key for key, _ in warnings(changed(tolerance=fine))] == ["tolerance.p50"]
    assert not list(warnings(changed(tolerance="11%")))
    assert [key for key, _ in warnings(changed(rate=5))] == ["maxDuration"]


def test_expected_statuses_are_read_in_every_form() -> None:
    assert 404 in GOOD.expected_statuses()
    assert 500 not in GOOD.expected_statuses()
    assert changed(expect_status=("2xx", 404, "301-303")).expected_statuses() == {
        *range(200, 300),
        *(301, 302, 303, 404),
    }
