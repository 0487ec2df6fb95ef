"""A cluster to test controllers in: API server and controllers as processes, pods by a stand-in.

Set THESEUS_TEST_KUBECONFIG to run the same tests on another API server, and
THESEUS_TEST_CONTROLLERS=none as well when it has controllers of its own (then the tests say
whether ours and those agree).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from theseus_ci.sandbox.client import ApiClient, ApiError, Informer, Object
from theseus_ci.sandbox.processes import spawn

DEADLINE_SECONDS = 30.0
OTHER_SERVER = os.environ.get("THESEUS_TEST_KUBECONFIG")
OTHER_CONTROLLERS = os.environ.get("THESEUS_TEST_CONTROLLERS") == "none"


class Process:
    """A module run as a program, with its output in a file of the test's folder."""

    def __init__(self, folder: Path, module: str, *arguments: str) -> None:
        self._folder = folder
        self._command = [sys.executable, "-m", module, *arguments]
        self.log = folder / f"{module.rpartition('.')[2]}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, until: Callable[[], bool]) -> None:
        with self.log.open("ab") as output:
            self.process = spawn(
                self._command,
                environment=os.environ,
                directory=self._folder,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not until():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                self.process.wait()
                pytest.fail(f"it does not start: {self.log.read_text()}")
            time.sleep(0.02)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@dataclass
class Cluster:
    """An API server with controllers; `kubeconfig` leads to it."""

    kubeconfig: Path
    server: Process | None
    controllers: Process | None

    def run(self, scenario: Callable[[World], Awaitable[None]]) -> None:
        """Play a scenario in a namespace of its own, with pods that start at once."""

        async def play() -> None:
            async with world(self.kubeconfig) as stage:
                await scenario(stage)

        asyncio.run(play())


@contextlib.contextmanager
def cluster_in(folder: Path, *options: str) -> Iterator[Cluster]:
    """Start what is needed in `folder`; `options` go to the controllers."""
    if OTHER_SERVER:
        kubeconfig, server = Path(OTHER_SERVER), None
    else:
        kubeconfig = folder / "kubeconfig"
        module = "theseus_ci.sandbox.apiserver"
        server = Process(folder, module, "--directory", str(folder), "--port", "0")
        server.start(kubeconfig.exists)
    controllers = None
    if not OTHER_CONTROLLERS:
        module = "theseus_ci.sandbox.controllers"
        controllers = Process(folder, module, "--kubeconfig", str(kubeconfig), *options)
        log = controllers.log
        controllers.start(lambda: log.exists() and "controllers are running" in log.read_text())
    try:
        yield Cluster(kubeconfig, server, controllers)
    finally:
        codes = [process.stop() for process in (controllers, server) if process is not None]
        if controllers is not None:
            text = controllers.log.read_text()
            assert "internal error" not in text, text
            assert "Traceback" not in text, text
    assert codes == [0] * len(codes)


@dataclass
class World:
    """One namespace, seen live, with a stand-in for the kubelet."""

    client: ApiClient
    namespace: str
    pods: Informer
    replica_sets: Informer
    deployments: Informer
    slices: Informer
    autoscalers: Informer
    jobs: Informer
    may_start: Callable[[Object], bool] = lambda _: True
    may_stop: Callable[[Object], bool] = lambda _: True
    outcome: str | None = None  # phase in which pods of Jobs end at once
    problems: list[str] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def path(self, plural: str, name: str | None = None, sub: str | None = None) -> str:
        prefix = PREFIXES[plural]
        parts = (f"{prefix}/namespaces/{self.namespace}/{plural}", name, sub)
        return "/".join(part for part in parts if part)

    async def create(self, plural: str, obj: Object) -> Object:
        return await self.client.create(self.path(plural), obj)

    async def patch(self, plural: str, name: str, patch: Object) -> Object:
        return await self.client.patch(self.path(plural, name), patch)

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until what the informers have seen satisfies the condition."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"never: {what}"
            await asyncio.sleep(0.02)
        assert not self.problems, self.problems

    async def holds(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """For what must not happen: the condition stays true all the while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert condition(), what
            await asyncio.sleep(0.02)

    def deployment(self, name: str) -> Object:
        return self.deployments.objects.get((self.namespace, name), {})

    def status(self, name: str) -> Object:
        return dict(self.deployment(name).get("status", {}))

    def sets_of(self, name: str) -> list[Object]:
        """ReplicaSets that the Deployment controls, eldest first."""
        owned = [rs for rs in self.replica_sets.objects.values() if owner(rs) == name]
        return sorted(owned, key=lambda rs: int(rs["metadata"]["resourceVersion"]))

    def pods_of(self, name: str) -> list[Object]:
        """Pods of the Deployment that are not on their way out."""
        sets = {rs["metadata"]["name"] for rs in self.sets_of(name)}
        return [pod for pod in self.pods.objects.values() if owner(pod) in sets and not ends(pod)]

    def is_settled(self, name: str) -> bool:
        """The Deployment reports itself complete for its newest generation."""
        obj = self.deployment(name)
        if not obj:
            return False
        replicas, status = obj["spec"]["replicas"], obj.get("status", {})
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        return status.get("observedGeneration") == obj["metadata"]["generation"] and all(
            status.get(count, 0) == replicas for count in counts
        )

    async def settled(self, name: str) -> None:
        await self.until(lambda: self.is_settled(name), f"{name} is settled")

    async def events(self, reason: str, number: int) -> list[Object]:
        """Events of that reason, once there are `number` of them."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            found = await self.client.list(self.path("events"))
            chosen = [event for event in found if event["reason"] == reason]
            if sum(event.get("count") or 1 for event in chosen) >= number:
                return chosen
            assert time.monotonic() < deadline, f"only {len(chosen)} events {reason}"
            await asyncio.sleep(0.05)

    def changed(self, change: str, pod: Object) -> None:
        """What a kubelet does, as far as a controller can see it."""
        if change == "DELETED":
            return
        if ends(pod):
            if self.may_stop(pod):
                self._background(self.stop_pod, pod)
        elif not pod.get("status", {}).get("podIP") and self.may_start(pod):
            self._background(self.start_pod, pod)

    async def emptied(self) -> None:
        """Let all pods stop, so that the namespace can go."""
        self.may_stop = lambda _: True
        for pod in list(self.pods.objects.values()):
            self.changed("MODIFIED", pod)
        await self.pods.until(lambda: not self.pods.objects, DEADLINE_SECONDS)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _background(self, action: Callable[[Object], Awaitable[None]], pod: Object) -> None:
        task = asyncio.get_running_loop().create_task(self._attempt(action, pod))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attempt(self, action: Callable[[Object], Awaitable[None]], pod: Object) -> None:
        try:
            await action(pod)
        except ApiError as error:
            if error.status not in (404, 409):
                self.problems.append(str(error))

    async def stop_pod(self, pod: Object) -> None:
        """Let a pod that is being stopped be gone."""
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        await self.client.delete(self.path("pods", name), grace_seconds=0, uid=uid)

    async def start_pod(self, pod: Object) -> None:
        """Let it run and be ready."""
        number = int(pod["metadata"]["uid"].replace("-", "")[:4], 16)
        address = f"10.1.{number >> 8}.{number & 255}"
        ended = self.outcome if "job-name" in pod["metadata"].get("labels", {}) else None
        status = {
            "phase": ended or "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [ready_condition(not ended)],
        }
        await self.set_status(pod, status)

    async def set_status(self, pod: Object, status: Object) -> None:
        path = self.path("pods", pod["metadata"]["name"], "status")
        await self.client.patch(path, {"status": status})

    async def set_ready(self, pod: Object, ready: bool) -> None:
        await self.set_status(pod, {"conditions": [ready_condition(ready)]})


PREFIXES = {
    "pods": "/api/v1",
    "services": "/api/v1",
    "events": "/api/v1",
    "configmaps": "/api/v1",
    "deployments": "/apis/apps/v1",
    "replicasets": "/apis/apps/v1",
    "endpointslices": "/apis/discovery.k8s.io/v1",
    "horizontalpodautoscalers": "/apis/autoscaling/v2",
    "jobs": "/apis/batch/v1",
}


@contextlib.asynccontextmanager
async def world(kubeconfig: Path) -> AsyncIterator[World]:
    async with ApiClient.from_kubeconfig(kubeconfig) as client:
        namespace = f"test-{secrets.token_hex(4)}"
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        await client.create("/api/v1/namespaces", body)

        def informer(plural: str) -> Informer:
            return Informer(client, f"{PREFIXES[plural]}/namespaces/{namespace}/{plural}")

        stage = World(
            client,
            namespace,
            pods=informer("pods"),
            replica_sets=informer("replicasets"),
            deployments=informer("deployments"),
            slices=informer("endpointslices"),
            autoscalers=informer("horizontalpodautoscalers"),
            jobs=informer("jobs"),
        )
        followers = [stage.pods, stage.replica_sets, stage.deployments]
        followers += [stage.slices, stage.autoscalers, stage.jobs]
        stage.pods.on_change(stage.changed)
        tasks = [asyncio.create_task(follower.run()) for follower in followers]
        try:
            for follower in followers:
                await follower.synced()
            yield stage
            assert not stage.problems, stage.problems
        finally:
            await client.delete(f"/api/v1/namespaces/{namespace}")
            await stage.emptied()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await stage.close()


def workload(name: str, replicas: int = 3, image: str = "one", **spec: Any) -> Object:
    """A Deployment whose pods sit on a node, so that they are deleted gracefully."""
    labels: Mapping[str, str] = spec.pop("labels", {"app": name})
    selector: Mapping[str, str] = spec.pop("selector", labels)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": dict(selector)},
            "template": {
                "metadata": {"labels": dict(labels)},
                "spec": {"nodeName": "node-1", "containers": [_container(image)]},
            },
            **spec,
        },
    }


def image_patch(image: str) -> Object:
    """A merge patch replaces lists whole."""
    return {"spec": {"template": {"spec": {"containers": [_container(image)]}}}}


def _container(image: str) -> Object:
    return {
        "name": "main",
        "image": image,
        "ports": [{"name": "http", "containerPort": 8080}],
        "resources": {"requests": {"cpu": "100m"}},
    }


def owner(obj: Object) -> str | None:
    for reference in obj["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            return str(reference["name"])
    return None


def ends(obj: Object) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def condition(obj: Object, kind: str) -> Object:
    for found in obj.get("status", {}).get("conditions") or []:
        if found["type"] == kind:
            return dict(found)
    return {}


def ready_condition(ready: bool) -> Object:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {
        "type": "Ready",
        "status": "True" if ready else "False",
        "lastTransitionTime": moment,
    }
