"""From a command line to a rollout in the hands of this process, and the words at its end.

This is where adapters meet ports: nothing else constructs a client, a clock or a checker.
"""

from __future__ import annotations

import argparse
import getpass
import os
import socket
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from theseus_ci import importing
from theseus_ci.arguments import options
from theseus_ci.clock import SystemClock
from theseus_ci.config.load import config_from_dict, load_config
from theseus_ci.config.types import Config
from theseus_ci.console import Console
from theseus_ci.errors import (
    ClusterUnavailable,
    ConfigError,
    Interrupted,
    StateError,
    TheseusError,
    UsageError,
)
from theseus_ci.rollout import traffic
from theseus_ci.rollout.artefact import read_artefact
from theseus_ci.rollout.context import Rollout, World
from theseus_ci.rollout.lease import Lease, held
from theseus_ci.rollout.situation import next_command
from theseus_ci.rollout.state import ENDED, PHASE_ROLLING_BACK, State
from theseus_ci.rollout.store import StateStore

if TYPE_CHECKING:
    from theseus_ci.commands.adapters import Connection, KubernetesCluster, KubernetesServer

SAVING_SECONDS = 1.0  # after a signal, what the last save may cost; the whole exit has 3 s


class Session:
    """One command's dealings with a rollout."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.console = Console()
        self.clock = SystemClock()
        self.clock.listen()
        self.state: State | None = None
        self.artefact = Path(args.state)
        self._stores: dict[tuple[str, str], StateStore] = {}

    @cached_property
    def connection(self) -> Connection:
        made: Connection = _adapters().connect(self.args.kubeconfig, self.args.context)
        return made

    @cached_property
    def cluster(self) -> KubernetesCluster:
        made: KubernetesCluster = _adapters().KubernetesCluster(self.connection, self.clock)
        return made

    @cached_property
    def server(self) -> KubernetesServer:
        made: KubernetesServer = _adapters().KubernetesServer(self.connection, self.clock)
        return made

    @cached_property
    def world(self) -> World:
        made: World = _adapters().world(
            self.cluster,
            self.connection,
            self.clock,
            self.console,
            reports=Path(self.args.reports),
            holder=holder(),
        )
        return made

    def load_config(self, *, check_files: bool = True) -> Config:
        """The configuration from file, options and environment. Raises ConfigError."""
        values, sources = options.overrides(self.args, os.environ)
        return load_config(self.args.config, values, sources=sources, check_files=check_files)

    def store(self, namespace: str, service: str) -> StateStore:
        """The service's, the same each time: what it has warned of is not told twice."""
        key = namespace, service
        if key not in self._stores:
            self._stores[key] = StateStore(self.cluster, self.artefact, *key, self.console.log)
        return self._stores[key]

    def load_state(self, *, write: bool = True) -> tuple[State, StateStore]:
        """The state of the rollout that this command acts for, and with `write` the artefact
        brought up to it. Raises StateError."""
        store = self.store(*self.which())
        self.state = store.load(write=write)
        return self.state, store

    def open(self) -> Rollout:
        """Load the state and enter the lease, to go on; fence off a process that has left without
        an end.

        Raises StateError (also when the way back has begun), LeaseLost, or LeaseHeld when the
        workspace's state is of another rollout than the cluster's.
        """
        state, store = self.find()
        if state.phase == PHASE_ROLLING_BACK:
            raise StateError(
                f"a rollback of rollout {state.rollout} has begun: it cannot go on from here",
                remedy="finish it: theseus-ci rollback; then begin again",
            )
        return self.enter(state, store)

    def find(self, *, take_over: bool = False) -> tuple[State, StateStore]:
        """The state of the rollout that this workspace may act for. Raises LeaseHeld when it has
        one of another rollout than the cluster (unless `take_over`), StateError."""
        mine = self.own()
        state, store = self.load_state(write=False)
        if mine is not None and mine.rollout != state.rollout:
            if not take_over:
                self.state = None  # not ours: the artefact stays that of our own rollout
                self._refuse_other(mine, state)
            self.console.log(
                f"taking over rollout {state.rollout} from {state.holder}: its commands can change "
                "nothing more, and all it has done is put back"
            )
        if store.has_copy:
            store.keep(state)
        return state, store

    def enter(self, state: State, store: StateStore) -> Rollout:
        """Take the rollout into this process's hands."""
        self.state = state
        rollout = Rollout(self.world, state, config_from_dict(state.config), store)
        if state.phase in ENDED:
            return rollout
        generation, left_by = rollout.lease.enter(state.rollout, self.world.holder)
        state.holder = self.world.holder
        if generation != state.generation:
            state.generation = generation
            state.taken_over_at = rollout.clock.now()
            self.console.log(
                f"the process before this one ({left_by or 'unknown'}) recorded no end: it is "
                f"fenced off, this is generation {generation}"
            )
            store.save(state)
            if not state.promoted:  # its objects are the users' again
                rollout.editor.adopt_all()
        return rollout

    def is_foreign(self) -> bool:
        """Whether the rollout under way is somebody else's, as it is when begin was refused.

        The artefact proves that it is ours; without one, the holder in the cluster decides.
        """
        if self.artefact.exists():
            return False
        try:
            state, _ = self.load_state(write=False)
        except StateError:
            return False  # nothing is under way, or unreadable: the caller finds out and says so
        if state.holder == self.world.holder:
            return False
        self.console.log(f"rollout {state.rollout} is in the hands of {state.holder}: left alone")
        return True

    def leave(self, rollout: Rollout) -> None:
        """Save, and record an orderly end unless the last act is in doubt.

        After a signal or with the API server away this is tried for a moment only, and the failure
        that led here stays the one to report: the next process then fences this one off.
        """
        if rollout.state.phase in ENDED:
            return
        failure = sys.exc_info()[1]
        if self.clock.stopped() or isinstance(failure, ClusterUnavailable):
            self.cluster.hurry(SAVING_SECONDS)
        try:
            rollout.store.save(rollout.state)
            if not rollout.editor.in_doubt():
                rollout.lease.leave(rollout.state.rollout)
        except TheseusError as error:
            if failure is None:
                raise
            self.console.log(f"no orderly end could be recorded: {error}")

    def guarded(self, act: Callable[[], int]) -> int:
        """Run `act`; whatever fails ends with the facts a person on call needs."""
        try:
            code = act()
            sys.stdout.flush()  # an answer that cannot be printed is a failure like others
        except TheseusError as error:
            self._save_what_is_known()
            self.console.close()
            self.explain(error)
            return error.exit_code
        finally:
            self.console.close()
        if code:
            self.last_words()
        return code

    def explain(self, error: TheseusError) -> None:
        """What happened, what to do, where traffic is, what to run next."""
        self.tell(error)
        reachable = not isinstance(error, ClusterUnavailable | Interrupted)
        self.last_words(read_cluster=reachable, following=error)

    def tell(self, error: TheseusError) -> None:
        """What happened and what to do."""
        print(f"theseus-ci {self.args.command}: {error}", file=sys.stderr)
        if error.remedy:
            for line in error.remedy.splitlines():
                print(f"  {line}", file=sys.stderr)

    def last_words(
        self, *, read_cluster: bool = True, following: TheseusError | None = None
    ) -> None:
        """The two lines every failure ends with."""
        self.clock.forget()
        cluster = self.__dict__.get("cluster") if read_cluster else None
        print(traffic.describe(cluster, self.state), file=sys.stderr)
        given = following.next_command if following is not None else ""
        print(f"next: {given or next_command(self.state)}", file=sys.stderr)

    def _save_what_is_known(self) -> None:
        if self.state is not None and self.state.phase not in ENDED:
            self.store(self.state.namespace, self.state.service).keep(self.state)

    def own(self) -> State | None:
        """The artefact's state; None also when it is damaged, since the cluster's copy wins."""
        try:
            return read_artefact(self.artefact)
        except StateError:
            return None

    def which(self) -> tuple[str, str]:
        """Namespace and service: of the artefact, else of the configuration.

        Raises UsageError when they are not those that --config names, StateError, ConfigError.
        """
        artefact = self.own()
        if artefact is not None and not getattr(self.args, "service", None):
            self._require_told(artefact)
            return artefact.namespace, artefact.service
        if not Path(self.args.config).exists() and not getattr(self.args, "service", None):
            raise StateError(
                f"neither {self.artefact} nor {self.args.config} exists: which service?",
                remedy="run this where theseus.yaml is, or start with: theseus-ci begin",
            )
        values, sources = options.overrides(self.args, os.environ)
        config = load_config(self.args.config, values, sources=sources, check_files=False)
        return config.namespace or self.connection.namespace, config.service

    def _require_told(self, artefact: State) -> None:
        """A configuration that was named says which service is meant. One that the environment
        names is no reason to stop where it cannot be read: the state carries its own."""
        if not options.names_config(self.args, os.environ):
            return
        try:
            config = self.load_config(check_files=False)
        except ConfigError:
            if options.gives_config(self.args):
                raise
            return
        told = config.namespace or artefact.namespace, config.service
        if told != (artefact.namespace, artefact.service):
            raise UsageError(
                f"{self.artefact} is of rollout {artefact.rollout} of {artefact.namespace}/"
                f"{artefact.service}, but {self.args.config} is for {'/'.join(told)}",
                remedy=f"for {config.service}: give it a state of its own with --state FILE (made "
                "from the cluster's copy where there is none)\n"
                f"for {artefact.service}: run this without --config (and $THESEUS_CONFIG), the "
                "state has its configuration",
            )

    def _refuse_other(self, mine: State, current: State) -> None:
        lease = Lease(self.cluster, self.clock, current.namespace, current.service).read()

        if lease is not None:
            raise held(lease, self.clock.now())
        raise StateError(
            f"{self.artefact} is of rollout {mine.rollout}, the cluster's is {current.rollout}"
        )


def _adapters() -> ModuleType:
    return importing.load("theseus_ci.commands.adapters")


def holder() -> str:
    """Who acts, for people: the build, or user@host:pid."""
    build = os.environ.get("BUILD_URL") or os.environ.get("BUILD_TAG")
    return build or f"{user()}@{socket.gethostname()}:{os.getpid()}"


def user() -> str:
    """Who is at this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no passwd entry, as in many containers
        return str(os.getuid())
