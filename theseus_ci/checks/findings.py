"""What was expected beside what came, and the verdict that follows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from theseus_ci.config.smoke import TextMatch
from theseus_ci.model import Verdict

SHOWN = 200  # characters of a value in a sentence


@dataclass(frozen=True)
class Finding:
    """One assertion."""

    expected: str
    actual: str
    holds: bool


@dataclass(frozen=True)
class Judgement:
    """All assertions of a check together."""

    verdict: Verdict
    message: str
    expected: str
    actual: str


def judge(findings: Sequence[Finding], passed: str) -> Judgement:
    """PASS when all hold, FAIL when one does not, ERROR when there is none."""
    if not findings:
        return Judgement(Verdict.ERROR, "asserted nothing, so it can say nothing", "", "")
    broken = [finding for finding in findings if not finding.holds]
    if not broken:
        return Judgement(Verdict.PASS, passed, _lines(findings, actual=False), "as expected")
    message = "; ".join(f"expected {f.expected}, got {f.actual}" for f in broken)
    return Judgement(
        Verdict.FAIL, message, _lines(findings, actual=False), _lines(findings, actual=True)
    )


def _lines(findings: Sequence[Finding], *, actual: bool) -> str:
    if not actual:
        return "\n".join(finding.expected for finding in findings)
    return "\n".join(f"{'' if f.holds else '✗ '}{f.actual}" for f in findings)


def match_text(what: str, match: TextMatch, text: str, *, whole: bool = True) -> Finding:
    """Compare a text; `what` names it, `whole` is False where only its beginning is known."""
    actual = f"{what} {show(text)}" if text else f"{what} empty"
    if match.exact is not None:
        holds = whole and text == match.exact
        return Finding(f"{what} {show(match.exact)}", actual, holds)
    if match.prefix is not None:
        expected = f"{what} beginning with {show(match.prefix)}"
        return Finding(expected, actual, text.startswith(match.prefix))
    if match.contains is not None:
        return Finding(f"{what} containing {show(match.contains)}", actual, match.contains in text)
    pattern = match.regex or ""
    return Finding(f"{what} matching /{pattern}/", actual, re.search(pattern, text) is not None)


def show(text: str) -> str:
    """A text as part of a sentence: quoted, escaped, its beginning."""
    shown = repr(text[:SHOWN])
    return f"{shown}…" if len(text) > SHOWN else shown
