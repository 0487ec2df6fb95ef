"""JUnit files written by others, read without trusting them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from theseus_ci.model import CheckResult, Verdict
from theseus_ci.report.sanitise import cap, one_line, sanitise

SIZE_LIMIT = 10 * 1024 * 1024  # bytes
DEPTH_LIMIT = 64  # elements inside one another
CASE_LIMIT = 10_000
TEXT_LIMIT = 20_000  # characters of a case's text
LINE_LIMIT = 1_000  # characters of a case's name or message


def read_junit(path: Path) -> list[CheckResult]:
    """Return the file's cases, named `classname.name`, in the file's order.

    Where a case holds both a failure and a mark that it was skipped, the failure counts. Raises
    OSError, and ValueError for what is not a JUnit file with at least one case, is larger than
    10 MiB, or declares a document type (the way to entities that grow without bounds).
    """
    return _results(_root(path))


class Run(NamedTuple):
    """A file written by `junit.write_report`."""

    properties: dict[str, str]
    timestamp: str  # of its first suite, UTC, as ISO 8601 without a zone
    results: list[CheckResult]


def read_run(path: Path) -> Run:
    """Return the file's suites as one; raises as `read_junit` does."""
    root = _root(path)
    suites = [root] if root.tag == "testsuite" else root.findall("testsuite")
    properties = {
        entry.get("name", ""): entry.get("value", "")
        for suite in suites
        for entry in suite.findall("properties/property")
    }
    timestamps = [suite.get("timestamp", "") for suite in suites]
    return Run(properties, next(iter(timestamps), ""), _results(root))


def _root(path: Path) -> Element:
    with path.open("rb") as file:
        data = file.read(SIZE_LIMIT + 1)
    if len(data) > SIZE_LIMIT:
        raise ValueError(f"it is larger than {SIZE_LIMIT // 1024 // 1024} MiB")
    if not data.strip():
        raise ValueError("it is empty")
    root = _parse(data)
    if root.tag not in ("testsuites", "testsuite"):
        raise ValueError(f"its outermost element is <{one_line(root.tag)}>, not <testsuites>")
    return root


def _results(root: Element) -> list[CheckResult]:
    cases = list(root.iter("testcase"))
    if not cases:
        raise ValueError("it holds no test case")
    if len(cases) > CASE_LIMIT:
        raise ValueError(f"it holds more than {CASE_LIMIT:,} test cases")
    return [_result(case) for case in cases]


def _parse(data: bytes) -> Element:
    builder = TreeBuilder()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEPTH_LIMIT:
            raise ValueError(f"its elements are nested more than {DEPTH_LIMIT} deep")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def doctype(*_: object) -> None:
        raise ValueError("it declares a document type, which is refused")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError) as error:  # LookupError: an encoding not known here
        raise ValueError(f"it is not well-formed XML: {error}") from error
    return builder.close()


def _result(case: Element) -> CheckResult:
    name = ".".join(part for part in (case.get("classname"), case.get("name")) if part)
    verdict, message, text = _verdict(case)
    outputs = [case.findtext("system-out") or "", case.findtext("system-err") or ""]
    evidence = "\n".join(part.strip("\n") for part in (text, *outputs) if part.strip())
    return CheckResult(
        name=cap(one_line(name), LINE_LIMIT) or "unnamed",
        verdict=verdict,
        message=cap(one_line(message), LINE_LIMIT),
        seconds=_seconds(case.get("time", "")),
        evidence=cap(sanitise(evidence), TEXT_LIMIT),
    )


def _verdict(case: Element) -> tuple[Verdict, str, str]:
    for tag, verdict in (
        ("error", Verdict.ERROR),
        ("failure", Verdict.FAIL),
        ("skipped", Verdict.SKIPPED),
    ):
        found = case.find(tag)
        if found is not None:
            text = found.text or ""
            first_line = next((line for line in text.splitlines() if line.strip()), "")
            return verdict, found.get("message") or first_line or f"reported as {tag}", text
    return Verdict.PASS, "passed", ""


def _seconds(text: str) -> float:
    """Some writers group thousands with commas; what is no number at all counts as zero."""
    try:
        seconds = float(text.replace(",", ""))
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and seconds >= 0 else 0.0
