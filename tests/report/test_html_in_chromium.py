"""The report in a real browser, under the very policy that Jenkins sends with it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.report import rollouts
from tests.report.chromium import find_chromium, look, shoot
from tests.report.page import rendered

LIGHT = {"background": "rgb(246, 248, 250)", "ink": "rgb(27, 31, 36)"}
DARK = {"background": "rgb(13, 17, 23)", "ink": "rgb(230, 237, 243)"}


@pytest.fixture(autouse=True)
def chromium() -> str:
    return find_chromium()


@pytest.mark.parametrize(
    ("width", "dark", "suffix"),
    [
        (1100, False, ""),
        (1100, True, "-dark"),
        (390, False, "-narrow"),
        (390, True, "-narrow-dark"),
    ],
)
def test_a_report_on_every_screen(width: int, dark: bool, suffix: str, tmp_path: Path) -> None:
    rendered(rollouts.promoted(), tmp_path)

    seen = look(tmp_path / "reports" / "html", tmp_path / "profile", width=width, dark=dark)

    assert seen.complaints == []
    facts = seen.facts
    assert facts["rules"][0] > 50, "the style sheet is in force"
    colours = DARK if dark else LIGHT
    assert {name: facts[name] for name in colours} == colours
    assert [one["file"] for one in facts["pictures"]] == [
        f"timeline{suffix}.svg",
        f"latency-performance-half{suffix}.svg",
    ]
    for picture in facts["pictures"]:
        assert picture["natural"] > 300, "loaded, and drawn"
        assert picture["shown"] >= 0.85 * min(width - 60, 360)
    assert facts["needs"] <= facts["width"], "nothing to scroll sideways"
    assert facts["beyond"] == []
    assert facts["folded"] == 0


def test_long_words_do_not_widen_a_phone(tmp_path: Path) -> None:
    long = "x" * 400
    state = rollouts.broken(name=f"n{long}", message=f"m {long}", expected=long, repeat=long)
    state.notes = [long]
    state.journal[0].act = f"create Deployment shop/web-v2 {long}"
    rendered(state, tmp_path)

    seen = look(tmp_path / "reports" / "html", tmp_path / "profile", width=390, dark=False)

    assert seen.facts["needs"] <= seen.facts["width"]
    assert seen.facts["beyond"] == []


def test_the_policy_is_in_force(tmp_path: Path) -> None:
    """What the other tests rely on: a page with a style or a script of its own is complained of."""
    (tmp_path / "html").mkdir()
    page = "<!doctype html><title>x</title><body style='color: red'><script>1</script></body>"
    (tmp_path / "html" / "index.html").write_text(page, "utf-8")

    seen = look(tmp_path / "html", tmp_path / "profile", width=500, dark=False)

    assert any("style" in line for line in seen.complaints)
    assert seen.facts["ink"] == "rgb(0, 0, 0)"


def test_a_screenshot_shows_the_page(tmp_path: Path) -> None:
    rendered(rollouts.too_slow(), tmp_path)
    picture = tmp_path / "page.png"

    shoot(tmp_path / "reports" / "html", tmp_path / "profile", picture, width=1100, height=1600)

    data = picture.read_bytes()
    assert struct.unpack(">II", data[16:24]) == (1100, 1600)
    assert len(data) > 50_000, "an empty page is a tenth of that"
