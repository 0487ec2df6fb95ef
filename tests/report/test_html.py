"""The report's page: what it says, that it is well made, that no text breaks out of it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.report import rollouts
from tests.report.page import Page, audit, rendered, write
from theseus_ci.cli import main
from theseus_ci.commands.report_page import page_of
from theseus_ci.model import CheckResult, Verdict
from theseus_ci.report.html import STYLE, site
from theseus_ci.report.junit import write_report
from theseus_ci.report.sanitise import sanitise
from theseus_ci.rollout.state import State, encode

HOSTILE = st.text(
    alphabet=st.sampled_from("<>&\"'/=`;:!-{}\\ \n\t\x00\x1b\ud800\ufffea\u00e9"), max_size=60
) | (
    st.sampled_from(
        [
            "</code></pre><script>alert(1)</script>",
            '"><img src=x onerror=alert(1)>',
            "' autofocus onfocus='alert(1)",
            "<!-- ",
            "]]>",
            "&lt;b&gt;",
            "<svg/onload=alert(1)>",
            "\x1b[31mred",
        ]
    )
)


@pytest.mark.parametrize("state", rollouts.ALL, ids=lambda one: one.__name__)
def test_every_report_is_well_made(state: Callable[[], State], tmp_path: Path) -> None:
    audit(rendered(state(), tmp_path), tmp_path / "reports" / "html")


@pytest.mark.parametrize(
    ("state", "tone", "words"),
    [
        (rollouts.promoted, "good", ["web-v2 has replaced web-v1", "Nothing."]),
        (
            rollouts.too_slow,
            "bad",
            ["judged bad by performance-half", "50 % of", "theseus-ci begin"],
        ),
        (rollouts.broken, "bad", ["smoke-dark failed", "100 % on web-v1", "theseus-ci rollback"]),
        (
            rollouts.unknown,
            "doubt",
            ["shift-half could not be carried out", "See whether it runs."],
        ),
        (rollouts.rejected, "calm", ["the gate before promote was answered with no by bob"]),
        (
            rollouts.expired,
            "calm",
            ["the gate before promote was not passed (no answer in 90 minutes)"],
        ),
        (
            rollouts.refused,
            "doubt",
            [
                "The gate before promote was answered with no by bob, and nothing has been put",
                "100 % on web-v2",
                "theseus-ci rollback",
            ],
        ),
        (rollouts.stuck, "doubt", ["not complete: 2 pods of web-v1", "theseus-ci rollback"]),
        (rollouts.under_way, "calm", ["4 of 7 steps", "50 % on web-v2", "performance --baseline"]),
        (rollouts.waiting, "calm", ["promote once its gate is answered"]),
        (rollouts.first_release, "good", ["the first version of web"]),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_the_outcome_and_what_to_do_next(
    state: Callable[[], State], tone: str, words: list[str], tmp_path: Path
) -> None:
    (outcome,) = rendered(state(), tmp_path).all("div", class_=f"outcome {tone}")

    for part in words:
        assert part in outcome.text


def test_a_failed_check_with_evidence_and_how_to_repeat_it(tmp_path: Path) -> None:
    state = rollouts.broken()
    failed = state.steps[-1].results[-1]
    _junit(tmp_path, state, evidence="> GET /orders\n< 500 Internal Server Error")

    section = rendered(state, tmp_path).section("failed")

    for text in (failed.message, failed.expected, failed.actual, failed.repeat, "< 500 Internal"):
        assert text in section
    assert "to repeat it" not in section


def test_evidence_of_another_rollout_is_not_shown(tmp_path: Path) -> None:
    state = rollouts.broken()
    _junit(tmp_path, state, evidence="old", rollout="web-20200101-000000-000000")
    (tmp_path / "reports" / "deploy.xml").write_text("<testsuites", "utf-8")

    assert "old" not in rendered(state, tmp_path).section("failed")


def _junit(folder: Path, state: State, evidence: str, rollout: str = "") -> None:
    """The report that the failed step has left."""
    last = state.steps[-1]
    results = [
        msgspec.structs.replace(one, evidence=evidence if one.verdict is Verdict.FAIL else "")
        for one in last.results
    ]
    write_report(
        folder / "reports" / f"{last.id}.xml",
        service="web.shop",
        stage=last.id,
        results=results,
        started=last.started,
        properties={"rollout": rollout or state.rollout},
    )


def test_latency_of_both_versions(tmp_path: Path) -> None:
    page = rendered(rollouts.too_slow(), tmp_path)
    effects = rollouts.judged(slower=2.0).latency
    section = page.section("latency")

    assert "✗ slower" in section
    for effect in effects:
        assert f"{effect.tolerance * 100:+g} %" in section
        assert effect.quantile in section
    (image,) = page.all("img", src="latency-performance-half.svg")
    assert re.search(r"web-v1: p50 \d.* web-v2: p50 \d", image.attributes["alt"])


def test_a_candidate_alone_is_drawn_beside_its_first_run(tmp_path: Path) -> None:
    page = rendered(rollouts.alone(), tmp_path)

    assert "against its first run" in page.section("latency")
    (image,) = page.all("img", src="latency-performance-half.svg")
    assert "web-v2, first run: p50" in image.attributes["alt"]


def test_every_slice_is_a_point(tmp_path: Path) -> None:
    state = rollouts.too_slow()
    judgement = state.judgements["performance-half"]
    rendered(state, tmp_path)
    svg = (tmp_path / "reports" / "html" / "latency-performance-half.svg").read_text()

    assert judgement.previous is not None
    slices = len(judgement.candidate.course) + len(judgement.previous.course)
    quantiles = 2 * len(judgement.candidate.quantiles)
    assert slices >= 30
    assert svg.count("<circle") == slices + quantiles
    assert "95th percentile slice by slice: web-v1 from" in svg


def test_the_last_promoted_release_in_place_of_the_first_run(tmp_path: Path) -> None:
    state = rollouts.alone()
    origin = "the last promoted release"
    state.anchor = msgspec.structs.replace(state.baseline["candidate"], origin=origin)
    page = rendered(state, tmp_path)

    assert f"against {origin}" in page.section("latency")
    (image,) = page.all("img", src="latency-performance-half.svg")
    assert f"{origin}: p50" in image.attributes["alt"]


def test_nothing_answered_is_no_picture_but_words(tmp_path: Path) -> None:
    page = rendered(rollouts.too_slow(failing=1.0), tmp_path)

    assert "candidate failed" in page.section("latency")
    audit(page, tmp_path / "reports" / "html")


def test_gates_with_who_and_when(tmp_path: Path) -> None:
    page = rendered(rollouts.promoted(), tmp_path)

    assert "approved by alice" in page.section("gates")
    assert "oncall" in page.section("gates")
    assert page.all("time", datetime="2023-11-14T22:13:32Z")
    assert "nobody has answered" in rendered(rollouts.waiting(), tmp_path).section("gates")
    assert "not approved by bob: not today" in rendered(rollouts.rejected(), tmp_path).section(
        "gates"
    )


def test_an_answer_is_a_step_that_people_took(tmp_path: Path) -> None:
    page = rendered(rollouts.rejected(), tmp_path)

    rows = [row.text for row in page.all("tr") if "consent to promote" in row.text]
    assert rows == ["consent to promoteby bob: not today✗ refused1.0 s100 %"]
    assert "not given" in rendered(rollouts.expired(), tmp_path).section("steps")
    (given,) = [
        row.text
        for row in rendered(rollouts.promoted(), tmp_path).all("tr")
        if "consent to" in row.text
    ]
    assert given == "consent to promoteby alice✓ given0.0 s100 %"
    audit(rendered(rollouts.expired(), tmp_path), tmp_path / "reports" / "html")


def test_what_was_never_there_was_not_removed(tmp_path: Path) -> None:
    state = rollouts.rejected()
    state.journal = []
    page = rendered(state, tmp_path)

    (row,) = [row.text for row in page.all("tr") if "Deployment shop/web-v2" in row.text]
    assert "never created" in row


def test_what_was_changed_and_the_journal(tmp_path: Path) -> None:
    page = rendered(rollouts.too_slow(), tmp_path)
    rows = {
        row.text.partition("web-v2")[0]: row.text
        for row in page.all("tr")
        if "Deployment shop/" in row.text and "the candidate" in row.text
    }

    (candidate,) = rows.values()
    assert "removed" in candidate
    assert "raise web-v2 to 3 replicas" in candidate
    assert "web-v2-other" not in candidate, "another object's act"
    assert "raise web-v2-other to 9 replicas" in page.all("details")[-1].text
    assert "edited by somebody else" in page.section("notes")
    assert "there is none" in page.section("notes")


def test_the_timeline_says_how_the_weight_moved(tmp_path: Path) -> None:
    (image,) = rendered(rollouts.promoted(), tmp_path).all("img", src="timeline.svg")

    assert "50 % after shift-half, then 100 % after shift-full" in image.attributes["alt"]


def test_pictures_of_an_earlier_report_go(tmp_path: Path) -> None:
    rendered(rollouts.too_slow(), tmp_path)

    audit(rendered(rollouts.broken(), tmp_path), tmp_path / "reports" / "html")


def test_a_state_from_before_judgements_were_kept(tmp_path: Path) -> None:
    state = rollouts.too_slow()
    state.judgements = {}

    page = rendered(state, tmp_path)

    assert not page.section("latency")
    assert "latency-p50" in page.section("failed")


def test_the_command_says_where_the_page_is(tmp_path: Path) -> None:
    write(rollouts.promoted(), tmp_path, "--markdown")

    done = subprocess.run(
        [sys.executable, "-m", "theseus_ci.cli", "report", "--output", "page"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert Path(done.stdout.strip()) == Path("page/index.html")
    audit(Page((tmp_path / "page" / "index.html").read_text("utf-8")), tmp_path / "page")


def test_without_a_rollout_there_is_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["report"]) == 3
    assert "theseus-ci begin" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_refused_begin_is_not_taken_for_the_rollout_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A workspace that still holds the last rollout's state, and one that holds none."""
    monkeypatch.chdir(tmp_path)
    refused = CheckResult(
        name="checked",
        verdict=Verdict.ERROR,
        message="Service web bypasses the mesh",
        seconds=0.3,
        expected="set allowUnmeshed: true",
    )
    _begin(tmp_path, refused, started=rollouts.STARTED + 1000)

    for state in (None, rollouts.promoted()):
        if state is not None:
            (tmp_path / "theseus-state.json").write_bytes(encode(state))
        assert main(["report"]) == 0
        page = Page((tmp_path / "reports" / "html" / "index.html").read_text("utf-8"))
        audit(page, tmp_path / "reports" / "html")
        assert page.all("h1")[0].text == "The rollout did not begin"
        assert "Service web bypasses the mesh" in page.all("div", class_="outcome doubt")[0].text
        assert "set allowUnmeshed: true" in page.section("failed")
    capsys.readouterr()
    assert main(["report", "--markdown"]) == 0
    assert "web-v2" not in capsys.readouterr().out


