"""The process that keeps a sandbox's programs running: `python -m theseus_ci.sandbox.supervisor`.

It starts the API server, then controllers, kubelet and mesh, waits for each to work, and starts
again, with a growing pause, whichever dies. What it knows is in state.json. SIGTERM, or the end of
its standard input when asked to mind it, ends everything.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from theseus_ci.sandbox.client import ApiError
from theseus_ci.sandbox.components import (
    API_SERVER,
    Component,
    components,
    install_images,
)
from theseus_ci.sandbox.layout import Layout, read_json, write_json
from theseus_ci.sandbox.processes import exited, signal_group, spawn, start_time
from theseus_ci.sandbox.settings import Settings

log = logging.getLogger(__name__)

CHECK_SECONDS = 0.05
BACK_OFF_SECONDS = (0.5, 30.0)
STEADY_SECONDS = 60.0
"""After so long without dying, the next restart comes quickly again."""
STOP_SECONDS = 5.0


class StartError(Exception):
    """A component ended before it ever worked."""

    def __init__(self, component: str, message: str) -> None:
        super().__init__(message)
        self.component = component


@dataclass
class _Child:
    """One component and its process of the moment. `since`: unix time of its last start."""

    component: Component
    process: subprocess.Popen[bytes] | None = None
    works: bool = False
    restarts: int = 0
    since: float = 0.0
    last_exit: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "pid": self.process.pid if self.process else None,
            "started": start_time(self.process.pid) if self.process else "",
            "works": self.works,
            "restarts": self.restarts,
            "since": round(self.since, 3),
            "lastExit": self.last_exit,
        }


class Supervisor:
    """`run` returns once everything has been stopped."""

    def __init__(self, layout: Layout, settings: Settings) -> None:
        self._layout = layout
        self._settings = settings
        self._children = [_Child(component) for component in components(layout, settings)]
        self._phase = "starting"
        self._failure: dict[str, str] | None = None
        self._stop = asyncio.Event()

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> bool:
        """Returns whether the sandbox ever worked as a whole."""
        self._report()
        keeping: list[asyncio.Task[None]] = []
        stopping = asyncio.create_task(self._stop.wait())
        starting = asyncio.create_task(self._start_all(keeping))
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                starting.result()
                self._set_phase("ready")
                await stopping
        except StartError as error:
            log.warning("%s: %s", error.component, error)
            self._failure = {"component": error.component, "message": str(error)}
        finally:
            for task in (starting, stopping, *keeping):
                task.cancel()
            await asyncio.wait({starting, stopping, *keeping})
        worked = self._phase == "ready"
        self._set_phase("stopping" if self._failure is None else self._phase)
        await self._stop_all()
        self._set_phase("stopped" if self._failure is None else "failed")
        return worked

    async def _start_all(self, keeping: list[asyncio.Task[None]]) -> None:
        first, *others = self._children
        await self._start(first, keeping)
        await asyncio.gather(*(self._start(child, keeping) for child in others))

    async def _start(self, child: _Child, keeping: list[asyncio.Task[None]]) -> None:
        """Start for the first time and wait until it works. Raises StartError."""
        self._spawn(child)
        assert child.process is not None
        ending = asyncio.create_task(exited(child.process))
        working = asyncio.create_task(self._await_work(child))
        try:
            await asyncio.wait({ending, working}, return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                message = f"ended with exit code {ending.result()} before it worked"
                raise StartError(child.component.name, message)
        finally:
            ending.cancel()
            working.cancel()
        keeping.append(asyncio.create_task(self._keep(child)))

    async def _await_work(self, child: _Child) -> None:
        """Ask again and again until the component works."""
        while True:
            try:
                if await child.component.works():
                    await self._install_images(child)
                    break
            except ApiError as error:
                log.debug("%s: %s", child.component.name, error)
            await asyncio.sleep(CHECK_SECONDS)
        child.works = True
        log.info("%s works after %.1f s", child.component.name, time.time() - child.since)
        self._report()

    async def _install_images(self, child: _Child) -> None:
        """An API server begins empty, also when it is started again. Raises ApiError."""
        if child.component.name == API_SERVER and self._settings.images:
            await install_images(self._layout, self._settings.images)

    async def _keep(self, child: _Child) -> None:
        """Start it again whenever it ends, until cancelled."""
        pause, longest = BACK_OFF_SECONDS
        while True:
            assert child.process is not None
            code = await exited(child.process)
            if time.time() - child.since > STEADY_SECONDS:
                pause = BACK_OFF_SECONDS[0]
            name = child.component.name
            log.warning("%s ended with exit code %d: next start in %g s", name, code, pause)
            signal_group(child.process.pid, signal.SIGKILL)
            child.process, child.works, child.last_exit = None, False, code
            child.restarts += 1
            self._report()
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)
            trusted = self._layout.kubeconfig.read_bytes()
            self._spawn(child)
            await self._until_works_or_ends(child)
            if child.component.name == API_SERVER:
                self._refresh_clients(trusted)

    def _refresh_clients(self, trusted: bytes) -> None:
        """End the others when the API server came back with another certificate or token.

        They read the kubeconfig once, and are started again with the new one.
        """
        if self._layout.kubeconfig.read_bytes() == trusted:
            return
        for child in self._children:
            if child.component.name != API_SERVER and child.process is not None:
                child.process.terminate()

    async def _until_works_or_ends(self, child: _Child) -> None:
        assert child.process is not None
        tasks = {
            asyncio.create_task(self._await_work(child)),
            asyncio.ensure_future(exited(child.process)),
        }
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def _spawn(self, child: _Child) -> None:
        name = child.component.name
        with self._layout.log(name).open("ab") as output:
            child.process = spawn(
                child.component.command,
                environment=os.environ,
                directory=self._layout.directory,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        child.since = time.time()
        log.info("%s started as process %d", name, child.process.pid)
        self._report()

    async def _stop_all(self) -> None:
        """The API server last: the others may still want to say something."""
        servers = [child for child in self._children if child.component.name == API_SERVER]
        clients = [child for child in self._children if child.component.name != API_SERVER]
        for group in (clients, servers):
            await asyncio.gather(*(self._stop_child(child) for child in group))

    async def _stop_child(self, child: _Child) -> None:
        process = child.process
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            try:
                await asyncio.wait_for(exited(process), STOP_SECONDS)
            except asyncio.TimeoutError:
                log.warning("%s does not end: killed", child.component.name)
        signal_group(process.pid, signal.SIGKILL)
        await exited(process)
        child.process, child.works = None, False
        log.info("%s stopped", child.component.name)

    def _set_phase(self, phase: str) -> None:
        self._phase = phase
        self._report()

    def _report(self) -> None:
        write_json(
            self._layout.state,
            {
                "pid": os.getpid(),
                "started": start_time(os.getpid()),
                "phase": self._phase,
                "failure": self._failure,
                "components": {child.component.name: child.to_json() for child in self._children},
            },
        )


async def supervise(layout: Layout, settings: Settings, *, mind_stdin: bool) -> bool:
    """Run until told to stop; returns whether the sandbox ever worked."""
    loop = asyncio.get_running_loop()
    supervisor = Supervisor(layout, settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    if mind_stdin:

        def on_input() -> None:
            if not os.read(0, 1024):
                loop.remove_reader(0)
                supervisor.stop()

        loop.add_reader(0, on_input)
    return await supervisor.run()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m theseus_ci.sandbox.supervisor")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="stop when standard input ends"
    )
    options = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    layout = Layout(options.directory)
    settings = Settings.of_json(read_json(layout.settings)["settings"])
    worked = asyncio.run(supervise(layout, settings, mind_stdin=options.until_stdin_closes))
    return 0 if worked else 1


if __name__ == "__main__":
    sys.exit(main())
