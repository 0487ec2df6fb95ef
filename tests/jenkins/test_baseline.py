"""`jenkins baseline`: the last promoted build's measurements, read back by `read_baseline`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.jenkins.conftest import Run
from tests.jenkins.jobs import JOB_CLASS, Build, Frame, Item
from tests.jenkins.stand_in import StandIn
from theseus_ci.errors import StateError
from theseus_ci.measure import read_anchor, read_baseline


def measured(version: str, p50: float) -> dict[str, Any]:
    return {
        "version": version,
        "requests": 3000,
        "judged": 2999,
        "errors": {"timeout": 1},
        "quantiles": {"p50": p50, "p95": p50 * 2, "p99": p50 * 3},
        "intervals": {"p50": [p50 * 0.9, p50 * 1.1]},
        "histogram": [[p50, 1500], [p50 * 3, 1499]],
        "samples": [],
    }


def state(phase: str, p50: float, service: str = "reviews", **more: Any) -> bytes:
    whole = {
        "schema": 1,
        "theseus": "0.0.9",
        "rollout": "20260101-ab12",
        "service": service,
        "phase": phase,
        "something": {"newer": True},
        "baseline": {
            "candidate": measured("candidate", p50),
            "previous": measured("previous", p50 * 1.5),
        },
    }
    return json.dumps({**whole, **more}).encode()


def build(number: int, result: str | None, **artefacts: bytes) -> Build:
    files = {
        name.replace("__", "/") + "theseus-state.json": data for name, data in artefacts.items()
    }
    frame = Frame(building=result is None, result=result)
    return Build(number, [frame], artefacts=files | {"reports/smoke.xml": b"<testsuite/>"})


def job(jenkins: StandIn, *builds: Build) -> None:
    jenkins.items["team/app"] = Item(JOB_CLASS, "<flow-definition/>", [*builds])


def test_the_newest_promoted_build_counts(jenkins: StandIn, run: Run, tmp_path: Path) -> None:
    job(
        jenkins,
        build(1, "SUCCESS", a__=state("promoted", 0.050)),
        build(2, "SUCCESS", a__=state("promoted", 0.010)),
        build(3, "FAILURE", a__=state("rolled back", 0.900)),
        build(4, "SUCCESS"),
        build(5, "SUCCESS", a__=state("promoted", 0.9, baseline={})),
        build(6, None, a__=state("promoted", 0.900)),
    )
    shown = run("baseline", "team/app", "--output", "b.json").stdout
    assert "b.json: reviews as promoted by build 2" in shown
    assert "candidate: 3000 requests, p50 10.0 ms, p95 20.0 ms, p99 30.0 ms" in shown
    found = read_baseline(tmp_path / "b.json")
    assert found["candidate"].quantiles["p50"] == 0.010
    assert found["previous"].requests == 3000
    assert json.loads((tmp_path / "b.json").read_text())["source"] == (
        f"{jenkins.url}job/team/job/app/2/"
    )
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".b")] == []


def test_what_was_fetched_is_an_anchor(jenkins: StandIn, run: Run, tmp_path: Path) -> None:
    """What `performance.anchor` and `performance --anchor` take."""
    job(jenkins, build(1, "SUCCESS", a__=state("promoted", 0.010)))
    run("baseline", "team/app", "--output", "b.json")
    anchor, source = read_anchor(tmp_path / "b.json", "reviews")
    assert (anchor.version, anchor.quantiles["p50"]) == ("candidate", 0.010)
    assert anchor.origin == "the last promoted release"
    assert source == f"{jenkins.url}job/team/job/app/1/"
    with pytest.raises(StateError, match="is a baseline of reviews, not of details"):
        read_anchor(tmp_path / "b.json", "details")


def test_promoted_counts_more_than_the_build_result(jenkins: StandIn, run: Run) -> None:
    """Something after the promotion may have failed; what was measured is right all the same."""
    job(jenkins, build(1, "UNSTABLE", a__=state("promoted", 0.010)))
    run("baseline", "team/app")


def test_several_services(jenkins: StandIn, run: Run, tmp_path: Path) -> None:
    both = {"r__": state("promoted", 0.01), "d__": state("promoted", 0.02, service="details")}
    job(jenkins, build(1, "SUCCESS", **both))
    said = run("baseline", "team/app", code=3).stderr
    assert "promoted several services: details, reviews" in said
    run("baseline", "team/app", "--service", "details")
    path = tmp_path / "baseline.json"
    assert read_baseline(path, service="details")["candidate"].quantiles["p50"] == 0.02
    with pytest.raises(StateError, match="is a baseline of details, not of reviews"):
        read_baseline(path, service="reviews")


def test_a_damaged_state_is_passed_over_and_named(jenkins: StandIn, run: Run) -> None:
    job(jenkins, build(1, "SUCCESS", a__=b'{"service": 1'))
    said = run("baseline", "team/app", code=3).stderr
    assert "1 finished builds, 1 archived states; build 1, a/theseus-state.json cannot" in said
    job(
        jenkins,
        build(1, "SUCCESS", a__=state("promoted", 0.01)),
        build(2, "SUCCESS", a__=b"\xff\xfe"),
    )
    run("baseline", "team/app")


def test_beyond_the_first_page(jenkins: StandIn, run: Run) -> None:
    job(
        jenkins,
        build(1, "SUCCESS", a__=state("promoted", 0.01)),
        *(build(number, "FAILURE") for number in range(2, 70)),
    )
    run("baseline", "team/app")
    said = run("baseline", "team/app", "--builds", "60", code=3).stderr
    assert "60 finished builds, 0 archived states" in said


def test_nowhere_to_write(jenkins: StandIn, run: Run) -> None:
    job(jenkins, build(1, "SUCCESS", a__=state("promoted", 0.01)))
    said = run("baseline", "team/app", "--output", "none/b.json", code=2).stderr
    assert "cannot write none/b.json: No such file" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot read"),
        ("", "is no baseline"),
        ("[]", "is no baseline"),
        ('{"schema": 2}', "schema 2 is not 1"),
        ('{"schema": 1, "service": "a"}', "is no baseline: .*rollout"),
        (
            '{"schema": 1, "service": "a", "rollout": "b", "source": "c", "versions": {}}',
            "holds no measurement",
        ),
    ],
)
def test_what_is_no_baseline(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "baseline.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StateError, match=said):
        read_baseline(path)
