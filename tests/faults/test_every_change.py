"""Whatever request of a release meets a fault, it gets through, goes back, or is brought forward.

A sample for every run of the tests; `python -m bench.faults --all` tries them all.
"""

from __future__ import annotations

import random
import signal

import pytest

from tests.faults.cases import (
    BACK,
    FOREVER,
    FORWARD,
    KILLS,
    KINDS,
    LEFT,
    RESUMED,
    THROUGH,
    Case,
    try_case,
)
from tests.faults.place import Place
from tests.faults.proxy import Act, Call, Fault, Proxy

SEED = 4
BEFORE, AFTER = KILLS
CHOSEN = (
    Case(BEFORE, 2),  # the lease is there, the state is not
    Case(AFTER, 4, resume=True),
    Case("answer lost", 45),  # a VirtualService, edited for the last time
    Case(AFTER, 41),  # the previous version is gone: there is only the way forward
    Case(AFTER, 51),  # about the last one; a fault beyond it strikes nothing
)
SAMPLE = random.Random(SEED).sample(
    [Case(kind, nth, bool(nth % 2)) for kind in (*KILLS, "answer lost") for nth in range(5, 50)], 5
)
PASSING = tuple(
    Case(kind.name, random.Random(f"{SEED} {kind.name}").randint(1, kind.every))
    for kind in KINDS.values()
    if kind.every
)


class Again:
    """Holds for every change at its first try, and not at the second."""

    def __init__(self) -> None:
        self._tried: set[tuple[str, str, str]] = set()

    def __call__(self, call: Call) -> bool:
        key = (call.method, call.plural, call.name)
        first = call.changes and key not in self._tried
        if first:
            self._tried.add(key)
        elif call.changes:
            self._tried.remove(key)
        return first


def test_every_change_meets_somebody_elses_once(here: Place, proxy: Proxy) -> None:
    """A controller that writes the same objects all the time: each write conflicts, then not."""
    before = here.dump()
    fault = proxy.arm(Fault(Act.ANSWER, times=FOREVER, when=Again(), status=409))
    here.theseus("run", kubeconfig=proxy.kubeconfig)
    assert here.not_released(before) == []
    assert {call.plural for call in fault.struck} >= {"leases", "virtualservices", "deployments"}
    assert sorted(set(proxy.made)) == sorted(proxy.made), "nothing is done twice"


def removes_the_state(call: Call) -> bool:
    return call.method == "DELETE" and call.plural == "configmaps"


@pytest.mark.parametrize("successor", ["run --resume", "promote", "rollback"])
def test_a_death_at_the_very_end_leaves_nothing(here: Place, proxy: Proxy, successor: str) -> None:
    """All is given back and said to be done, but the state and the lease are still there."""
    before = here.dump()
    process = here.start_through(proxy, "run")
    proxy.arm(Fault(Act.KILL_BEFORE, when=removes_the_state, victim=lambda: process.process.pid))
    assert process.wait().code == -signal.SIGKILL
    proxy.disarm()
    done = here.theseus(*successor.split(), code=3 if successor == "rollback" else 0)
    if successor == "rollback":
        assert done.last_words[1] == "next: theseus-ci promote"
        here.theseus("promote")
    assert here.not_released(before) == []


@pytest.mark.parametrize("case", [*CHOSEN, *SAMPLE, *PASSING], ids=str)
def test_a_fault(here: Place, proxy: Proxy, case: Case) -> None:
    with here.traffic(rate=30) as requests:
        result = try_case(here, proxy, case)
    assert result.outcome != LEFT, f"{result.struck}\n{result.detail}"
    if KINDS[case.kind].every:
        assert result.struck
    if KINDS[case.kind].fatal:
        assert result.outcome in (RESUMED, BACK, FORWARD)
    else:
        assert result.outcome == THROUGH
    assert [one for one in requests if not one.answered] == []
