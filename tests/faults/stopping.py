"""Commands brought to where they wait, so that a signal can reach them there.

Shared by the tests, which look at what a command still does, and by `python -m bench.signals`,
which looks at how long that takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.e2e import app
from tests.e2e.world import Running, until
from tests.faults.place import SMOKE, WAITS, Place
from tests.faults.proxy import Act, Call, Fault, Proxy

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


def reach(place: Place, proxy: Proxy, kind: str) -> Running:
    """Bring the service's release to that wait; its command runs through the proxy."""
    wait = WAITS_OF[kind]
    begun = [*wait.before, wait.step]
    steps = begun + [step for step in (*TO_THE_DARK, *TO_THE_END) if step not in begun]
    flow = {"name": "short", "title": "Short", "steps": steps}
    place.write("slow.sh", "sleep 60")
    config = {"smoke": SMOKE, "performance": None, "waits": WAITS, **wait.config}
    place.configure(
        app.candidate("v2", DEMO_READY_DELAY=wait.ready_after or "0s"), flow=flow, **config
    )
    for step in wait.before:
        place.theseus(*_command_line(step))
    running = place.start_through(proxy, *wait.command.split())
    running.until_line(wait.line)
    return running


def _command_line(step: Any) -> list[str]:
    return step.split() if isinstance(step, str) else list(app.command_of(step))


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


HANGS: dict[str, Callable[[], Fault]] = {
    "a read hangs": lambda: Fault(Act.HOLD, 3, when=reads_routes),
    "a change hangs": lambda: Fault(Act.HOLD, 2, when=edits_routes),
    "all hangs, the save too": lambda: Fault(
        Act.HOLD, times=1000, when=everything_from_the_third_save()
    ),
}


def reach_hanging(place: Place, proxy: Proxy, kind: str) -> Running:
    """Bring a command to a request which the API server does not answer."""
    place.theseus("begin")
    fault = proxy.arm(HANGS[kind]())
    running = place.start_through(proxy, "base-route")
    until(fault.reached.is_set, "the API server hangs")
    return running
