"""JUnit files written by others, read without trusting them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat

from theseus_ci.model import CheckResult, Verdict
from theseus_ci.report.sanitise import cap, one_line, sanitise

SIZE_LIMIT = 10 * 1024 * 1024  # bytes
DEPTH_LIMIT = 64  # elements inside one another
CASE_LIMIT = 10_000
TEXT_LIMIT = 20_000  # characters of a case's text
LINE_LIMIT = 1_000  # characters of a case's name or message
_OUTCOMES = {"error": Verdict.ERROR, "failure": Verdict.FAIL, "skipped": Verdict.SKIPPED}
_OUTPUTS = ("system-out", "system-err")
_READ = frozenset({"testsuite", "property", "testcase", *_OUTCOMES, *_OUTPUTS})


def read_junit(path: Path) -> list[CheckResult]:
    """Return the file's cases, named `classname.name`, in the file's order.

    Where a case holds both a failure and a mark that it was skipped, the failure counts. Raises
    OSError, and ValueError for what is not a JUnit file with at least one case, is larger than
    10 MiB, or declares a document type (the way to entities that grow without bounds).
    """
    return _results(_root(path))


class _Element:
    """As much of an element as counts here: of its text what stands before its first child.

    To import ElementTree takes longer than to read a usual file.
    """

    __slots__ = ("attributes", "children", "pieces", "tag", "text_is_whole")

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.children: list[_Element] = []
        self.pieces: list[str] = []
        self.text_is_whole = False

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def get(self, name: str) -> str:
        return self.attributes.get(name, "")

    def named(self, tag: str) -> list[_Element]:
        return [child for child in self.children if child.tag == tag]

    def all_named(self, tag: str) -> Iterator[_Element]:
        """This one and those within it, in the file's order."""
        if self.tag == tag:
            yield self
        for child in self.children:
            yield from child.all_named(tag)


class Run(NamedTuple):
    """A file written by `junit.write_report`."""

    properties: dict[str, str]
    timestamp: str  # of its first suite, UTC, as ISO 8601 without a zone
    results: list[CheckResult]


def read_run(path: Path) -> Run:
    """Return the file's suites as one; raises as `read_junit` does."""
    root = _root(path)
    suites = [root] if root.tag == "testsuite" else root.named("testsuite")
    properties = {
        entry.get("name"): entry.get("value")
        for suite in suites
        for group in suite.named("properties")
        for entry in group.named("property")
    }
    timestamps = [suite.get("timestamp") for suite in suites]
    return Run(properties, next(iter(timestamps), ""), _results(root))


def _root(path: Path) -> _Element:
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


def _results(root: _Element) -> list[CheckResult]:
    cases = list(root.all_named("testcase"))
    if not cases:
        raise ValueError("it holds no test case")
    if len(cases) > CASE_LIMIT:
        raise ValueError(f"it holds more than {CASE_LIMIT:,} test cases")
    return [_result(case) for case in cases]


def _parse(data: bytes) -> _Element:
    document = _Element("", {})
    open_ones = [document]

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(open_ones) > DEPTH_LIMIT:
            raise ValueError(f"its elements are nested more than {DEPTH_LIMIT} deep")
        open_ones[-1].text_is_whole = True
        open_ones.append(_Element(tag, attributes))

    def end(tag: str) -> None:
        element = open_ones.pop()
        if tag in _READ or element.children or len(open_ones) == 1:  # no millions of others
            open_ones[-1].children.append(element)

    def text(data: str) -> None:
        if not open_ones[-1].text_is_whole:
            open_ones[-1].pieces.append(data)

    def doctype(*_: object) -> None:
        raise ValueError("it declares a document type, which is refused")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError) as error:  # LookupError: an encoding not known here
        raise ValueError(f"it is not well-formed XML: {error}") from error
    return document.children[0]


def _result(case: _Element) -> CheckResult:
    name = ".".join(part for part in (case.get("classname"), case.get("name")) if part)
    verdict, message, text = _verdict(case)
    outputs = [one.text for tag in _OUTPUTS for one in case.named(tag)[:1]]
    evidence = "\n".join(part.strip("\n") for part in (text, *outputs) if part.strip())
    return CheckResult(
        name=cap(one_line(name), LINE_LIMIT) or "unnamed",
        verdict=verdict,
        message=cap(one_line(message), LINE_LIMIT),
        seconds=_seconds(case.get("time")),
        evidence=cap(sanitise(evidence), TEXT_LIMIT),
    )


def _verdict(case: _Element) -> tuple[Verdict, str, str]:
    for tag, verdict in _OUTCOMES.items():
        for found in case.named(tag)[:1]:
            text = found.text
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
