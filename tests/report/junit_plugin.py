"""JUnit files as Jenkins' junit plugin takes them, and stricter where it would be silent.

The plugin throws when it finds no file and shows a malformed one as a failing case; it drops
suites without cases, lets two cases of one name overwrite each other's history, and reads no time
as zero. Here each of these is an error.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

PASSING_OUTPUT = 1_000  # characters that the plugin keeps
FAILING_OUTPUT = 100_000
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_ANSI_LEFTOVER = re.compile(r"\[\d[\d;]*m")


class Status(Enum):
    """What the plugin shows."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Case:
    """One case as Jenkins shows it."""

    suite: str
    package: str
    class_name: str
    name: str
    status: Status
    seconds: float
    message: str  # of the failure, the error or the skip
    details: str  # the failure's or error's text
    element: str  # which of error and failure was used
    stdout: str
    properties: dict[str, str]

    @property
    def history_key(self) -> tuple[str, str]:
        """What "failing since" and trends are kept under."""
        return self.suite, f"{self.package}.{self.class_name}.{self.name}"


class NotAReportError(AssertionError):
    """Jenkins would throw, drop something, or show another result than meant."""


def read(*paths: Path) -> list[Case]:
    """Return the cases of the files as one build's report. Raises NotAReportError."""
    files = [path for path in paths if path.is_file()]
    if not files:
        raise NotAReportError("No test report files were found. Configuration error?")
    cases = [case for path in files for case in _read_file(path)]
    keys = [case.history_key for case in cases]
    for key in keys:
        if keys.count(key) > 1:
            raise NotAReportError(f"two cases share one history: {key}")
    return cases


def _read_file(path: Path) -> list[Case]:
    data = path.read_bytes()
    if not data:
        raise NotAReportError(f"{path}: zero bytes")
    if not data.startswith(b"<?xml "):
        raise NotAReportError(f"{path}: no XML declaration, its encoding is a guess")
    if b"<!DOCTYPE" in data:
        raise NotAReportError(f"{path}: declares a document type")
    try:
        root = ET.fromstring(data)
    except ET.ParseError as error:
        raise NotAReportError(f"{path}: {error}") from error
    suites = [root] if root.tag == "testsuite" else list(root.findall("testsuite"))
    if root.tag not in ("testsuite", "testsuites") or not suites:
        raise NotAReportError(f"{path}: holds no suite")
    return [case for suite in suites for case in _read_suite(path, suite)]


def _read_suite(path: Path, suite: ET.Element) -> list[Case]:
    name = suite.get("name")
    if not name:
        raise NotAReportError(f"{path}: a suite without a name")
    if not _TIMESTAMP.fullmatch(suite.get("timestamp", "")):
        raise NotAReportError(f"{path}: suite {name} has no timestamp")
    cases = [_read_case(name, element) for element in suite.findall("testcase")]
    if not cases:
        raise NotAReportError(f"{path}: suite {name} has no case and would be dropped")
    _compare_counts(path, suite, cases)
    return cases


def _compare_counts(path: Path, suite: ET.Element, cases: list[Case]) -> None:
    for attribute, count in (
        ("tests", len(cases)),
        ("failures", sum(case.element == "failure" for case in cases)),
        ("errors", sum(case.element == "error" for case in cases)),
        ("skipped", sum(case.status is Status.SKIPPED for case in cases)),
    ):
        if int(suite.get(attribute, "0")) != count:
            raise NotAReportError(f"{path}: {attribute} is not {count}")


def _read_case(suite: str, element: ET.Element) -> Case:
    name, class_name = element.get("name", ""), element.get("classname", "")
    for text in (name, class_name):
        if not text or text != " ".join(text.split()):
            raise NotAReportError(f"case {class_name!r} {name!r}: an unfit name")
    package, _, simple = class_name.rpartition(".")
    if not package or not simple:
        raise NotAReportError(f"case {name}: classname {class_name!r} has no package")
    for text in element.itertext():
        if _ANSI_LEFTOVER.search(text):
            raise NotAReportError(f"case {name}: left-overs of colours")
    fault = next((f for f in map(element.find, ("error", "failure")) if f is not None), None)
    skipped = element.find("skipped")
    if skipped is not None and fault is not None:
        raise NotAReportError(f"case {name}: the skip hides the {fault.tag}")
    status = Status.SKIPPED if skipped is not None else Status.FAILED
    shown = skipped if skipped is not None else fault
    if shown is None:
        status = Status.PASSED
    elif not shown.get("message"):
        raise NotAReportError(f"case {name}: a {shown.tag} without a message")
    stdout = element.findtext("system-out") or ""
    _within_limits(name, status, stdout, fault)
    return Case(
        suite=suite,
        package=package,
        class_name=simple,
        name=name,
        status=status,
        seconds=_seconds(name, element),
        message="" if shown is None else shown.get("message", ""),
        details="" if fault is None else fault.text or "",
        element="" if fault is None else fault.tag,
        stdout=stdout,
        properties={
            found.get("name", ""): found.get("value", "")
            for found in element.findall("properties/property")
        },
    )


def _within_limits(name: str, status: Status, stdout: str, fault: ET.Element | None) -> None:
    limit = FAILING_OUTPUT if status is Status.FAILED else PASSING_OUTPUT
    if len(stdout) > limit:
        raise NotAReportError(f"case {name}: {len(stdout)} characters of output, {limit} are kept")
    if fault is not None and len(fault.text or "") > FAILING_OUTPUT:
        raise NotAReportError(
            f"case {name}: the {fault.tag} has {len(fault.text or '')} characters"
        )


def _seconds(name: str, element: ET.Element) -> float:
    try:
        seconds = float(element.get("time", "").replace(",", ""))
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or seconds < 0:
        raise NotAReportError(f"case {name}: time {element.get('time')!r}")
    return seconds
