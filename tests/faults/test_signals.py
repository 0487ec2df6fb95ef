"""SIGTERM: no new change is begun, the state is saved, and the process ends at once, whatever it
was doing."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e import app
from tests.e2e.world import Running, until
from tests.faults.place import SMOKE, WAITS, Place
from tests.faults.proxy import Act, Call, Fault, Proxy

GENEROUS_SECONDS = 12.0  # three are promised, on a machine that has nothing else to do
NOBODY = "http://127.0.0.1:9"
LOAD = {**app.PERFORMANCE, "minDuration": "50s", "maxDuration": "60s"}
TO_THE_DARK: tuple[Any, ...] = ("begin", "base-route", "deploy", "dark-route", "await-mesh")
TO_THE_END: tuple[Any, ...] = (
    {"shift": {"weight": 100, "id": "shift-full"}},
    "drain-previous",
    "promote",
)


@dataclass(frozen=True)
class Wait:
    """A command of a flow that ends with it, and what shows that it waits."""

    command: str
    step: Any
    line: str
    config: dict[str, Any] = field(default_factory=dict)
    before: tuple[Any, ...] = TO_THE_DARK
    ready_after: str = ""


WAITS_OF = {
    "for pods": Wait(
        "deploy",
        "deploy",
        "pods of web-v2 are ready",
        {},
        TO_THE_DARK[:2],
        "1h",
    ),
    "for a smoke test": Wait(
        "smoke", "smoke", "Smoke-test", {"smoke": [*SMOKE, {"name": "slow", "bash": "slow.sh"}]}
    ),
    "for a measurement": Wait(
        "performance --baseline",
        {"performance": {"mode": "baseline", "id": "performance-baseline"}},
        "performance-baseline: ",
        {"performance": LOAD},
    ),
    "while it bakes": Wait("bake 60s", {"bake": {"for": "60s", "id": "bake"}}, "bake: "),
    "for proxies to settle": Wait(
        "drain-previous",
        "drain-previous",
        "draining web-v1",
        {"waits": {**WAITS, "settle": "10s"}},
        (*TO_THE_DARK, TO_THE_END[0]),
    ),
    "for the mesh": Wait(
        "base-route",
        "base-route",
        "edit VirtualService",
        {"entrypoint": NOBODY},
        TO_THE_DARK[:1],
    ),
}


def command_line(step: Any) -> list[str]:
    return step.split() if isinstance(step, str) else list(app.command_of(step))


def stop(place: Place, proxy: Proxy, running: Running) -> None:
    """Send SIGTERM, and see that the command ends in order."""
    proxy.forget()
    running.send(signal.SIGTERM)
    assert running.process.wait(GENEROUS_SECONDS) == 143
    done = running.wait()
    assert "stopped by signal 15" in done.err
    assert done.last_words[1] == "next: theseus-ci rollback"
    assert json.loads((place.folder / "theseus-state.json").read_text())["phase"] == "running"
    begun = [call for call in proxy.calls if call.changes]
    assert {call.plural for call in begun} <= {"configmaps", "leases"}


@pytest.mark.parametrize("kind", WAITS_OF)
def test_it_ends_a_wait(here: Place, proxy: Proxy, kind: str) -> None:
    before = here.dump()
    wait = WAITS_OF[kind]
    begun = [*wait.before, wait.step]
    steps = begun + [step for step in (*TO_THE_DARK, *TO_THE_END) if step not in begun]
    flow = {"name": "short", "title": "Short", "steps": steps}
    here.write("slow.sh", "sleep 60")
    config = {"smoke": SMOKE, "performance": None, "waits": WAITS, **wait.config}
    here.configure(
        app.candidate("v2", DEMO_READY_DELAY=wait.ready_after or "0s"), flow=flow, **config
    )
    for step in wait.before:
        here.theseus(*command_line(step))
    running = here.start_through(proxy, *wait.command.split())
    running.until_line(wait.line)
    stop(here, proxy, running)
    if kind != "for the mesh":  # nobody answers at that entrypoint, on the way back either
        here.theseus("rollback", folder=here.workspace())
        assert here.not_as(before) == []


def reads_routes(call: Call) -> bool:
    return call.method == "GET" and call.plural == "virtualservices"


def edits_routes(call: Call) -> bool:
    return call.method == "PUT" and call.plural == "virtualservices"


def everything_from_the_third_save() -> Callable[[Call], bool]:
    saves = [0]

    def matches(call: Call) -> bool:
        saves[0] += (call.method, call.plural) == ("PUT", "configmaps")
        return saves[0] >= 3

    return matches


@pytest.mark.parametrize(
    "fault",
    [
        Fault(Act.HOLD, 3, when=reads_routes),
        Fault(Act.HOLD, 2, when=edits_routes),
        Fault(Act.HOLD, times=1000, when=everything_from_the_third_save()),
    ],
    ids=["a read hangs", "a change hangs", "all hangs, the save too"],
)
def test_it_ends_while_the_api_server_hangs(here: Place, proxy: Proxy, fault: Fault) -> None:
    before = here.dump()
    here.theseus("begin")
    proxy.arm(fault)
    running = here.start_through(proxy, "base-route")
    until(fault.reached.is_set, "the API server hangs")
    stop(here, proxy, running)
    proxy.disarm()
    here.theseus("rollback", folder=here.workspace())
    assert here.not_as(before) == []
