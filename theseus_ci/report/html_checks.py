"""Checks on the page: the failed ones in full, all of them to unfold."""

from __future__ import annotations

from collections.abc import Sequence

from theseus_ci.model import Verdict
from theseus_ci.report.figures import duration
from theseus_ci.report.html_parts import verdict
from theseus_ci.report.markup import Html, join, tag
from theseus_ci.report.page_model import Check, Page, StepChecks
from theseus_ci.report.sanitise import sanitise


def failures(page: Page) -> Html:
    """Every check that did not pass: expected, actual, evidence, how to repeat it."""
    return join(*(_failure(group, check) for group, check in page.failures))


def _failure(group: StepChecks, check: Check) -> Html:
    kind = "failure" if check.verdict is Verdict.FAIL else "failure could-not-know"
    return tag(
        "article",
        tag("h3", f"{check.name} in {group.step}"),
        tag("p", verdict(check.verdict), " ", check.message),
        *_parts(check),
        class_=kind,
    )


def all_checks(groups: Sequence[StepChecks]) -> Html:
    """Step by step; what a check has seen is folded away."""
    return join(
        *(
            join(
                tag("h3", group.step, tag("span", group.title, class_="more")),
                tag("ul", *(tag("li", _check(check)) for check in group.checks), class_="checks"),
            )
            for group in groups
        )
    )


def _check(check: Check) -> Html:
    took = f" ({duration(check.seconds)})" if check.seconds >= 0.05 else ""
    line = join(verdict(check.verdict), " ", tag("strong", check.name), f": {check.message}{took}")
    parts = _parts(check)
    if not parts:
        return line
    return tag("details", tag("summary", line), *parts)


def _parts(check: Check) -> list[Html]:
    found: list[Html] = []
    for title, text in (
        ("Expected", check.expected),
        ("Actual", check.actual),
        ("What to do", check.remedy),
        ("Evidence", check.evidence),
        ("To repeat it", check.repeat),
    ):
        clean = sanitise(text).strip("\n")
        if clean.strip():
            found.append(tag("p", title, class_="label"))
            label = f"{title}, {check.name}"
            found.append(
                tag("pre", tag("code", clean), tabindex="0", role="group", aria_label=label)
            )
    return found
