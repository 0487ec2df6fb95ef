"""Where faults are tried: a service with an autoscaler, released again and again.

The two versions take turns, so that a release which got through is the start of the next one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.e2e import app
from tests.e2e.api import Api, Object
from tests.e2e.world import COMMAND, Running, World
from tests.faults.proxy import Proxy
from theseus_ci.sandbox.cluster import Sandbox

STAMP = "theseus-ci.io/"
ROUTING = ("VirtualService", "DestinationRule")
WAITS: Object = {
    "settle": "200ms",
    "poll": "30ms",
    "ready": "30s",
    "mesh": "20s",
    "scaleDown": "30s",
    "delete": "30s",
    "request": "3s",
    "consecutive": 2,
}
LEFT_OUT = ("performance", "bake")
SMOKE = [{"name": "health", "http": {"path": "/health", "expect": {"status": 200}}}]


def short_flow() -> Object:
    """The canary sequence without the parts that only wait or measure."""
    made = app.flow(without=LEFT_OUT)
    kept = [one for one in made["steps"] if not _is_needless(one)]
    return {**made, "steps": kept}


def _is_needless(step: Object) -> bool:
    ((command, body),) = step.items()
    return body["id"] in ("shift-first", "smoke-half", "smoke-alone") or command in LEFT_OUT


class Place(World):
    """A namespace with the service `web` and its autoscaler, whose releases meet faults."""

    def prepare(self) -> None:
        self.apply(app.autoscaler("web-v1"))
        self.start_service("v1")
        self.running = "v1"
        self.aim()

    def aim(self) -> None:
        """Write the files that release the other version."""
        self.candidate = "v2" if self.running == "v1" else "v1"
        manifest = [app.candidate(self.candidate)]
        self.configure(manifest, flow=short_flow(), smoke=SMOKE, performance=None, waits=WAITS)
        (self.folder / "theseus-state.json").unlink(missing_ok=True)

    def workspace(self, *, whole: bool = False) -> Path:
        """A fresh folder of another agent: theseus.yaml alone, or all that the repository has."""
        folder = self.folder / f"agent-{secrets.token_hex(4)}"
        folder.mkdir()
        for name in ("theseus.yaml", *(("candidate.yaml", "flow.yaml") if whole else ())):
            (folder / name).write_bytes((self.folder / name).read_bytes())
        return folder

    def start_through(self, proxy: Proxy, *arguments: str, folder: Path | None = None) -> Running:
        """Start a command whose requests go through the proxy."""
        process = subprocess.Popen(
            [COMMAND, *arguments],
            cwd=folder or self.folder,
            env={**os.environ, "KUBECONFIG": str(proxy.kubeconfig)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._running.append(process)
        return Running(process)

    def follow(self, *steps: str) -> None:
        """Run commands one after the other, each as a process of its own."""
        for step in steps:
            self.theseus(*step.split())

    def stamps(self) -> dict[str, str]:
        """Generation of the stamp on every object that bears one."""
        found = {}
        for name, obj in self.dump().items():
            value = (obj["metadata"].get("annotations") or {}).get(f"{STAMP}rollout.web")
            if value:
                found[name] = value.rpartition("/")[2]
        return found

    def generation(self) -> int:
        """How often a process was taken for dead, and once."""
        return int(self.get("Lease", "theseus-web")["spec"]["leaseTransitions"])

    def not_as(self, before: dict[str, Object]) -> list[str]:
        """Which objects are not what they were."""
        now = self.dump()
        return sorted(
            f"{name}: {before.get(name, 'nothing')} → {now.get(name, 'nothing')}"
            for name in before.keys() | now.keys()
            if before.get(name) != now.get(name)
        )

    def not_released(self, before: dict[str, Object]) -> list[str]:
        """What keeps the world from being that after a whole release of the candidate."""
        now = self.dump()
        old, new = f"web-{self.running}", f"web-{self.candidate}"
        wanted = {name.replace(old, new) for name in before}
        wrong = [f"{name} is left" for name in sorted(now.keys() - wanted)]
        wrong += [f"{name} is missing" for name in sorted(wanted - now.keys())]
        for name, obj in now.items():
            annotations = obj["metadata"].get("annotations") or {}
            wrong += [f"{name} bears {key}" for key in annotations if key.startswith(STAMP)]
            if name.startswith(ROUTING) and "theseus" in str(obj["spec"]):
                wrong.append(f"{name} mentions theseus: {obj['spec']}")
        hpa = now.get(f"HorizontalPodAutoscaler {new}", {}).get("spec", {})
        if (hpa.get("minReplicas"), hpa.get("maxReplicas")) != (2, 4):
            wrong.append(f"the autoscaler is {hpa}")
        return wrong

    def settle(self) -> None:
        """After a release: the candidate is what runs now."""
        self.running = self.candidate
        self.await_answer(self.running)
        self.await_ready(f"web-{self.running}")
        self.aim()


@contextlib.contextmanager
def place(sandbox: Sandbox, api: Api, folder: Path) -> Iterator[Place]:
    """A namespace of its own, gone afterwards."""
    made = Place(sandbox, api, f"faults-{secrets.token_hex(4)}", folder)
    api.create("Namespace", "", {"metadata": {"name": made.namespace}})
    try:
        made.prepare()
        yield made
    finally:
        made.stop()
        api.delete("Namespace", "", made.namespace)
