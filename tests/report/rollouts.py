"""Rollouts as their states say them, judged by the real judge, for tests of the report."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from tests.judge.simulation import World, lognormal, pairs
from theseus_ci.config.performance import Performance, Request
from theseus_ci.judge.cases import results
from theseus_ci.judge.verdict import baseline, compare
from theseus_ci.measure import Judgement
from theseus_ci.model import CheckResult, Verdict
from theseus_ci.plan import Gate, LeftOut, Plan, Step
from theseus_ci.rollout import state as states
from theseus_ci.rollout.state import (
    Before,
    GateAnswer,
    JournalEntry,
    Ref,
    Routes,
    State,
    StepRecord,
    Subset,
    Version,
)

STARTED = 1_700_000_000.0
SERVICE = Performance(requests=(Request(path="/"),), rate=200)
ROUTE = Ref(kind="VirtualService", namespace="shop", name="web")
RULE = Ref(kind="DestinationRule", namespace="shop", name="web-theseus")
STEPS = (
    ("begin", "begin", "Check everything"),
    ("deploy", "deploy", "Deploy the candidate"),
    ("smoke-dark", "smoke", "Smoke-test the candidate"),
    ("shift-half", "shift 50", "Shift 50 %"),
    ("performance-half", "performance --baseline", "Measure both versions"),
    ("shift-full", "shift 100", "Shift everything"),
    ("promote", "promote", "Delete the previous version"),
)
HEALTH = CheckResult(
    name="health",
    verdict=Verdict.PASS,
    message="status 200 in 6.7 ms",
    seconds=0.01,
    expected="status 200",
    actual="as expected",
    repeat="curl -sS http://127.0.0.1:1/health",
)


@cache
def judged(slower: float = 1.0, failing: float = 0.0, alone: bool = False) -> Judgement:
    """A measurement of a candidate that is so much slower, and fails so often."""
    beside = World(latency=lognormal(3, 20.0), slower=slower, failing=failing)
    if not alone:
        return baseline(pairs(beside, 1), SERVICE)
    first = baseline(pairs(msgspec.structs.replace(beside, slower=1.0), 1), SERVICE)
    single = msgspec.structs.replace(beside, alone=True)
    return compare(pairs(single, 1), SERVICE, first.candidate)


def rollout(**changes: Any) -> State:
    """A rollout that has begun; `changes` are fields of the state."""
    plan = Plan(
        flow="canary",
        title="Canary",
        has_previous=True,
        steps=tuple(
            Step(
                id=step,
                command=tuple(command.split()),
                title=title,
                gate=Gate(message="Release it?", timeout=3600.0, submitter="oncall")
                if step == "promote"
                else None,
            )
            for step, command, title in STEPS
        ),
        left_out=(LeftOut(id="autoscale", title="Give it its autoscaler", reason="there is none"),),
    )
    values: dict[str, Any] = {
        "theseus": "0.1.0",
        "rollout": "web-20231114-221320-abcdef",
        "service": "web",
        "namespace": "shop",
        "holder": "https://jenkins.example.com/job/web/7/",
        "started": STARTED,
        "config": {},
        "plan": plan,
        "previous": Version(deployment="web-v1", label="v1", pod_labels={"version": "v1"}),
        "candidate": Version(deployment="web-v2", label="v2", pod_labels={"version": "v2"}),
        "before": Before(replicas=3, paused=False),
        "wanted_replicas": 3,
        "routes": Routes(
            virtual_services=(ROUTE,),
            destination_rule=RULE,
            created=(RULE,),
            previous=Subset(name="v1", labels={"version": "v1"}, owned=True),
            candidate=Subset(name="v2", labels={"version": "v2"}, owned=True),
        ),
        "created": [Ref(kind="Deployment", namespace="shop", name="web-v2")],
        "journal": journal(),
        "notes": ["VirtualService shop/web was edited by somebody else meanwhile"],
    }
    return State(**(values | changes))


def journal() -> list[JournalEntry]:
    """What such a rollout does at first."""
    acts = (
        ("deploy", "create Deployment shop/web-v2, with no replicas yet", "done"),
        ("deploy", "raise web-v2 to 3 replicas", "done"),
        ("shift-half", "candidate's weight to 50 %: edit VirtualService shop/web", "done"),
        ("shift-half", "raise web-v2-other to 9 replicas", "done"),
    )
    return [
        JournalEntry(at=STARTED + number, step=step, act=act, outcome=outcome)
        for number, (step, act, outcome) in enumerate(acts)
    ]


def record(step: str, number: int, **changes: Any) -> StepRecord:
    """A finished step, the `number`th, of two seconds."""
    values: dict[str, Any] = {
        "id": step,
        "verdict": Verdict.PASS,
        "summary": f"{step} is done",
        "started": STARTED + 2 * number,
        "seconds": 2.0,
        "weight": 0,
    }
    return StepRecord(**(values | changes))


def passed(upto: int) -> list[StepRecord]:
    """The records of the plan's first steps."""
    weights = {"shift-half": 50, "performance-half": 50, "shift-full": 100, "promote": 100}
    return [
        record(
            step,
            number,
            weight=weights.get(step, 0),
            results=(HEALTH,) if step == "smoke-dark" else (),
        )
        for number, (step, _, _) in enumerate(STEPS[:upto])
    ]


