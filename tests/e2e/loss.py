"""A service with users at a gateway and inside the mesh, whose releases must lose no request.

Shared by the tests and by `python -m bench.zero_loss`.
"""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

from tests.e2e import app
from tests.e2e.api import Api
from tests.e2e.world import DEADLINE_SECONDS, World, until
from theseus_ci.demo.traffic import Request, read_requests
from theseus_ci.sandbox.cluster import Sandbox

HEALTH = {"name": "health", "http": {"path": "/health", "expect": {"status": 200}}}
QUICK = {"name": "fast enough", "http": {"path": "/x", "expect": {"within": "300ms"}}}
SLOW_UNDER_LOAD = {"DEMO_BAD_ABOVE_RATE": "30", "DEMO_BAD_LATENCY": "400ms"}
BEFORE_THE_END = (
    "base-route",
    "deploy",
    "dark-route",
    "await-mesh",
    "shift-first",
    "shift-half",
    "bake-half",
    "shift-full",
    "drain-previous",
    "scale-down-previous",
)
"""Steps from which there is a way back."""


@contextmanager
def meshed(sandbox: Sandbox, folder: Path) -> Iterator[World]:
    """A namespace with a service that is reached through the gateway and from inside the mesh."""
    api = Api(sandbox.kubeconfig, folder)
    world = World(sandbox, api, f"loss-{secrets.token_hex(3)}", folder)
    api.create("Namespace", "", {"metadata": {"name": world.namespace}})
    both = app.virtual_service(world.host)
    both["spec"]["hosts"].append("web")
    both["spec"]["gateways"].append("mesh")
    try:
        world.start_service(replicas=2)
        world.apply(both)
        until(lambda: _inside(world) == 200, "the sidecar knows the service")
        yield world
    finally:
        world.stop()
        api.delete("Namespace", "", world.namespace)
        api.close()


def _inside(world: World) -> int:
    """The status that a client inside the mesh gets."""
    headers = {"Host": inside_host(world)}
    return requests.get(world.sandbox.sidecar, headers=headers, timeout=10).status_code


def inside_host(world: World) -> str:
    return f"web.{world.namespace}.svc.cluster.local"


@contextmanager
def users(world: World, rate: float) -> Iterator[list[Request]]:
    """Users of both proxies during the block, half of the rate each, on connections that are kept
    alive; the list is filled at its end."""
    found: list[Request] = []
    places = [(world.sandbox.gateway, world.host), (world.sandbox.sidecar, inside_host(world))]
    with ExitStack() as stack:
        files = [stack.enter_context(_one_proxy(world, *place, rate / 2)) for place in places]
        yield found
    for file in files:
        found += read_requests(file)


@contextmanager
def _one_proxy(world: World, url: str, host: str, rate: float) -> Iterator[Path]:
    out = world.folder / f"users-{url.rpartition(':')[2]}.csv"
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", "theseus_ci.demo.traffic", "--url", url, "--host", host]
    process = subprocess.Popen(
        [*command, "--rate", f"{rate:g}", "--out", str(out)], stdout=subprocess.DEVNULL
    )
    try:
        until(lambda: out.exists() and out.stat().st_size > 0, f"users ask {url}")
        yield out
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)


def lost(found: list[Request]) -> list[Request]:
    return [request for request in found if request.lost]


def released(world: World, settle: str) -> None:
    """A whole good release."""
    configure(world, settle)
    world.theseus("run")


def taken_back(world: World, settle: str) -> None:
    """A release whose candidate turns slow once it carries traffic."""
    before = world.dump()
    configure(world, settle, smoke=[HEALTH, QUICK], **SLOW_UNDER_LOAD)
    world.theseus("run", code=1)
    assert world.dump() == before


def killed(world: World, settle: str, step: str = "shift-half", ends: bool = True) -> None:
    """A release whose process is killed in the middle of a step, or right after it, and that is
    rolled back from another workspace."""
    before = world.dump()
    configure(world, settle)
    running = world.start("run")
    running.until_line(f" {step}: pass" if ends else f" {step}: ")
    running.send(signal.SIGKILL)
    assert running.wait().code == -signal.SIGKILL
    world.theseus("rollback", folder=world.empty_folder(f"elsewhere-{secrets.token_hex(3)}"))
    assert world.dump() == before


WAYS: dict[str, Callable[[World, str], None]] = {
    "released": released,
    "taken back": taken_back,
    "killed, taken back elsewhere": killed,
}


def configure(world: World, settle: str, smoke: list[app.Object] | None = None, **env: str) -> None:
    """The release of the version that does not run now."""
    now = world.ask().headers["x-demo-version"]
    version = "v2" if now == "v1" else "v1"
    (world.folder / "theseus-state.json").unlink(missing_ok=True)
    world.configure(
        app.deployment(f"web-{version}", version, env=env),
        flow=app.flow(without=("performance",), bake="1s"),
        smoke=smoke or [HEALTH],
        waits={"settle": settle, "poll": "50ms"},
    )
