"""The summary for a pull request or a chat."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report import rollouts
from tests.report.page import write
from theseus_ci.commands.report_page import page_of
from theseus_ci.report.markdown import markdown
from theseus_ci.rollout.state import State

HOSTILE = st.text(
    alphabet=st.sampled_from("`|*_[]()<>!#-+=~@$&\\.:/ \n\r\taw1\x1b\x00"), max_size=50
)


def summary(state: State) -> str:
    return markdown(page_of(state, {}))


@pytest.mark.parametrize("state", rollouts.ALL, ids=lambda one: one.__name__)
def test_every_summary_has_outcome_versions_and_steps(
    state: Callable[[], State], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = state()

    assert write(made, tmp_path, "--markdown") == 0

    text = capsys.readouterr().out
    assert text == summary(made)
    assert text.startswith("### ")
    assert "`web-v2`" in text
    rows = re.findall(r"^\| `([a-z-]+)` \| .* \| .* s \| \d+ % \|$", text, re.MULTILINE)
    assert rows == [step.id for step in made.steps]
    assert len(text) < 4000, "short enough for a comment"
    assert not (tmp_path / "reports").exists(), "nothing is written"


def test_failed_checks_say_what_was_expected_and_what_came() -> None:
    text = summary(rollouts.broken())

    assert "**orders** in smoke-dark failed: status 500 instead of 200" in text
    assert "- expected: status 200" in text
    assert "- actual: status 500" in text
    assert "`theseus-ci rollback`" in text


def test_latency_in_one_line() -> None:
    (line,) = [one for one in summary(rollouts.too_slow()).splitlines() if "**Latency**" in one]

    assert re.search(r"against web-v1 beside it: p50 \d.* → \d.*✗ slower", line)


def test_what_went_wrong_comes_with_what_did_not_run() -> None:
    text = summary(rollouts.broken())

    assert "| 4 more | not run | | |" in text


@settings(max_examples=150, deadline=None)
@given(text=HOSTILE)
def test_no_text_breaks_out(text: str) -> None:
    def made(value: str) -> str:
        state = rollouts.broken(
            name=f"n{value}n", message=f"m{value}m", expected=f"e{value}e", actual=f"a{value}a"
        )
        last = msgspec.structs.replace(state.steps[-1], id=f"s{value}s")
        state.steps[-1] = last
        state.notes = [f"n{value}n"]
        return summary(state)

    hostile, harmless = made(text), made("x")

    assert len(hostile.splitlines()) == len(harmless.splitlines())
    for row in (line for line in hostile.splitlines() if line.startswith("|")):
        outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", row)
        assert outside.count("|") == 5, row
    for line in hostile.splitlines():
        outside = re.sub(r"(?<!\\)(`+)(?!`).*?(?<!`)\1(?!`)", "", line)
        assert not re.search(r"<[a-z!/]|@\w|\w://", outside), line
        bare = re.sub(r"\\.", "", outside)
        assert not re.search(r"\]\(|~~|\$", bare), line


def test_a_release_that_was_taken_back_is_not_under_way() -> None:
    assert summary(rollouts.rejected()).startswith("### ↩️ web-v2 rolled back\n")
    assert "| `consent to promote` | ❌ refused | 1.0 s | 100 % |" in summary(rollouts.rejected())
    assert summary(rollouts.under_way()).startswith("### ⏳ web-v2 under way\n")
    assert summary(rollouts.refused()).startswith("### ⚠️ web-v2 not accepted\n")