def promoted() -> State:
    """All went well."""
    judgement = judged()
    steps = passed(7)
    steps[4] = msgspec.structs.replace(
        steps[4], summary=judgement.sentence, results=tuple(results(judgement))
    )
    consent = GateAnswer(step="promote", approved=True, by="alice", at=STARTED + 12)
    return rollout(
        phase=states.PHASE_PROMOTED,
        weight=100,
        steps=steps,
        judgements={"performance-half": judgement},
        gates=[consent],
    )


def too_slow(**changes: float) -> State:
    """Performance failed at 50 %, the brake was pulled, everything is back."""
    judgement = judged(**(changes or {"slower": 2.0}))
    bad = record(
        "performance-half",
        4,
        verdict=judgement.verdict,
        summary=judgement.sentence,
        results=tuple(results(judgement)),
    )
    back = record("rollback", 5, summary="everything is as it was: production runs web-v1")
    return rollout(
        phase=states.PHASE_ROLLED_BACK,
        steps=[*passed(4), bad, back],
        judgements={"performance-half": judgement},
    )


def broken(**changes: Any) -> State:
    """A smoke check failed before any traffic, and nothing has been put back yet."""
    values: dict[str, Any] = {
        "name": "orders",
        "verdict": Verdict.FAIL,
        "message": "status 500 instead of 200",
        "expected": "status 200",
        "actual": "status 500",
        "repeat": "curl -sS http://127.0.0.1:1/orders",
    }
    failed = msgspec.structs.replace(HEALTH, **(values | changes))
    bad = record(
        "smoke-dark", 2, verdict=Verdict.FAIL, summary="1 of 2 failed", results=(HEALTH, failed)
    )
    return rollout(steps=[*passed(2), bad])


def unknown() -> State:
    """The cluster did not answer, and everything is back."""
    ended = CheckResult(
        name="completed",
        verdict=Verdict.ERROR,
        message="the API server does not answer",
        seconds=0.0,
        remedy="see whether it runs",
    )
    bad = record(
        "shift-half", 3, verdict=Verdict.ERROR, summary=ended.message, results=(ended,), weight=50
    )
    steps = [*passed(3), bad, record("rollback", 4)]
    return rollout(phase=states.PHASE_ROLLED_BACK, steps=steps)


def rejected() -> State:
    """A person said no before the last step."""
    no = GateAnswer(step="promote", approved=False, by="bob", at=STARTED + 13, comment="not today")
    steps = [*passed(6), record("rollback", 7)]
    return rollout(phase=states.PHASE_ROLLED_BACK, steps=steps, gates=[no])


def refused() -> State:
    """The same, before anything is put back."""
    back = rejected()
    return rollout(steps=back.steps[:-1], gates=back.gates, weight=100)


def expired() -> State:
    """Nobody answered the gate before the last step."""
    no = GateAnswer(
        step="promote", approved=False, by="", at=STARTED + 13, comment="no answer in 90 minutes"
    )
    return msgspec.structs.replace(rejected(), gates=[no])


def stuck() -> State:
    """The rollback could not be completed."""
    ended = CheckResult(
        name="completed",
        verdict=Verdict.ERROR,
        message="2 pods of web-v1 are not ready",
        seconds=0.0,
        remedy="mend that",
    )
    bad = record("rollback", 5, verdict=Verdict.ERROR, summary=ended.message, results=(ended,))
    steps = [*too_slow().steps[:-1], bad]
    return rollout(phase=states.PHASE_ROLLING_BACK, steps=steps, weight=0)


def under_way() -> State:
    """Half of the traffic is on the candidate."""
    return rollout(steps=passed(4), weight=50)


def waiting() -> State:
    """All that is left to do waits for a person."""
    return rollout(steps=passed(6), weight=100)


def alone() -> State:
    """The previous version is drained: the candidate is held against its first run."""
    judgement = judged(alone=True)
    steps = passed(5)
    return rollout(
        steps=steps,
        weight=100,
        judgements={"performance-half": judgement},
        baseline={"candidate": judged().candidate},
    )


def first_release() -> State:
    """There was no previous version."""
    return rollout(
        phase=states.PHASE_PROMOTED, previous=None, before=None, weight=100, steps=passed(7)
    )


ALL = (
    promoted,
    too_slow,
    broken,
    unknown,
    rejected,
    refused,
    expired,
    stuck,
    under_way,
    waiting,
    alone,
    first_release,
    rollout,
)
