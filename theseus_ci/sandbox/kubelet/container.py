"""One container of a pod: started, watched, started again, ended."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import time
import uuid
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Protocol

from theseus_ci.sandbox.kubelet.clock import now_text
from theseus_ci.sandbox.kubelet.context import Context
from theseus_ci.sandbox.kubelet.environment import Surroundings, expand
from theseus_ci.sandbox.kubelet.handlers import HandlerError, Target, perform
from theseus_ci.sandbox.kubelet.health import Health
from theseus_ci.sandbox.kubelet.images import LocalImage
from theseus_ci.sandbox.kubelet.logged_process import drop_logs_but, start_logged
from theseus_ci.sandbox.kubelet.logs import LogFile, last_text
from theseus_ci.sandbox.kubelet.preparation import BACK_OFF_LIMIT, Preparation
from theseus_ci.sandbox.kubelet.status import ContainerStatus, Object
from theseus_ci.sandbox.processes import exited, signal_group

LOG_END_SECONDS = 1.0
"""How long a log may stay open after its container ended: something else may hold the pipe."""


class Home(Protocol):
    """The pod, as its containers see it."""

    context: Context
    surroundings: Surroundings
    directory: Path

    @property
    def pod(self) -> Object: ...

    @property
    def grace(self) -> float: ...

    def changed(self) -> None:
        """Something in a container's status is different now."""


