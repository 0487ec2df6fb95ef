"""What a stage is given: the world, and the rollout it acts for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from theseus_ci.config.types import Config
from theseus_ci.measure import LoadGenerator
from theseus_ci.model import PodNetwork
from theseus_ci.ports import Checker, Clock, Cluster, Judge, Logs, Prober
from theseus_ci.rollout.editor import Editor
from theseus_ci.rollout.lease import Lease
from theseus_ci.rollout.state import Ref, State
from theseus_ci.rollout.store import StateStore
from theseus_ci.rollout.view import MeshView, Watch


class World(msgspec.Struct, frozen=True):
    """The adapters behind the ports, and where people and reports are reached."""

    cluster: Cluster
    clock: Clock
    prober: Prober
    checker: Checker
    load: LoadGenerator
    logs: Logs
    judge: Judge
    stopped: Callable[[], bool]
    log: Callable[[str], None]  # a sentence for people, kept
    progress: Callable[[str], None]  # what a wait waits for; the newest replaces the last
    reports: Path
    holder: str  # names the build, or user@host:pid, for people
    default_namespace: str
    pod_network: PodNetwork | None


class Rollout:
    """One rollout in the hands of one process."""

    def __init__(self, world: World, state: State, config: Config, store: StateStore) -> None:
        self.world = world
        self.state = state
        self.config = config
        self.store = store
        self.lease = Lease(world.cluster, world.clock, state.namespace, state.service)
        self.editor = Editor(world.cluster, store, world.clock, state, world.log)
        self.view = MeshView(
            world.prober, world.clock, config, state.rollout, Watch(self.alive, world.progress)
        )

    @property
    def cluster(self) -> Cluster:
        return self.world.cluster

    @property
    def clock(self) -> Clock:
        return self.world.clock

    def log(self, sentence: str) -> None:
        self.world.log(sentence)

    def note(self, sentence: str) -> None:
        """Tell people, and keep it in the state for the reports."""
        if sentence not in self.state.notes:
            self.state.notes.append(sentence)
            self.world.log(sentence)

    def alive(self) -> None:
        """Called by every wait: stop on a signal, show that this process lives."""
        self.clock.check()
        self.lease.renew(self.state.rollout)

    def stopped(self) -> bool:
        """As `alive`, for loops that end by themselves: whether to stop. Raises LeaseLost."""
        if self.world.stopped():
            return True
        self.lease.renew(self.state.rollout)
        return False

    def deployment(self, name: str) -> Ref:
        return Ref(kind="Deployment", namespace=self.state.namespace, name=name)

    def autoscaler(self, name: str) -> Ref:
        return Ref(kind="HorizontalPodAutoscaler", namespace=self.state.namespace, name=name)
