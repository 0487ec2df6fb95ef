"""What the demo releases on: a sandbox with the demo's service in it, and looks at it."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import requests
import yaml

from theseus_ci.clock import SystemClock
from theseus_ci.errors import CannotKnow
from theseus_ci.kube.cluster import KubernetesCluster
from theseus_ci.kube.connect import connect

NAMESPACE = "shop"
HOST = "greeter.example.com"
READY_SECONDS = 60.0
COMPARED = ("Deployment", "HorizontalPodAutoscaler", "Service", "VirtualService", "DestinationRule")
LEFT_BEHIND = ("Lease", "ConfigMap")

Dump = dict[str, dict[str, Any]]
"""Kind and name of every object that counts, and of it what a release may not change for good."""


def write_files(folder: Path, **values: str) -> None:
    """Copy the demo's files into `folder`, with `$names` filled in. Raises OSError."""
    for entry in resources.files("theseus_ci.demo").joinpath("data").iterdir():
        text = Template(entry.read_text(encoding="utf-8")).substitute(values)
        (folder / entry.name).write_text(text, encoding="utf-8")


class Place:
    """The demo's cluster, by its kubeconfig and the gateway's address."""

    def __init__(self, kubeconfig: Path, gateway: str) -> None:
        self._cluster = KubernetesCluster(connect(str(kubeconfig)), SystemClock())
        self._gateway = gateway

    def set_up(self, manifest: Path) -> None:
        """Create what the manifest holds and wait until users would be served. Raises
        CannotKnow."""
        for obj in yaml.safe_load_all(manifest.read_text(encoding="utf-8")):
            self._cluster.create(obj)
        self._until(self._all_ready, "the first version's pods are ready")
        self._until(self._answers, "the gateway answers")

    def dump(self) -> Dump:
        """Everything that a release may change, status left out."""
        return {
            f"{kind} {obj['metadata']['name']}": {
                "spec": obj.get("spec"),
                "labels": obj["metadata"].get("labels") or {},
                "annotations": obj["metadata"].get("annotations") or {},
            }
            for kind in COMPARED
            for obj in self._cluster.list(kind, NAMESPACE)
        }

    def bookkeeping(self) -> set[str]:
        """The objects in which a rollout keeps its lease and state, by kind and name."""
        return {
            f"{kind} {obj['metadata']['name']}"
            for kind in LEFT_BEHIND
            for obj in self._cluster.list(kind, NAMESPACE)
        }

    def _all_ready(self) -> str:
        for deployment in self._cluster.list("Deployment", NAMESPACE):
            wanted = deployment["spec"]["replicas"]
            ready = (deployment.get("status") or {}).get("readyReplicas") or 0
            if ready < wanted:
                return f"{ready} of {wanted} are"
        return ""

    def _answers(self) -> str:
        try:
            answer = requests.get(f"{self._gateway}/hello", headers={"Host": HOST}, timeout=5)
        except requests.RequestException as error:
            return str(error)
        return "" if answer.ok else f"it says {answer.status_code}"

    def _until(self, problem: Callable[[], str], what: str) -> None:
        """Wait until `problem()` is empty. Raises CannotKnow with what it said last."""
        deadline = time.monotonic() + READY_SECONDS
        while said := problem():
            if time.monotonic() > deadline:
                raise CannotKnow(f"waited {READY_SECONDS:g} s until {what}: {said}")
            time.sleep(0.1)


def differences(before: Dump, after: Dump) -> list[str]:
    """Which objects are not as they were, one sentence each."""
    found = [f"{name} is new" for name in sorted(after.keys() - before.keys())]
    found += [f"{name} is gone" for name in sorted(before.keys() - after.keys())]
    for name in sorted(before.keys() & after.keys()):
        parts = [part for part in before[name] if before[name][part] != after[name][part]]
        if parts:
            found.append(f"{name} has another {' and '.join(parts)}")
    return found
