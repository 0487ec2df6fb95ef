"""Faults in a whole release, and the way back or forward from there.

Shared by the tests, which try a sample, and by `python -m bench.faults`, which can try them all.
"""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.e2e.api import Object
from tests.e2e.world import COMMAND, Done
from tests.faults.place import Place
from tests.faults.proxy import Act, Call, Fault, Proxy

COMMAND_SECONDS = 240
THROUGH = "got through"
BACK = "rolled back"
FORWARD = "promoted"
RESUMED = "resumed"
LEFT = "left behind"
OUTCOMES = (THROUGH, BACK, FORWARD, RESUMED, LEFT)
FOREVER = 10**9


def any_call(call: Call) -> bool:
    return True


def reads(call: Call) -> bool:
    return call.method == "GET" and not call.watch


def watches(call: Call) -> bool:
    return call.watch


@dataclass(frozen=True)
class Kind:
    """A kind of fault, and what a release is expected to do about it.

    `every`: such a fault passes, so one release meets it at every such-and-such request; 0: one
    fault a release, at each change (at each `step`-th, where a case takes minutes). `fatal`: the
    command cannot get through by itself.
    """

    name: str
    make: Callable[[int], Fault]
    every: int = 0
    fatal: bool = False
    step: int = 1

    def fault(self, nth: int) -> Fault:
        made = self.make(nth)
        made.every = self.every
        return made


EVERY = 10
KINDS = {
    kind.name: kind
    for kind in (
        Kind("killed before", lambda nth: Fault(Act.KILL_BEFORE, nth), fatal=True),
        Kind("killed after", lambda nth: Fault(Act.KILL_AFTER, nth), fatal=True),
        Kind("answer lost", lambda nth: Fault(Act.CUT_AFTER, nth)),
        Kind("away for good", lambda nth: Fault(Act.ANSWER, nth, FOREVER), fatal=True, step=7),
        Kind("409", lambda nth: Fault(Act.ANSWER, nth, status=409), EVERY),
        Kind(
            "429, Retry-After: 1",
            lambda nth: Fault(Act.ANSWER, nth, status=429, seconds=1, when=any_call),
            EVERY,
        ),
        Kind("500", lambda nth: Fault(Act.ANSWER, nth, status=500, when=any_call), EVERY),
        Kind("503", lambda nth: Fault(Act.ANSWER, nth, status=503, when=any_call), EVERY),
        Kind("delayed", lambda nth: Fault(Act.DELAY, nth, seconds=0.5, when=any_call), EVERY),
        Kind("cut before", lambda nth: Fault(Act.CUT_BEFORE, nth, when=any_call), EVERY),
        Kind("a read's answer lost", lambda nth: Fault(Act.CUT_AFTER, nth, when=reads), EVERY),
        Kind("watch closed", lambda nth: Fault(Act.CLOSE_WATCH, nth, when=watches), 2),
        Kind(
            "watch refused: 410",
            lambda nth: Fault(Act.ANSWER, nth, status=410, when=watches),
            2,
        ),
        Kind("410 in a watch", lambda nth: Fault(Act.GONE_EVENT, nth, when=watches), 2),
    )
}
KILLS = ("killed before", "killed after")
AWAY = "away for good"


@dataclass(frozen=True)
class Case:
    """The fault strikes at request `nth`, of changes or of what its kind is for; `resume`: go on
    afterwards instead of rolling back."""

    kind: str
    nth: int
    resume: bool = False

    def __str__(self) -> str:
        every = KINDS[self.kind].every
        where = f"request {self.nth} of every {every}" if every else f"change {self.nth}"
        way = ", then run --resume" if self.resume else ", then rollback"
        return f"{self.kind}, {where}{way if KINDS[self.kind].fatal else ''}"


@dataclass(frozen=True)
class Result:
    """How a case ended; `struck` says what was hit, `detail` what is wrong when something is left
    behind."""

    case: Case
    outcome: str
    struck: tuple[str, ...] = ()
    detail: str = ""


def every_case(count: int) -> list[Case]:
    """All of them for a release of `count` changes."""
    made = []
    for kind in KINDS.values():
        for resume in (False, True) if kind.fatal else (False,):
            until = kind.every or count
            made += [Case(kind.name, nth, resume) for nth in range(1, until + 1, kind.step)]
    return made


