"""doctor's findings for a terminal, a program and a report."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from theseus_ci.doctor.finding import Finding, Level
from theseus_ci.doctor.patient import Patient
from theseus_ci.model import CheckResult, Verdict

MARKS = {Level.FINE: "✓", Level.WARNING: "!", Level.PROBLEM: "✗", Level.UNSEEN: "–"}
COLOURS = {Level.FINE: 32, Level.WARNING: 33, Level.PROBLEM: 31, Level.UNSEEN: 2}
VERDICTS = {
    Level.FINE: Verdict.PASS,
    Level.WARNING: Verdict.PASS,
    Level.PROBLEM: Verdict.FAIL,
    Level.UNSEEN: Verdict.SKIPPED,
}
INDENT = " " * 17
WIDTH = 82  # of a line behind the indent


def as_text(title: str, findings: list[Finding], *, colours: bool) -> str:
    """One line a check, what mends it below, the YAML of missing rights at the end."""
    lines = [f"doctor: namespace {title}", ""]
    for one in findings:
        lines += _lines(one, colours=colours)
    for one in findings:
        if one.rbac:
            lines += ["", "# grants what is missing:", one.rbac.rstrip("\n")]
    return "\n".join([*lines, "", _sum(findings)])


def _lines(one: Finding, *, colours: bool) -> Iterator[str]:
    mark = MARKS[one.level]
    if colours:
        mark = f"\033[{COLOURS[one.level]}m{mark}\033[0m"
    first, *more = one.message.splitlines()
    first, *wrapped = textwrap.wrap(first, WIDTH)
    yield f"{mark} {one.check:<14} {first}"
    yield from (f"{INDENT}{line}" for line in wrapped)
    yield from (f"{INDENT}  {line}" for line in more)
    fix = one.fix.splitlines()
    if fix:
        first, *wrapped = textwrap.wrap(fix[0], WIDTH)
        yield f"{INDENT}→ {first}"
        yield from (f"{INDENT}  {line}" for line in (*wrapped, *fix[1:]))


def _sum(findings: list[Finding]) -> str:
    problems = sum(one.level is Level.PROBLEM for one in findings)
    warnings = sum(one.level is Level.WARNING for one in findings)
    unseen = sum(one.level is Level.UNSEEN for one in findings)
    told = [f"{problems} problem{'' if problems == 1 else 's'}"]
    told.append(f"{warnings} warning{'' if warnings == 1 else 's'}")
    if unseen:
        told.append(f"{unseen} not looked at")
    return ", ".join(told)


def as_json(patient: Patient, findings: list[Finding]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "ready": not any(one.exit_code for one in findings),
        "namespace": patient.namespace,
        "service": patient.config.service if patient.config else None,
        "account": patient.account or None,
        "findings": [
            {
                "check": one.check,
                "level": one.level.value,
                "message": one.message,
                "fix": one.fix,
                "exitCode": one.exit_code,
            }
            for one in findings
        ],
        "missing": [
            {
                "verb": right.verb,
                "apiGroup": right.group,
                "resource": right.plural,
                "namespace": right.namespace,
            }
            for right in patient.missing
        ],
        "rbac": next((one.rbac for one in findings if one.rbac), ""),
    }


def results(findings: list[Finding]) -> list[CheckResult]:
    """The same as cases of a report."""
    return [
        CheckResult(
            name=one.check,
            verdict=VERDICTS[one.level],
            message=textwrap.shorten(one.message, 500),
            seconds=0.0,
            expected=one.fix,
            actual=one.rbac,
        )
        for one in findings
    ]