class Container:
    """Runs by itself from `begin` on, until it has ended for good or is stopped."""

    def __init__(self, home: Home, spec: Object, status: ContainerStatus, policy: str) -> None:
        """policy: Always, OnFailure or Never; status: as left by an earlier kubelet, or fresh."""
        self.spec = spec
        self.status = status
        self.log: LogFile | None = None
        self.ended = asyncio.Event()
        self.started = asyncio.Event()
        self._home = home
        self._context = home.context
        self._policy = policy
        self._preparation = Preparation(home, spec, emit=self._emit, wait=self._wait)
        self._process: subprocess.Popen[bytes] | None = None
        self._target: Target | None = None
        self._health: Health | None = None
        self._exit = asyncio.Event()
        self._terminating = False
        self._stopping = False
        self._delay = 0.0
        self._task: asyncio.Task[None] | None = None
        self._restart: asyncio.Task[None] | None = None

    # -- from the pod -----------------------------------------------------------------------

    def begin(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"container {self.status.name}")

    def log_path(self, *, previous: bool = False) -> Path:
        """Where the output of the current run is, or that of the one before."""
        number = self.status.restart_count - (1 if previous else 0)
        return self._home.directory / "logs" / self.status.name / f"{number}.log"

    async def stop(self, kill_now: asyncio.Event) -> None:
        """End it gracefully, or by force once `kill_now` is set; returns when it is gone."""
        self._stopping = True
        if self._task is None:
            return
        if self._process is None:
            self._task.cancel()
        else:
            await self._terminate(kill_now, "Stopping container {name}")
        await asyncio.wait({self._task})
        if self._restart is not None:
            await asyncio.wait({self._restart})

    async def result(self) -> None:
        """Raise what the container's task failed with, if it did."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to all its processes and forget about the rest: the kubelet is leaving."""
        self._stopping = True
        if self._process is not None:
            signal_group(self._process.pid, number)

    async def process_ended(self) -> None:
        """Return when it has no process."""
        if self._process is not None:
            await self._exit.wait()

    # -- its life ---------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while not self._stopping:
                image = await self._preparation.image()
                self.status.image_id = f"sandbox://{self.spec['image']}"
                process = self._start(image, await self._preparation.environment(image))
                if process is not None:
                    await self._live(process)
                if self._stopping or not self._starts_again():
                    break
                await self._back_off()
        finally:
            self.status.finished = "terminated" in self.status.state
            self.ended.set()
            self._home.changed()

    def _starts_again(self) -> bool:
        if self._policy == "OnFailure":
            return self.status.exit_code != 0
        return self._policy == "Always"

    def _start(
        self, image: LocalImage, environment: dict[str, str]
    ) -> subprocess.Popen[bytes] | None:
        """Start the process; None when there is nothing to run (the state then says why)."""
        status = self.status
        if "terminated" in status.state or status.last_state:
            status.restart_count += 1
            self._keep_state()
        folder = self._home.directory / "containers" / status.name
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        environment = {"HOME": str(folder), "TMPDIR": str(folder / "tmp"), **environment}
        self._target = Target(
            address=self._home.surroundings.address,
            ports={
                port["name"]: int(port["containerPort"])
                for port in self.spec.get("ports") or []
                if port.get("name")
            },
            environment=environment,
            directory=folder,
        )
        status.container_id = f"process://{uuid.uuid4().hex}"
        self._emit("Normal", "Created", f"Created container: {status.name}")
        command = [expand(part, environment) for part in image.command_line(self.spec)]
        if image.ignores(self.spec):
            self._emit(
                "Warning",
                "CommandIgnored",
                f"command and args do not count: for {image.image} the sandbox runs a program of "
                "its own; an entry with useContainerCommand: true in sandbox-images lets them",
            )
        drop_logs_but({self.log_path(), self.log_path(previous=True)})
        self.log = LogFile(self.log_path(), self._context.settings.log_size)
        try:
            self._process = start_logged(command, self._target, self.log)
        except OSError as error:
            self._emit("Warning", "Failed", f"Error: failed to start container: {error}")
            self._end_state(128, "StartError", now_text(), f"failed to start: {error}")
            return None
        self._emit("Normal", "Started", f"Started container {status.name}")
        return self._process

    async def _live(self, process: subprocess.Popen[bytes]) -> None:
        assert self._target is not None
        begun, started_at = time.monotonic(), now_text()
        self._exit.clear()
        self._terminating = False
        self.status.state = {"running": {"startedAt": started_at}}
        self._home.changed()
        self._health = Health(
            self.spec,
            self._target,
            on_started=self._set_started,
            on_ready=self._set_ready,
            on_unhealthy=self._unhealthy,
            on_event=self._emit,
        )
        health = asyncio.create_task(self._health.run())
        try:
            code = await exited(process)
        finally:
            health.cancel()
            signal_group(process.pid, signal.SIGKILL)  # what it started ends with it
        await asyncio.wait({health})
        await self._finish_log()
        self._process = None
        self._exit.set()
        # Twice the longest back-off without a crash: the next one starts from the beginning.
        if time.monotonic() - begun >= self._context.settings.back_off * BACK_OFF_LIMIT * 2:
            self._delay = 0.0
        self.status.ready = self.status.started = False
        number = -code if code < 0 else None
        exit_code = 128 + number if number is not None else code
        reason = "Completed" if exit_code == 0 else "Error"
        self._end_state(exit_code, reason, started_at, self._last_words(exit_code), number)

    async def _finish_log(self) -> None:
        assert self.log is not None
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.log.closed.wait(), LOG_END_SECONDS)
        self.log.close()

    def _last_words(self, exit_code: int) -> str:
        fallback = self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError"
        if not fallback or exit_code == 0:
            return ""
        return last_text(self.log_path(), lines=80, size=2048)

    async def _back_off(self) -> None:
        """The first new start comes at once; from then on the pause doubles."""
        delay, self._delay = self._delay, self._next_delay()
        if not delay:
            return
        pod = self._home.pod["metadata"]
        whole = f"{pod['name']}_{pod['namespace']}({pod['uid']})"
        text = f"restarting failed container {self.status.name} in pod {whole}"
        self._emit("Warning", "BackOff", f"Back-off {text}")
        self._wait("CrashLoopBackOff", f"back-off {delay:g}s {text}")
        await asyncio.sleep(delay)

    def _next_delay(self) -> float:
        base = self._context.settings.back_off
        return min(self._delay * 2, base * BACK_OFF_LIMIT) if self._delay else base

    # -- its end ----------------------------------------------------------------------------

    async def _terminate(self, kill_now: asyncio.Event, message: str) -> None:
        """preStop, SIGTERM, and SIGKILL when asked to; returns when the process is gone."""
        process = self._process
        if process is None:
            return
        if not self._terminating:
            self._terminating = True
            if self._health is not None:
                self._health.stop_judging()
            self._emit("Normal", "Killing", message.format(name=self.status.name))
            await self._until(self._pre_stop(), kill_now)
            signal_group(process.pid, signal.SIGTERM)
        await self._until(self._exit.wait(), kill_now)
        if not self._exit.is_set():
            signal_group(process.pid, signal.SIGKILL)
            await self._exit.wait()

    async def _until(self, action: Awaitable[Any], kill_now: asyncio.Event) -> None:
        """Await the action, but no longer than until `kill_now` or the container's own end."""
        tasks = {
            asyncio.ensure_future(action),
            asyncio.ensure_future(kill_now.wait()),
            asyncio.ensure_future(self._exit.wait()),
        }
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _pre_stop(self) -> None:
        handler = (self.spec.get("lifecycle") or {}).get("preStop")
        if not handler or self._target is None:
            return
        try:
            await perform(handler, self._target, self._home.grace)
        except HandlerError as error:
            self._emit("Warning", "FailedPreStopHook", f"PreStopHook failed: {error}")

    def _unhealthy(self, cause: str, grace: float | None) -> None:
        """A probe or the postStart hook condemned the container: end it, the policy decides on."""
        if self._terminating or (self._restart is not None and not self._restart.done()):
            return
        seconds = self._home.grace if grace is None else grace
        self._restart = asyncio.create_task(self._end_within(seconds, cause))

    async def _end_within(self, seconds: float, cause: str) -> None:
        kill_now = asyncio.Event()
        timer = asyncio.get_running_loop().call_later(seconds, kill_now.set)
        try:
            await self._terminate(kill_now, f"Container {{name}} {cause}")
        finally:
            timer.cancel()

    # -- its status -------------------------------------------------------------------------

    def _set_started(self) -> None:
        self.status.started = True
        self.started.set()
        self._home.changed()

    def _set_ready(self, ready: bool) -> None:
        if self.status.ready != ready:
            self.status.ready = ready
            self._home.changed()

    def _keep_state(self) -> None:
        if "terminated" in self.status.state:
            self.status.last_state = self.status.state

    def _wait(self, reason: str, message: str) -> None:
        self._keep_state()
        self.status.state = {"waiting": {"reason": reason, "message": message}}
        self._home.changed()

    def _end_state(
        self, code: int, reason: str, started_at: str, message: str, number: int | None = None
    ) -> None:
        terminated: Object = {
            "exitCode": code,
            "reason": reason,
            "startedAt": started_at,
            "finishedAt": now_text(),
            "containerID": self.status.container_id,
        }
        if number is not None:
            terminated["signal"] = number
        if message:
            terminated["message"] = message
        self.status.state = {"terminated": terminated}
        self.status.finished = self._stopping or not self._starts_again()
        self._home.changed()

    def _emit(self, kind: str, reason: str, message: str) -> None:
        section = (
            "containers" if self.spec in self._home.pod["spec"]["containers"] else "initContainers"
        )
        path = f"spec.{section}{{{self.status.name}}}"
        self._context.events.emit(self._home.pod, kind, reason, message, field_path=path)