def test_a_begin_that_was_refused_before_is_history(tmp_path: Path) -> None:
    refused = CheckResult(name="checked", verdict=Verdict.ERROR, message="no", seconds=0.3)
    _begin(tmp_path, refused, started=rollouts.STARTED - 60)

    assert rendered(rollouts.promoted(), tmp_path).all("h1")[0].text == "web-v2 released"


def _begin(folder: Path, result: CheckResult, started: float) -> None:
    """The report that begin has left."""
    write_report(
        folder / "reports" / "begin.xml",
        service="web",
        stage="begin",
        results=[result],
        started=started,
        properties={},
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=HOSTILE)
def test_no_text_breaks_out(text: str) -> None:
    def page(value: str) -> Page:
        state = rollouts.broken(
            name=f"n{value}",
            message=f"m{value}",
            expected=f"e{value}",
            actual=f"a{value}",
            repeat=f"r{value}",
        )
        state.notes = [f"note{value}"]
        state.journal[0].act = f"act{value}"
        state.holder = f"holder{value}"
        return Page(site(page_of(state, {("smoke-dark", f"n{value}"): f"v{value}"}))["index.html"])

    hostile, harmless = page(text), page("x")

    assert [(one.tag, *one.attributes) for one in hostile.elements] == [
        (one.tag, *one.attributes) for one in harmless.elements
    ]
    shown = [one.text for one in hostile.all("code")]
    for letter in "eavr":
        assert sanitise(f"{letter}{text}").strip("\n") in shown


@settings(max_examples=40, deadline=None)
@given(text=HOSTILE)
def test_no_text_breaks_a_picture(text: str) -> None:
    state = rollouts.too_slow()
    state.candidate = msgspec.structs.replace(state.candidate, deployment=f"c{text}")
    files = site(page_of(state, {}))

    for name, content in files.items():
        if name.endswith(".svg"):
            root = ElementTree.fromstring(content)
            assert {element.tag.rpartition("}")[2] for element in root} <= {
                "title",
                "rect",
                "line",
                "circle",
                "polygon",
                "polyline",
                "text",
            }


def test_colours_can_be_read() -> None:
    css = STYLE.read_text("utf-8")
    schemes = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", scheme))
        for ink in ("ink", "muted", "link", "good", "bad", "doubt", "calm"):
            for paper in ("paper", "card"):
                assert _contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper, colours)
        for paper in ("good-paper", "bad-paper", "doubt-paper", "calm-paper", "code"):
            assert _contrast(colours["ink"], colours[paper]) >= 4.5, paper


def _contrast(one: str, other: str) -> float:
    """As WCAG 2 defines it."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
