"""One fault at one change of a whole release, and the way back or forward from there.

Shared by the tests, which try a sample, and by `python -m bench.faults`, which can try them all.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

from tests.e2e.api import Object
from tests.e2e.world import COMMAND, Done
from tests.faults.place import Place
from tests.faults.proxy import Act, Call, Fault, Proxy

COMMAND_SECONDS = 150
THROUGH = "got through"
BACK = "rolled back"
FORWARD = "brought forward"
RESUMED = "resumed"
LEFT = "left behind"
OUTCOMES = (THROUGH, BACK, FORWARD, RESUMED, LEFT)
KILLS = (Act.KILL_BEFORE, Act.KILL_AFTER)


@dataclass(frozen=True)
class Case:
    """The fault strikes at change `nth`; `resume`: go on afterwards instead of rolling back."""

    act: Act
    nth: int
    resume: bool = False

    def __str__(self) -> str:
        way = ", then run --resume" if self.resume else ", then rollback"
        return f"{self.act.value}, change {self.nth}{way if self.act in KILLS else ''}"


@dataclass(frozen=True)
class Result:
    """How a case ended; `detail` says what is wrong when something is left behind."""

    case: Case
    outcome: str
    struck: str = ""
    detail: str = ""


def every_case(count: int) -> list[Case]:
    """All of them for a release of `count` changes."""
    made = [Case(Act.CUT_AFTER, nth) for nth in range(1, count + 1)]
    for act in KILLS:
        for resume in (False, True):
            made += [Case(act, nth, resume) for nth in range(1, count + 1)]
    return made


def count_changes(place: Place, proxy: Proxy) -> list[Call]:
    """The changes of a whole release without a fault, in order."""
    before = place.dump()
    proxy.forget()
    place.theseus("run", kubeconfig=proxy.kubeconfig)
    assert not (wrong := place.not_released(before)), wrong
    place.settle()
    return [call for call in proxy.calls if call.changes]


def try_case(place: Place, proxy: Proxy, case: Case) -> Result:
    """Begin a release, let the fault strike, and bring the world to a definite end."""
    before = place.dump()
    process: list[subprocess.Popen[str]] = []
    fault = Fault(case.act, case.nth, victim=lambda: process[0].pid)
    proxy.arm(fault)
    first = _run(place, proxy, process)
    proxy.disarm()
    struck = str(fault.struck[0]) if fault.struck else "nothing"
    if case.act not in KILLS or not fault.struck:
        wrong = [] if first.code == 0 else [f"exit {first.code}"]
        return _end(place, case, struck, THROUGH, wrong + place.not_released(before), [first])
    if first.code != -9:
        return Result(case, LEFT, struck, f"was to be killed, exit {first.code}\n{first.text}")
    return (_resume if case.resume else _way_back)(place, case, struck, before)


def _way_back(place: Place, case: Case, struck: str, before: dict[str, Object]) -> Result:
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


def _resume(place: Place, case: Case, struck: str, before: dict[str, Object]) -> Result:
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
    place: Place, case: Case, struck: str, outcome: str, wrong: list[str], said: list[Done]
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
