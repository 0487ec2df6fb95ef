"""One pod on this node: its containers, its status in the API, its end."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from theseus_ci.sandbox.client import ApiError
from theseus_ci.sandbox.kubelet.clock import now_text
from theseus_ci.sandbox.kubelet.config_source import ConfigMissingError
from theseus_ci.sandbox.kubelet.container import Container
from theseus_ci.sandbox.kubelet.context import HOST_ADDRESS, POD_MARKER, Context
from theseus_ci.sandbox.kubelet.environment import Surroundings
from theseus_ci.sandbox.kubelet.log_server import LogSource, LogUnavailableError
from theseus_ci.sandbox.kubelet.recovery import recovered_status
from theseus_ci.sandbox.kubelet.status import Object, PodFacts
from theseus_ci.sandbox.kubelet.status_writer import StatusWriter
from theseus_ci.sandbox.kubelet.volumes import mount_volumes
from theseus_ci.sandbox.processes import find_marked

log = logging.getLogger(__name__)

MOUNT_RETRY_SECONDS = 1.0
DELETE_RETRY_SECONDS = 1.0
SHORTEST_GRACE = 1.0
"""Seconds that even a forced deletion leaves a process, as a real kubelet does."""


class Pod:
    """`run` carries it from its binding to its removal from the API."""

    def __init__(self, context: Context, pod: Object) -> None:
        """Raises NoAddressLeftError."""
        self.context = context
        self.uid: str = pod["metadata"]["uid"]
        self.directory: Path = context.settings.directory / "pods" / self.uid
        status = pod.get("status") or {}
        address = context.network.allocate(status.get("podIP"))
        base = {**context.environment, POD_MARKER: self.uid}
        self.surroundings = Surroundings(base=base, address=address, volumes={})
        self._status = StatusWriter(context.client, pod, self._facts)
        self._started_at: str = status.get("startTime") or now_text()
        self._initialized = False
        self._failure: tuple[str, str] | None = None
        self._gone = False
        self._stop = asyncio.Event()
        self._kill_now = asyncio.Event()
        self._kill_timer: asyncio.TimerHandle | None = None
        policy = pod["spec"].get("restartPolicy", "Always")
        self._init_containers = [
            self._container(spec, "initContainerStatuses", _init_policy(spec, policy))
            for spec in pod["spec"].get("initContainers") or []
        ]
        self._containers = [
            self._container(spec, "containerStatuses", policy) for spec in pod["spec"]["containers"]
        ]
        self._begun: list[Container] = []

    def _container(self, spec: Object, section: str, policy: str) -> Container:
        known = (self.pod.get("status") or {}).get(section) or []
        return Container(self, spec, recovered_status(spec, known, policy), policy)

    # -- as its containers see it -----------------------------------------------------------

    @property
    def pod(self) -> Object:
        """The newest object, with the address that its containers may refer to."""
        pod = self._status.pod
        placed = {"podIP": self.surroundings.address, "hostIP": HOST_ADDRESS}
        return {**pod, "status": {**(pod.get("status") or {}), **placed}}

    @property
    def grace(self) -> float:
        seconds = self._status.pod["spec"].get("terminationGracePeriodSeconds")
        return 30.0 if seconds is None else float(seconds)

    def changed(self) -> None:
        self._status.changed()

    # -- from the kubelet -------------------------------------------------------------------

    def update(self, pod: Object) -> None:
        """A newer object was seen; a deletion time means: end it."""
        self._status.update(pod)
        metadata = pod["metadata"]
        if metadata.get("deletionTimestamp"):
            grace = metadata.get("deletionGracePeriodSeconds")
            self._end_within(self.grace if grace is None else float(grace))

    def vanished(self) -> None:
        """The object is gone from the API: end the processes, there is nothing to report to."""
        self._gone = True
        self._end_within(SHORTEST_GRACE)

    def kill(self, number: signal.Signals) -> None:
        """Signal every process; the kubelet itself is leaving."""
        self._status.freeze()
        for container in self._begun:
            container.kill(number)

    async def processes_ended(self) -> None:
        """Return when no container of it has a process."""
        for container in self._begun:
            await container.process_ended()

    def find_log(self, name: str, *, previous: bool) -> LogSource:
        """Raises LogUnavailableError."""
        container = next(
            (
                item
                for item in (*self._init_containers, *self._containers)
                if item.spec["name"] == name
            ),
            None,
        )
        pod = self.pod["metadata"]["name"]
        if container is None:
            raise LogUnavailableError(404, f"container {name} is not valid for pod {pod}")
        path = container.log_path(previous=previous)
        if not path.exists():
            if previous:
                text = f'previous terminated container "{name}" in pod "{pod}" not found'
                raise LogUnavailableError(400, text)
            reason = (container.status.state.get("waiting") or {}).get("reason", "not started")
            text = f'container "{name}" in pod "{pod}" is waiting to start: {reason}'
            raise LogUnavailableError(400, text)
        return LogSource(path, None if previous else container.log)

    async def run(self) -> None:
        """Live until the pod is deleted; returns when nothing of it is left here."""
        writing = asyncio.create_task(self._status.run())
        living = asyncio.create_task(self._live())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({living, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if living.done() and not living.cancelled():
                living.result()
            await stopping
            living.cancel()
            await asyncio.wait({living})
            await self._stop_containers()
        finally:
            for task in (writing, living, stopping):
                task.cancel()
        await asyncio.wait({writing})
        if not self._gone:
            await self._status.write()
            await self._delete()
        self._clean_up()

    # -- its life ---------------------------------------------------------------------------

    async def _live(self) -> None:
        deadline = self._status.pod["spec"].get("activeDeadlineSeconds")
        if self._ended_before() or self._stop.is_set():  # deleted before we knew of it
            return
        self.changed()
        try:
            await asyncio.wait_for(self._run_containers(), deadline)
        except asyncio.TimeoutError:
            message = "Pod was active on the node longer than the specified deadline"
            self._failure = ("DeadlineExceeded", message)
            self.context.events.emit(self.pod, "Normal", "DeadlineExceeded", message)
            asyncio.get_running_loop().call_later(self.grace, self._kill_now.set)
            await self._stop_containers()
            self.changed()

    def _ended_before(self) -> bool:
        """Whether an earlier kubelet already saw this pod to its end."""
        self._initialized = all(container.status.finished for container in self._init_containers)
        return (self._status.pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}

    async def _run_containers(self) -> None:
        await self._mount()
        for container in self._init_containers:
            if not await self._initialize(container):
                return
        self._initialized = True
        for container in self._containers:
            if container.status.finished:
                container.ended.set()
            else:
                self._begin(container)
        self.changed()
        for container in self._containers:
            await container.ended.wait()
            await container.result()
        await self._stop_sidecars()

    async def _initialize(self, container: Container) -> bool:
        """Run an init container to its end, a sidecar until it has started."""
        if container.status.finished:
            return container.status.exit_code == 0
        self._begin(container)
        if container.spec.get("restartPolicy") == "Always":
            await container.started.wait()
            return True
        await container.ended.wait()
        await container.result()
        return container.status.exit_code == 0

    def _begin(self, container: Container) -> None:
        self._begun.append(container)
        container.begin()

    async def _mount(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            try:
                volumes = await mount_volumes(
                    self.pod, self.directory / "volumes", self.context.source
                )
            except ConfigMissingError as error:
                text = f"MountVolume.SetUp failed: {error}"
                self.context.events.emit(self.pod, "Warning", "FailedMount", text)
            except ApiError as error:
                log.warning("pod %s: %s", self.pod["metadata"]["name"], error)
            else:
                self.surroundings = replace(self.surroundings, volumes=volumes)
                return
            await asyncio.sleep(MOUNT_RETRY_SECONDS)

    # -- its end ----------------------------------------------------------------------------

    def _end_within(self, seconds: float) -> None:
        """Stop now, by force after `seconds`; a later, shorter limit replaces a longer one."""
        loop = asyncio.get_running_loop()
        due = loop.time() + max(seconds, SHORTEST_GRACE)
        if self._kill_timer is None or due < self._kill_timer.when():
            if self._kill_timer is not None:
                self._kill_timer.cancel()
            self._kill_timer = loop.call_at(due, self._kill_now.set)
        self._stop.set()

    async def _stop_containers(self) -> None:
        mains = [item for item in self._begun if item in self._containers]
        await asyncio.gather(*(container.stop(self._kill_now) for container in mains))
        await self._stop_sidecars()

    async def _stop_sidecars(self) -> None:
        """Sidecars end after the containers they serve, the last one first."""
        for container in reversed([item for item in self._begun if item in self._init_containers]):
            await container.stop(self._kill_now)

    async def _delete(self) -> None:
        metadata = self._status.pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        while not self._gone:
            try:
                await self.context.client.delete(path, grace_seconds=0, uid=self.uid)
            except ApiError as error:
                if error.status == 409:  # another pod has taken the name: ours is gone
                    return
                log.warning("pod %s not deleted: %s", metadata["name"], error)
                await asyncio.sleep(DELETE_RETRY_SECONDS)
            else:
                return

    def _clean_up(self) -> None:
        if self._kill_timer is not None:
            self._kill_timer.cancel()
        for process in find_marked(POD_MARKER, self.uid):  # what left its process group
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        self.context.network.release(self.surroundings.address)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _facts(self) -> PodFacts:
        return PodFacts(
            containers=[container.status for container in self._containers],
            init_containers=[container.status for container in self._init_containers],
            initialized=self._initialized,
            address=self.surroundings.address,
            host=HOST_ADDRESS,
            started=self._started_at,
            failure=self._failure,
        )


def _init_policy(spec: Object, pod_policy: str) -> str:
    """Init containers run until they succeed, unless the pod never restarts; sidecars for ever."""
    if spec.get("restartPolicy") == "Always":
        return "Always"
    return "Never" if pod_policy == "Never" else "OnFailure"
