"""Results as a JUnit file that Jenkins shows as they are meant.

Jenkins keys a case's history on suite, class and name, throws when no case is found, and takes a
failure without a text for a pass: hence constant names, the same cases on every run, at least one
case always, and a text in every failure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from math import inf
from pathlib import Path
from types import MappingProxyType
from xml.etree.ElementTree import Element, SubElement, tostring

import junit_xml
import msgspec

from theseus_ci.model import CheckResult, Verdict
from theseus_ci.report.files import write_whole
from theseus_ci.report.junit_reader import read_junit
from theseus_ci.report.sanitise import cap, one_line, sanitise

__all__ = ["read_junit", "write_report"]

FAILING_LIMIT = 100_000  # characters; Jenkins has no limit of its own for a failure's text
PASSING_LIMIT = 1_000  # characters; what Jenkins keeps of a passing case's output
LINE_LIMIT = 1_000  # characters of a message, a property


def write_report(
    path: Path,
    *,
    service: str,
    stage: str,
    results: Sequence[CheckResult],
    expected_names: Sequence[str] = (),
    skipped_reason: str = "",
    started: float,
    properties: Mapping[str, str],
    situation: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write one suite, `theseus.<stage>`, to `path`, atomically.

    `expected_names` are the cases of every run of this stage: those without a result are reported
    as skipped, for `skipped_reason`. `started` is in seconds since the epoch. With neither results
    nor names, the stage itself is the one case. `situation` stands in every failure: what it meant
    for traffic, what came of it. Raises OSError.
    """
    classname = f"theseus.{service.replace('.', '-')}.{_class_of(stage)}"
    cases = _same_cases(stage, results, expected_names, skipped_reason)
    suite = junit_xml.TestSuite(
        f"theseus.{stage}",
        [_case(result, classname, situation) for result in cases],
        timestamp=datetime.fromtimestamp(started, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S"),
        properties={_line(name): _line(value) for name, value in properties.items()},
    )
    element = suite.build_xml_doc()
    for result, case_element in zip(cases, element.iter("testcase"), strict=True):
        _complete(case_element, result)
    root = Element("testsuites")
    root.append(element)
    write_whole(path, f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(root, "unicode")}\n')


def _class_of(stage: str) -> str:
    """`smoke-half` is SmokeHalf."""
    words = re.split(r"[^0-9A-Za-z]+", stage)
    return "".join(word[:1].upper() + word[1:] for word in words) or "Stage"


def _same_cases(
    stage: str, results: Sequence[CheckResult], expected_names: Sequence[str], reason: str
) -> list[CheckResult]:
    """Results in the order of the expected names, the missing ones as skipped, others behind."""
    reason = reason or "not reached"
    by_name: dict[str, list[CheckResult]] = {}
    for result in results:
        by_name.setdefault(one_line(result.name), []).append(result)
    expected = list(dict.fromkeys(one_line(name) for name in expected_names))
    ordered: list[CheckResult] = []
    for name in expected:
        ordered += by_name.pop(name, []) or [_without_result(name, Verdict.SKIPPED, reason)]
    expected_or_before = {id(result) for result in ordered}
    ordered += [result for result in results if id(result) not in expected_or_before]
    return list(_unique(ordered or [_stage_itself(stage, expected_names, reason)]))


def _stage_itself(stage: str, expected_names: Sequence[str], reason: str) -> CheckResult:
    if reason != "not reached":
        return _without_result(stage, Verdict.SKIPPED, reason)
    return _without_result(stage, Verdict.ERROR, "the stage ended without checking anything")


def _without_result(name: str, verdict: Verdict, reason: str) -> CheckResult:
    return CheckResult(name=name, verdict=verdict, message=reason, seconds=0.0)


def _unique(results: Iterable[CheckResult]) -> Iterator[CheckResult]:
    """Number the second and later results of a name: Jenkins would show only one of them."""
    seen: set[str] = set()
    for result in results:
        stem = name = one_line(result.name) or "unnamed"
        number = 1
        while name in seen:
            number += 1
            name = f"{stem} ({number})"
        seen.add(name)
        yield msgspec.structs.replace(result, name=name)


def _case(result: CheckResult, classname: str, situation: Mapping[str, str]) -> junit_xml.TestCase:
    case = junit_xml.TestCase(result.name, classname, _seconds(result))
    message = _line(result.message) or f"{result.verdict.value}, without a reason given"
    if result.verdict is Verdict.SKIPPED:
        case.add_skipped_info(message)
    elif result.verdict is Verdict.PASS:
        case.stdout = cap(_text(_passing_parts(result)), PASSING_LIMIT)
    else:
        text = cap(_text(_failing_parts(result, situation)), FAILING_LIMIT) or message
        add = case.add_failure_info if result.verdict is Verdict.FAIL else case.add_error_info
        add(message, text)
    return case


def _complete(case: Element, result: CheckResult) -> None:
    """Add what junit_xml leaves out: a time of zero, and properties of a case."""
    case.set("time", f"{_seconds(result):.6f}")
    if result.details:
        properties = Element("properties")
        case.insert(0, properties)
        for name, value in result.details.items():
            SubElement(properties, "property", {"name": _line(name), "value": _line(value)})


def _seconds(result: CheckResult) -> float:
    seconds = result.seconds if result.charted_seconds is None else result.charted_seconds
    return seconds if 0 <= seconds < inf else 0.0


def _passing_parts(result: CheckResult) -> dict[str, str]:
    return {
        "": result.message,
        "expected": result.expected,
        "actual": result.actual,
        "evidence": result.evidence,
    }


def _failing_parts(result: CheckResult, situation: Mapping[str, str]) -> dict[str, str]:
    """What a person needs, in the order it is needed; evidence may be long, so it comes late."""
    return {
        "": result.message,
        "expected": result.expected,
        "actual": result.actual,
        "what to do": result.remedy,
        **situation,
        "evidence": result.evidence,
        "to repeat it": result.repeat,
    }


def _text(parts: Mapping[str, str]) -> str:
    written = []
    for title, text in parts.items():
        clean = sanitise(text).strip("\n")
        if not clean.strip():
            continue
        if not title:
            written.append(clean.strip())
        else:
            written.append(f"{title}:\n{clean}" if "\n" in clean else f"{title}: {clean}")
    return "\n\n".join(written)


def _line(text: object) -> str:
    return cap(one_line(str(text)), LINE_LIMIT)
