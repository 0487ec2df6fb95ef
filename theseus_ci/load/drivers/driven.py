"""Both versions under the user's own load at once, and its answers as pairs of slices."""

from __future__ import annotations

import contextlib
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType

import msgspec

from theseus_ci.config.driver import Driver
from theseus_ci.config.performance import Performance
from theseus_ci.errors import NoData
from theseus_ci.load.drivers import hey, k6, wrk
from theseus_ci.load.drivers.answers import Answers
from theseus_ci.load.drivers.process import Tool
from theseus_ci.load.drivers.relay import Relay
from theseus_ci.load.drivers.relays import relays
from theseus_ci.load.generator import new_loop
from theseus_ci.measure import SLICE, LoadTarget, SlicePair, Version

_POLL = 0.05  # seconds between two looks whether the tools have ended
_TOOLS: dict[str, ModuleType] = {"k6": k6, "wrk": wrk, "hey": hey}
_ELSEWHERE = 0.02  # share of a tool's requests that may be under way when it ends


class _Run(msgspec.Struct, frozen=True):
    tool: Tool
    relay: Relay
    folder: Path


def driven(
    target: LoadTarget,
    performance: Performance,
    driver: Driver,
    stopped: Callable[[], bool],
) -> Iterator[SlicePair]:
    """Run the tool once for each version, at the same time, and cut what it tells into slices.

    The n-th slice of one version and the n-th of the other were answered at the same moment. Raises
    errors.NoData when a tool fails, cannot be read, sends past its relay or beyond maxRate, or does
    not end within maxDuration.
    """
    expected = performance.expected_statuses()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="theseus-")))
        places = stack.enter_context(relays(target, performance, new_loop))
        began = time.monotonic()
        runs = {
            version: _start(driver, relay, folder / version, stack)
            for version, relay in places.items()
        }
        _await(runs, performance, stopped, began)
        seconds = time.monotonic() - began
        slices = {
            version: _answers(driver, run).slices(
                version, SLICE, seconds=seconds, expected=expected
            )
            for version, run in runs.items()
        }
    for index, pair in enumerate(zip(*slices.values(), strict=False)):
        yield SlicePair(index=index, slices=pair)


def _start(driver: Driver, relay: Relay, folder: Path, stack: contextlib.ExitStack) -> _Run:
    folder.mkdir()
    url = f"http://127.0.0.1:{relay.port}"
    module = _TOOLS[driver.tool]
    arguments = module.arguments(driver.script, driver.args, folder)
    program = "bash" if driver.tool == "hey" else driver.tool
    if driver.tool == "wrk":
        arguments.append(url)
    tool = Tool(program, arguments, {**module.ENVIRONMENT, "THESEUS_URL": url}, folder)
    stack.callback(tool.kill)
    return _Run(tool, relay, folder)


def _await(
    runs: Mapping[Version, _Run],
    performance: Performance,
    stopped: Callable[[], bool],
    began: float,
) -> None:
    while any(run.tool.running() for run in runs.values()):
        if stopped():
            raise NoData("the measurement was stopped while the load tool ran")
        _require_passed_on(runs, performance)
        if time.monotonic() - began > performance.max_duration:
            raise NoData(
                f"the load tool did not end within maxDuration, {performance.max_duration}",
                remedy="shorten the script, or raise performance.maxDuration",
            )
        time.sleep(_POLL)
    _require_passed_on(runs, performance)


def _require_passed_on(runs: Mapping[Version, _Run], performance: Performance) -> None:
    for run in runs.values():
        if run.relay.allowance.exceeded:
            raise NoData(
                f"the load tool sent more than maxRate, {performance.max_rate:g} requests a "
                "second for both versions together, and was ended",
                remedy="lower its rate or its connections, or raise performance.maxRate",
            )
        if run.relay.refused:
            raise NoData(f"a request could not be passed on: {run.relay.refused}")


def _answers(driver: Driver, run: _Run) -> Answers:
    """What a tool tells, held against what its relay has seen."""
    printed = run.tool.printed()
    relay = run.relay
    answers: Answers = _TOOLS[driver.tool].read(run.folder, printed)
    if len(answers) > relay.requests * (1 + _ELSEWHERE):
        raise NoData(
            f"{driver.tool} tells of {len(answers)} requests, of which {relay.requests} went to "
            "$THESEUS_URL: the others reached nobody knows which version",
            remedy="let the script send every request to the address in THESEUS_URL",
        )
    if driver.tool == "hey":  # tells nothing of those without an answer
        lost = relay.requests - len(answers)
        if lost > _ELSEWHERE * relay.requests:
            answers = msgspec.structs.replace(
                answers,
                latencies=answers.latencies + array("I", [1]) * lost,
                statuses=answers.statuses + array("I", [0]) * lost,
            )
    return answers
