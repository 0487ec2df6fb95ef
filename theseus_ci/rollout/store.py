"""The state in its two places: a ConfigMap in the cluster, written first, and the artefact.

The ConfigMap's resourceVersion is the fence of every act: intent is saved before the act, and the
save is refused when a newer process has written since.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from theseus_ci.errors import AlreadyExists, LeaseLost, NoRollout, StaleObject, StateError
from theseus_ci.model import Object
from theseus_ci.ports import Cluster
from theseus_ci.rollout.artefact import read_artefact, write_artefact
from theseus_ci.rollout.stamp import DOMAIN
from theseus_ci.rollout.state import State, decode, encode

KEY = "state.json"
ATTEMPTS = 5
LARGEST_BYTES = 900_000  # a ConfigMap must stay under 1 MiB


class StateStore:
    """Loads and saves the state of the rollout of one service."""

    def __init__(
        self,
        cluster: Cluster,
        artefact: Path,
        namespace: str,
        service: str,
        log: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._log = log
        self.artefact = artefact
        self.namespace = namespace
        self.name = f"theseus-{service}"
        self._copy: Object | None = None
        self._warned = False

    def read_copy(self) -> State | None:
        """The cluster's copy, None when there is none."""
        self._copy = self._cluster.get("ConfigMap", self.namespace, self.name)
        if self._copy is None:
            return None
        data = (self._copy.get("data") or {}).get(KEY, "")
        return decode(data.encode(), f"ConfigMap {self.namespace}/{self.name}")

    @property
    def has_copy(self) -> bool:
        """Whether the cluster held a copy when it was last read or written."""
        return self._copy is not None

    def load(self, *, write: bool = True) -> State:
        """The state to go on from: the cluster's copy wins over the artefact.

        Raises StateError when there is neither.
        """
        copy = self.read_copy()
        mine = self._readable_artefact() if copy is not None else read_artefact(self.artefact)
        if copy is None:
            if mine is None:
                raise NoRollout(
                    f"no rollout of this service: neither {self.artefact} nor ConfigMap "
                    f"{self.namespace}/{self.name} exists",
                    remedy="start one: theseus-ci begin",
                )
            return mine
        if mine is None and write:
            self._log(f"rebuilt {self.artefact} from ConfigMap {self.namespace}/{self.name}")
        elif mine is not None and (mine.rollout, mine.serial) != (copy.rollout, copy.serial):
            self._log(
                f"{self.artefact} (rollout {mine.rollout}, save {mine.serial}) differs from the "
                f"cluster's copy (rollout {copy.rollout}, save {copy.serial}): the cluster's wins"
            )
        if write:
            self.keep(copy)
        return copy

    def create(self, state: State) -> None:
        """First save of a new rollout. Raises LeaseLost when a copy of another one exists."""
        state.serial += 1
        try:
            self._copy = self._cluster.create(self._configmap(state))
        except AlreadyExists:
            existing = self.read_copy()
            if existing is None or existing.rollout != state.rollout:
                raise LeaseLost(
                    f"ConfigMap {self.namespace}/{self.name} holds the state of another rollout",
                    remedy="finish it first: theseus-ci rollback --take-over",
                ) from None
        self.keep(state)

    def save(self, state: State) -> None:
        """Save in the cluster, then in the file. Raises LeaseLost when fenced off."""
        state.serial += 1
        if self._copy is None:
            self.read_copy()
        if self._copy is None:
            raise LeaseLost(
                f"ConfigMap {self.namespace}/{self.name} is gone: the rollout was ended elsewhere",
                remedy="theseus-ci status",
            )
        for _ in range(ATTEMPTS):
            updated = self._configmap(state)
            updated["metadata"]["resourceVersion"] = self._copy["metadata"]["resourceVersion"]
            try:
                self._copy = self._cluster.replace(updated)
                break
            except StaleObject:
                if self._is_saved(state):
                    break
        else:
            raise self._restless()
        self.keep(state)

    def keep(self, state: State) -> bool:
        """Save only the file. One that cannot be written is told of, once, and stops nothing: the
        cluster's copy is the one to go on from."""
        try:
            write_artefact(self.artefact, state)
        except StateError as error:
            if not self._warned:
                self._warned = True
                instead = (
                    "; the cluster's copy is the one that counts, and the next command reads it: "
                    f"ConfigMap {self.namespace}/{self.name}"
                )
                self._log(f"warning: {error}{instead if self.has_copy else ''}")
            return False
        return True

    def keep_last(self, state: State) -> None:
        """As `keep`, before the cluster's copy goes: an older file that outlived it would show the
        rollout as under way."""
        if self.keep(state):
            return
        try:
            self.artefact.unlink(missing_ok=True)
        except OSError as error:
            if self.artefact.exists():
                self._log(
                    f"warning: cannot remove {self.artefact}: {error.strerror}. It shows rollout "
                    f"{state.rollout} as under way, which is {state.phase}: remove it"
                )
            return
        if not self.keep(state):  # in the room that the older one has left
            self._log(
                f"warning: no {self.artefact} is left: it would have shown rollout {state.rollout} "
                f"as under way, which is {state.phase}"
            )

    def delete_copy(self, state: State) -> None:
        """The rollout has ended: nothing of it stays in the cluster. Raises LeaseLost when another
        process has saved since this one did."""
        if self._copy is None:
            self.read_copy()
        for _ in range(ATTEMPTS):
            if self._copy is None:
                return
            try:
                self._cluster.delete(self._copy)
                self._copy = None
            except StaleObject:
                if self.read_copy() is not None:
                    self._is_saved(state)
        raise self._restless()

    def _restless(self) -> StaleObject:
        return StaleObject(
            f"ConfigMap {self.namespace}/{self.name} was changed by others {ATTEMPTS} times while "
            "it was being written",
            remedy="find out what keeps writing it (kubectl get --show-managed-fields), then retry",
        )

    def _is_saved(self, state: State) -> bool:
        """After a refused write: whether the save had succeeded and only its answer was lost.
        False when somebody has edited the ConfigMap around our state. Raises LeaseLost."""
        current = self.read_copy()
        if current is not None and (current.rollout, current.generation) == (
            state.rollout,
            state.generation,
        ):
            if current.serial == state.serial:
                return True
            if current.serial == state.serial - 1:
                return False
        by = f"{current.holder}, generation {current.generation}" if current else "nobody"
        raise LeaseLost(
            f"another process acts for this rollout now ({by}; this one is generation "
            f"{state.generation}): nothing more is changed from here",
            remedy="theseus-ci status",
        )

    def _readable_artefact(self) -> State | None:
        try:
            return read_artefact(self.artefact)
        except StateError as error:
            self._log(f"{error}; using the cluster's copy")
            return None

    def _configmap(self, state: State) -> Object:
        data = encode(state)
        if len(data) > LARGEST_BYTES:
            raise StateError(
                f"the state has grown to {len(data)} bytes; a ConfigMap holds at most 1 MiB",
                remedy="shorten theseus.yaml or the flow",
            )
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": {"app.kubernetes.io/managed-by": "theseus-ci"},
                "annotations": {f"{DOMAIN}/rollout": state.rollout},
            },
            "data": {KEY: data.decode()},
        }
