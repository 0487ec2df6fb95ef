"""Generator and judge together, against a real server with two versions."""

from __future__ import annotations

import asyncio

import pytest

from tests.load.conftest import Serve
from tests.load.servers import OK_ANSWER, Seen, Server
from theseus_ci import judge
from theseus_ci.config.performance import Performance, Request
from theseus_ci.load.generator import HttpLoadGenerator
from theseus_ci.measure import Arm, Finding, Judgement, LoadTarget
from theseus_ci.model import Verdict
from theseus_ci.quantities import Duration, Percentage

NOISY = Performance(  # a machine that runs other tests at the same time is late
    requests=(Request(path="/"),),
    rate=1000,
    max_scheduling_error=Duration(10),
    min_achieved=Percentage(0.01),
)


def measured(server: Server, performance: Performance = NOISY) -> Judgement:
    target = LoadTarget(
        url=server.url(),
        arms=(
            Arm(version="previous", headers={"x-version": "previous"}),
            Arm(version="candidate", headers={"x-version": "candidate"}),
        ),
    )
    supply = HttpLoadGenerator().pairs(target, performance, seed=3, stopped=lambda: False)
    return judge.compare(supply, performance)


@pytest.mark.parametrize("milliseconds", [30, 60])
def test_a_slower_candidate_is_found(serve: Serve, milliseconds: int) -> None:
    async def answer(_: Server, seen: Seen, writer: asyncio.StreamWriter) -> None:
        slow = seen.headers["x-version"] == "candidate"
        await asyncio.sleep(milliseconds / 1000 if slow else 0.01)
        writer.write(OK_ANSWER)

    outcome = measured(serve(answer))
    assert outcome.verdict is Verdict.FAIL
    assert {one.quantile: one.ratio for one in outcome.latency}["p50"] > 1.25


def test_a_failing_candidate_is_found_at_once(serve: Serve) -> None:
    async def answer(_: Server, seen: Seen, writer: asyncio.StreamWriter) -> None:
        bad = seen.headers["x-version"] == "candidate"
        writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\noops" if bad else OK_ANSWER)

    server = serve(answer)
    outcome = measured(server)
    assert outcome.verdict is Verdict.FAIL
    assert outcome.candidate.errors == {"status": 100}
    assert outcome.candidate.samples[0].text == "oops"
    assert len(server.requests) < 600


def test_an_equal_candidate_does_not_fail(serve: Serve) -> None:
    async def answer(_: Server, __: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.005)
        writer.write(OK_ANSWER)

    outcome = measured(serve(answer))
    assert outcome.errors.finding is Finding.PASS
    assert outcome.finding in {Finding.PASS, Finding.INCONCLUSIVE}