def count_requests(place: Place, proxy: Proxy) -> list[Call]:
    """The requests of a whole release without a fault, in order."""
    before = place.dump()
    proxy.forget()
    place.theseus("run", kubeconfig=proxy.kubeconfig)
    assert not (wrong := place.not_released(before)), wrong
    calls = list(proxy.calls)
    place.settle()
    return calls


def try_case(place: Place, proxy: Proxy, case: Case) -> Result:
    """Begin a release, let the fault strike, and bring the world to a definite end."""
    before = place.dump()
    process: list[subprocess.Popen[str]] = []
    fault = KINDS[case.kind].fault(case.nth)
    fault.victim = lambda: process[0].pid
    proxy.forget()
    proxy.arm(fault)
    first = _run(place, proxy, process)
    proxy.disarm()
    struck = tuple(map(str, fault.struck[:100]))
    if not KINDS[case.kind].fatal or not struck:
        wrong = [] if first.code == 0 else [f"exit {first.code}"]
        wrong += place.not_released(before) + _done_twice(proxy)
        return _end(place, case, struck, THROUGH, wrong, [first])
    if why := _not_stopped_well(case, first):
        return Result(case, LEFT, struck, f"{why}\n{first.text}")
    return (_resume if case.resume else _way_back)(place, case, struck, before)


def _done_twice(proxy: Proxy) -> list[str]:
    counts = Counter(proxy.made)
    return [f"{what} was done {count} times" for what, count in counts.items() if count > 1]


def _not_stopped_well(case: Case, first: Done) -> str:
    """What is wrong with how the command ended that the fault has stopped; "" when nothing is."""
    if case.kind in KILLS:
        return "" if first.code == -9 else f"was to be killed, exit {first.code}"
    if first.code != 3:
        return f"was to stop with exit 3, exit {first.code}"
    if "the API server" not in first.err or not first.last_words[1].startswith("next: "):
        return "does not say what is wrong, and what to do"
    return ""


def _way_back(
    place: Place, case: Case, struck: tuple[str, ...], before: dict[str, Object]
) -> Result:
    """From another agent, which has theseus.yaml and nothing else."""
    folder = place.workspace()
    back = place.theseus("rollback", folder=folder, code=None)
    if back.code == 0:
        if not place.not_as(before):
            return Result(case, BACK, struck)
        wrong = place.not_released(before)
        return _end(place, case, struck, FORWARD, wrong and place.not_as(before), [back])
    if back.code != 3 or "theseus-ci promote" not in back.err:
        return Result(case, LEFT, struck, f"rollback: exit {back.code}\n{back.text}")
    forward = place.theseus("promote", folder=folder, code=None)
    wrong = [] if forward.code == 0 else [f"promote: exit {forward.code}"]
    return _end(place, case, struck, FORWARD, wrong + place.not_released(before), [back, forward])


def _resume(place: Place, case: Case, struck: tuple[str, ...], before: dict[str, Object]) -> Result:
    """On the agent where it was killed, or on another one that has the repository's files."""
    elsewhere = case.nth % 2 == 1
    folder = place.workspace(whole=True) if elsewhere else place.folder
    again = place.theseus("run", "--resume", folder=folder, code=None)
    if again.code == 0:
        return _end(place, case, struck, RESUMED, place.not_released(before), [again])
    if "no rollout" not in again.err:
        return Result(case, LEFT, struck, f"run --resume: exit {again.code}\n{again.text}")
    # It had not begun, or it had ended but for its lease: rollback clears that away.
    return _way_back(place, case, struck, before)


def _end(
    place: Place,
    case: Case,
    struck: tuple[str, ...],
    outcome: str,
    wrong: list[str],
    said: list[Done],
) -> Result:
    if wrong:
        text = "\n".join(one.text for one in said)
        return Result(case, LEFT, struck, "\n".join(wrong) + "\n" + text)
    place.settle()
    return Result(case, outcome, struck)


def _run(place: Place, proxy: Proxy, process: list[subprocess.Popen[str]]) -> Done:
    paths = [place.folder / name for name in ("out.txt", "err.txt")]
    with paths[0].open("w") as out, paths[1].open("w") as err:
        started = subprocess.Popen(
            [COMMAND, "run"],
            cwd=place.folder,
            env={**os.environ, "KUBECONFIG": str(proxy.kubeconfig)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            text=True,
        )
        process.append(started)
        try:
            code = started.wait(COMMAND_SECONDS)
        finally:
            started.kill()
            started.wait()
    return Done(code, *(path.read_text(encoding="utf-8") for path in paths))
