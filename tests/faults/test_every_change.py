"""Whatever change of a release meets a fault, it gets through, goes back, or is brought forward.

A sample for every run of the tests; `python -m bench.faults --all` tries them all.
"""

from __future__ import annotations

import random

import pytest

from tests.faults.cases import BACK, FORWARD, KILLS, LEFT, RESUMED, THROUGH, Case, try_case
from tests.faults.place import Place
from tests.faults.proxy import Act, Call, Fault, Proxy

SEED = 4
CHANGES = 51  # of a whole release, about; a fault beyond the last one strikes nothing
CHOSEN = (
    Case(Act.KILL_BEFORE, 2),  # the lease is there, the state is not
    Case(Act.KILL_AFTER, 4, resume=True),
    Case(Act.CUT_AFTER, 45),  # a VirtualService, edited for the last time
    Case(Act.KILL_AFTER, 41),  # the previous version is gone: there is only the way forward
    Case(Act.KILL_AFTER, 51),
)
SAMPLE = random.Random(SEED).sample(
    [Case(act, nth, bool(nth % 2)) for act in (*KILLS, Act.CUT_AFTER) for nth in range(5, 50)], 7
)


@pytest.mark.parametrize("case", [*CHOSEN, *SAMPLE], ids=str)
def test_a_fault_at_one_change(here: Place, proxy: Proxy, case: Case) -> None:
    with here.traffic(rate=30) as requests:
        result = try_case(here, proxy, case)
    assert result.outcome != LEFT, f"{result.struck}\n{result.detail}"
    if case.act not in KILLS:
        assert result.outcome == THROUGH
    else:
        assert result.outcome in (RESUMED, BACK, FORWARD)
    assert [one for one in requests if not one.answered] == []


def reads(call: Call) -> bool:
    return call.method == "GET" and not call.watch


def any_call(call: Call) -> bool:
    return True


def watches(call: Call) -> bool:
    return call.watch


TRANSIENT = {
    "409 on a change": lambda nth: Fault(Act.ANSWER, nth, status=409),
    "409 five times": lambda nth: Fault(Act.ANSWER, nth, times=3, status=409),
    "429 with Retry-After": lambda nth: Fault(
        Act.ANSWER, nth, times=2, status=429, seconds=1, when=any_call
    ),
    "500": lambda nth: Fault(Act.ANSWER, nth, status=500, when=any_call),
    "503 three times": lambda nth: Fault(Act.ANSWER, nth, times=3, status=503, when=any_call),
    "a delay": lambda nth: Fault(Act.DELAY, nth, seconds=2.0, when=any_call),
    "a cut before": lambda nth: Fault(Act.CUT_BEFORE, nth, when=any_call),
    "a read's answer lost": lambda nth: Fault(Act.CUT_AFTER, nth, when=reads),
    "watches closed": lambda nth: Fault(Act.CLOSE_WATCH, 1, times=4, when=watches),
    "watches refused": lambda nth: Fault(Act.ANSWER, 1, times=2, status=410, when=watches),
    "410 in a watch": lambda nth: Fault(Act.GONE_EVENT, 1, times=4, when=watches),
}


@pytest.mark.parametrize("kind", TRANSIENT)
def test_a_passing_fault_is_got_through(here: Place, proxy: Proxy, kind: str) -> None:
    before = here.dump()
    fault = proxy.arm(TRANSIENT[kind](random.Random(f"{SEED} {kind}").randint(4, 48)))
    done = here.theseus("run", kubeconfig=proxy.kubeconfig)
    assert fault.struck
    assert here.not_released(before) == []
    acts = [line for line in done.out.splitlines() if "create" in line or "delete" in line]
    assert len({line.partition("  ")[2] for line in acts}) == len(acts), "nothing is done twice"
