"""Reports as Jenkins reads them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.report import junit_plugin
from tests.report.junit_plugin import Case, NotAReportError, Status
from theseus_ci.model import CheckResult, Verdict
from theseus_ci.report.junit import read_junit, write_report

STARTED = 1_700_000_000.0


def result(name: str = "health", verdict: Verdict = Verdict.PASS, **changes: Any) -> CheckResult:
    values: dict[str, Any] = {"message": "status 200", "seconds": 0.25}
    return CheckResult(name=name, verdict=verdict, **(values | changes))


def report(folder: Path, *results: CheckResult, **changes: Any) -> list[Case]:
    values: dict[str, Any] = {
        "service": "reviews",
        "stage": "smoke-half",
        "started": STARTED,
        "properties": {"build": "https://jenkins.example.com/job/reviews/7/"},
    }
    path = folder / "reports" / "smoke.xml"
    write_report(path, results=results, **(values | changes))
    assert [entry.name for entry in path.parent.iterdir()] == ["smoke.xml"]
    return junit_plugin.read(path)


def test_names_as_jenkins_sorts_them(tmp_path: Path) -> None:
    (case,) = report(tmp_path, result())
    assert case.suite == "theseus.smoke-half"
    assert (case.package, case.class_name, case.name) == ("theseus.reviews", "SmokeHalf", "health")
    assert case.status is Status.PASSED
    text = (tmp_path / "reports" / "smoke.xml").read_text()
    assert 'timestamp="2023-11-14T22:13:20"' in text
    assert '<property name="build" value="https://jenkins.example.com/job/reviews/7/" />' in text


@pytest.mark.parametrize(
    ("verdict", "status", "element"),
    [
        (Verdict.PASS, Status.PASSED, ""),
        (Verdict.FAIL, Status.FAILED, "failure"),
        (Verdict.ERROR, Status.FAILED, "error"),
        (Verdict.SKIPPED, Status.SKIPPED, ""),
    ],
)
@pytest.mark.parametrize("message", ["status 503", "", " \x1b[0m\n"])
def test_verdicts(
    tmp_path: Path, verdict: Verdict, status: Status, element: str, message: str
) -> None:
    (case,) = report(tmp_path, result(verdict=verdict, message=message))
    assert case.status is status
    assert case.element == element


def test_a_failure_tells_everything_in_order(tmp_path: Path) -> None:
    (case,) = report(
        tmp_path,
        result(
            verdict=Verdict.FAIL,
            message="expected status 200,\n got status 503",
            expected="status 200",
            actual="status 503",
            evidence="> GET /\n< 503",
            repeat="curl http://127.0.0.1/",
            remedy="look at its log",
            details={"status": 503, "p95": 0.5},
        ),
        situation={"production traffic then": "50 % on a", "what the rollout did": "Nothing."},
    )
    assert case.message == "expected status 200, got status 503"
    assert case.details == (
        "expected status 200,\n got status 503\n\n"
        "expected: status 200\n\nactual: status 503\n\n"
        "what to do: look at its log\n\n"
        "production traffic then: 50 % on a\n\nwhat the rollout did: Nothing.\n\n"
        "evidence:\n> GET /\n< 503\n\n"
        "to repeat it: curl http://127.0.0.1/"
    )
    assert case.properties == {"status": "503", "p95": "0.5"}


def test_a_check_that_passed_says_nothing_of_what_others_meant(tmp_path: Path) -> None:
    situation = {"production traffic then": "50 % on a"}
    passing, failing = report(
        tmp_path, result("a"), result("b", Verdict.ERROR), situation=situation
    )
    assert "production traffic" not in passing.stdout
    assert "production traffic then: 50 % on a" in failing.details


def test_time_is_what_is_charted(tmp_path: Path) -> None:
    cases = report(
        tmp_path,
        result("a"),
        result("b", charted_seconds=0.0125),
        result("c", seconds=0),
        result("d", seconds=float("nan")),
        result("e", seconds=-1.0),
        result("f", charted_seconds=0.0),
    )
    assert [case.seconds for case in cases] == [0.25, 0.0125, 0, 0, 0, 0]


def test_the_same_cases_on_every_run(tmp_path: Path) -> None:
    names = ("health", "redis", "batch")
    first = report(tmp_path, result("redis"), result("health"), expected_names=names)
    assert [(c.name, c.status) for c in first] == [
        ("health", Status.PASSED),
        ("redis", Status.PASSED),
        ("batch", Status.SKIPPED),
    ]
    second = report(tmp_path, expected_names=names, skipped_reason="the lease was lost")
    assert [c.history_key for c in second] == [c.history_key for c in first]
    assert {(c.status, c.message) for c in second} == {(Status.SKIPPED, "the lease was lost")}


def test_unexpected_cases_come_last(tmp_path: Path) -> None:
    cases = report(tmp_path, result("other"), result("health"), expected_names=["health"])
    assert [case.name for case in cases] == ["health", "other"]


def test_there_is_always_a_case(tmp_path: Path) -> None:
    (case,) = report(tmp_path)
    assert (case.name, case.status, case.element) == ("smoke-half", Status.FAILED, "error")
    (case,) = report(tmp_path, skipped_reason="no smoke checks are configured")
    assert (case.status, case.message) == (Status.SKIPPED, "no smoke checks are configured")


def test_names_are_made_unique(tmp_path: Path) -> None:
    cases = report(tmp_path, result("a"), result("a "), result("a (2)"), result(""), result("\n"))
    assert [case.name for case in cases] == ["a", "a (2)", "a (2) (2)", "unnamed", "unnamed (2)"]
    cases = report(tmp_path, result("b"), result("a"), result("b"), expected_names=["a", "b"])
    assert [case.name for case in cases] == ["a", "b", "b (2)"]


def test_long_texts_are_cut_and_keep_their_ends(tmp_path: Path) -> None:
    evidence = "the beginning" + "x" * 500_000
    passing, failing = report(
        tmp_path,
        result("a", evidence=evidence, message="fine " * 5000),
        result("b", Verdict.FAIL, evidence=evidence, repeat="curl", message="bad " * 5000),
    )
    assert len(passing.stdout) == junit_plugin.PASSING_OUTPUT
    assert len(failing.details) == junit_plugin.FAILING_OUTPUT
    assert len(failing.message) <= 1000
    assert "the beginning" in failing.details
    assert failing.details.endswith("to repeat it: curl")


@pytest.mark.parametrize(
    ("stage", "class_name"),
    [("smoke", "Smoke"), ("shift-100", "Shift100"), ("await_mesh", "AwaitMesh"), ("-", "Stage")],
)
def test_classes(tmp_path: Path, stage: str, class_name: str) -> None:
    (case,) = report(tmp_path, result(), stage=stage)
    assert case.class_name == class_name


def test_an_old_report_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    report(tmp_path, result("old"))
    (case,) = report(tmp_path, result("new"))
    assert case.name == "new"
    mode = (tmp_path / "reports" / "smoke.xml").stat().st_mode & 0o777
    umask = os.umask(0)
    os.umask(umask)
    assert mode == 0o666 & ~umask
    with pytest.raises(OSError, match="smoke"):
        report(tmp_path / "reports" / "smoke.xml", result())


nasty = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(
            "\x00\x08\x0b\x1b\x7f\x85\x9b\ud800\udfff\ufdd0\ufffe\uffff\U0001fffe<>&\"']"
        ),
    ),
    max_size=80,
)
results = st.builds(
    CheckResult,
    name=nasty,
    verdict=st.sampled_from(Verdict),
    message=nasty,
    seconds=st.floats(),
    expected=nasty,
    actual=nasty,
    evidence=nasty,
    repeat=nasty,
    charted_seconds=st.none() | st.floats(),
    details=st.dictionaries(nasty, st.one_of(nasty, st.floats(), st.integers()), max_size=3),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(results, max_size=5),
    st.lists(nasty, max_size=3),
    nasty,
    st.dictionaries(nasty, nasty, max_size=3),
)
def test_whatever_the_texts_hold_jenkins_reads_it(
    tmp_path: Path,
    given_results: list[CheckResult],
    names: list[str],
    reason: str,
    properties: dict[str, str],
) -> None:
    cases = report(
        tmp_path,
        *given_results,
        expected_names=names,
        skipped_reason=reason,
        properties=properties,
    )
    failing = sum(r.verdict in (Verdict.FAIL, Verdict.ERROR) for r in given_results)
    shown = sum(case.status is Status.FAILED for case in cases)
    assert shown == failing or (not given_results and not names and len(cases) == 1)
    again = read_junit(tmp_path / "reports" / "smoke.xml")
    assert len(again) == len(cases)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    written = [result("a"), result("b", Verdict.FAIL), result("c", Verdict.ERROR)]
    report(tmp_path, *written, expected_names=["a", "b", "c", "d"])
    again = read_junit(tmp_path / "reports" / "smoke.xml")
    assert [(one.name.rpartition(".")[2], one.verdict) for one in again] == [
        ("a", Verdict.PASS),
        ("b", Verdict.FAIL),
        ("c", Verdict.ERROR),
        ("d", Verdict.SKIPPED),
    ]
    assert again[0].seconds == 0.25


def test_reading_is_not_fooled(tmp_path: Path) -> None:
    path = tmp_path / "other.xml"
    path.write_text(
        "<testsuites><testsuite><testsuite>"
        '<testcase name="both"><skipped/><failure>first line\nsecond</failure></testcase>'
        '<testcase name="two"><failure message="f"/><error message="e"/></testcase>'
        '<testcase time="1,234.5"><system-out>out</system-out></testcase>'
        '<testcase name="t" time="nonsense"/><testcase name="n" time="NaN"/>'
        '<b/><b><testcase name="in"><i/><failure> <!-- --> &lt;a&gt;<i>b</i>c</failure>'
        "</testcase></b>"
        "</testsuite></testsuite></testsuites>"
    )
    both, two, unnamed, odd, nan, inside = read_junit(path)
    assert (both.verdict, both.message) == (Verdict.FAIL, "first line")
    assert (two.verdict, two.message) == (Verdict.ERROR, "e")
    assert (unnamed.name, unnamed.seconds, unnamed.evidence) == ("unnamed", 1234.5, "out")
    assert odd.seconds == nan.seconds == 0
    assert (inside.name, inside.verdict, inside.message) == ("in", Verdict.FAIL, "<a>")


def test_reading_has_limits(tmp_path: Path) -> None:
    path = tmp_path / "large.xml"
    path.write_text("<testsuite>" + "<testcase name='a'/>" * 10_001 + "</testsuite>")
    with pytest.raises(ValueError, match="more than 10,000"):
        read_junit(path)
    path.write_bytes(b"<testsuite>" + b" " * 11_000_000)
    with pytest.raises(ValueError, match="larger than 10 MiB"):
        read_junit(path)
    with pytest.raises(FileNotFoundError):
        read_junit(tmp_path / "none.xml")


HEAD = '<?xml version="1.0"?><testsuites><testsuite name="s" timestamp="2023-11-14T22:13:20" '


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<testsuite/>",
        HEAD + 'tests="0"></testsuite></testsuites>',
        HEAD + 'tests="1"><testcase name="a" classname="p.C"/></testsuite></testsuites>',
        HEAD + 'tests="1"><testcase name="a" classname="C" time="0"/></testsuite></testsuites>',
        HEAD + 'tests="1" failures="1"><testcase name="a" classname="p.C" time="0"><failure/>'
        "</testcase></testsuite></testsuites>",
        HEAD + 'tests="2">' + '<testcase name="a" classname="p.C" time="0"/>' * 2
        + "</testsuite></testsuites>",
    ],
)  # fmt: skip
def test_the_reader_itself_is_strict(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.xml"
    path.write_text(text)
    with pytest.raises(NotAReportError):
        junit_plugin.read(path)
    with pytest.raises(NotAReportError, match="No test report files"):
        junit_plugin.read(tmp_path / "none.xml")
