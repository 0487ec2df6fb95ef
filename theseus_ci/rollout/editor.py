"""Every change this program makes to the cluster goes through here: fenced, journaled, stamped.

For each act: the intent is saved (refused when a newer process has saved since), the object is
read and its stamp compared, the change is computed from what was read, and the write carries that
read's resourceVersion. A conflict starts again from the read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from theseus_ci.errors import (
    AlreadyExists,
    ClusterUnavailable,
    Forbidden,
    Interrupted,
    LeaseLost,
    Rejected,
    StaleObject,
    TheseusError,
    WorldChanged,
)
from theseus_ci.model import Object, clone
from theseus_ci.ports import Clock, Cluster
from theseus_ci.rollout import stamp
from theseus_ci.rollout.state import JournalEntry, Ref, State
from theseus_ci.rollout.store import StateStore

ATTEMPTS = 20
UNKNOWN = "unknown"
Change = Callable[[Object], Object]


class Editor:
    """Fenced writes for one rollout."""

    def __init__(
        self,
        cluster: Cluster,
        store: StateStore,
        clock: Clock,
        state: State,
        log: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._clock = clock
        self._state = state
        self._log = log
        self.step = ""
        self.recovering = False  # rollback: an object that lost its stamp is taken as it is

    @property
    def _stamp(self) -> stamp.Stamp:
        return stamp.Stamp(self._state.rollout, self._state.generation)

    def read(self, ref: Ref) -> Object | None:
        return self._cluster.get(ref.kind, ref.namespace, ref.name)

    def edit(self, ref: Ref, change: Change, act: str) -> tuple[Object, bool]:
        """Apply `change` to the object; return it as it is then, and whether it was written.

        Raises WorldChanged when it is gone, LeaseLost when a newer process has stamped it.
        """
        obj = self._read_own(ref, act)
        if change(obj) == obj:
            return obj, False
        return self._write(ref, obj, change, act), True

    def unstamp(self, ref: Ref, change: Change, act: str) -> bool:
        """Apply `change` and take the stamp off: the last edit of an object. Absent is fine."""
        obj = self.read(ref)
        if obj is None:
            self._forget(ref)
            return False
        if stamp.read(obj, self._state.service) is not None:
            self._check_stamp(ref, obj)

        def change_and_clean(current: Object) -> Object:
            return stamp.remove(change(current), self._state.service)

        if change_and_clean(obj) == obj:
            self._forget(ref)
            return False
        self._journaled(act, lambda: self._replace(ref, obj, change_and_clean, stamped=False))
        self._forget(ref)
        return True

    def create(self, obj: Object, act: str) -> tuple[Object, bool]:
        """Create a stamped object; one that this rollout has created already is fine."""
        ref = ref_of(obj)
        existing = self.read(ref)
        if existing is not None:
            found = stamp.read(existing, self._state.service)
            if found == self._stamp:
                return existing, False
            if found is not None and found.rollout == self._state.rollout:
                self._check_stamp(ref, existing)  # of a process before this one: make it ours
                return self._write(ref, existing, clone, act), False
            raise WorldChanged(
                f"{ref} exists and was not made by this rollout",
                remedy="remove or rename it, then run the command again",
            )
        stamped = stamp.write(obj, self._state.service, self._stamp)
        self._remember(ref)
        made = self._journaled(act, lambda: self._create(ref, stamped))
        try:
            self._store.save(self._state)
        except LeaseLost:
            self._uncreate(ref, made)
            raise
        return made, True

    def delete(self, ref: Ref, act: str) -> bool:
        """Delete an object; absent is fine. Raises LeaseLost as `edit` does."""
        for _ in range(ATTEMPTS):
            obj = self.read(ref)
            if obj is None or obj["metadata"].get("deletionTimestamp"):
                self._forget(ref)
                return False
            self._check_stamp(ref, obj)
            try:
                self._journaled(act, partial(self._cluster.delete, obj))
            except StaleObject:
                continue
            self._forget(ref)
            return True
        raise self._restless(ref)

    def adopt_all(self) -> None:
        """Stamp every object the rollout may edit with this generation: from now on a process of
        an older generation can change none of them."""
        for ref in dict.fromkeys((*self._state.touches, *self._state.adopted)):
            obj = self.read(ref)
            if obj is None:
                continue
            found = stamp.read(obj, self._state.service)
            if found is not None and found.generation > self._state.generation:
                raise self._fenced(ref, found)
            if found == self._stamp:
                continue
            self._remember(ref)
            self._journaled(
                f"stamp {ref} with generation {self._state.generation}",
                partial(self._replace, ref, obj, clone, adopt=True),
            )

    def _write(self, ref: Ref, obj: Object, change: Change, act: str) -> Object:
        known = ref in self._state.adopted
        self._remember(ref)
        try:
            return self._journaled(act, lambda: self._replace(ref, obj, change, bare=not known))
        except (Forbidden, Rejected):
            if not known:
                self._forget(ref)
            raise

    def _replace(
        self,
        ref: Ref,
        obj: Object,
        change: Change,
        *,
        stamped: bool = True,
        adopt: bool = False,
        bare: bool = False,  # it bears no stamp yet: this is the rollout's first edit of it
    ) -> Object:
        for _ in range(ATTEMPTS):
            wanted = change(obj)
            if stamped:
                wanted = stamp.write(wanted, self._state.service, self._stamp)
            if wanted == obj:
                return obj
            try:
                return self._cluster.replace(wanted)
            except StaleObject:
                again = self.read(ref)
                if again is None:
                    raise self._gone(ref) from None
                found = stamp.read(again, self._state.service)
                if found is None:  # whoever ends this rollout elsewhere takes the stamps off
                    self._store.save(self._state)
                newer = found is not None and found.generation > self._state.generation
                if newer or not (adopt or (found is None and (bare or not stamped))):
                    self._check_stamp(ref, again)
                obj = again
        raise self._restless(ref)

    def _create(self, ref: Ref, obj: Object) -> Object:
        try:
            return self._cluster.create(obj)
        except AlreadyExists:
            existing = self.read(ref)
            if existing is not None and self._is_ours(existing):
                return existing
            raise

    def _uncreate(self, ref: Ref, made: Object) -> None:
        """Take back what was created just after a newer process took over: it could not be
        fenced off from that, and may have looked for this object before it was there."""
        current: Object | None = made
        for _ in range(ATTEMPTS):
            if current is None or current["metadata"].get("uid") != made["metadata"].get("uid"):
                return
            if stamp.read(current, self._state.service) != self._stamp:
                return  # the newer process has made it its own
            try:
                self._cluster.delete(current)
                return
            except StaleObject:
                current = self.read(ref)

    def _read_own(self, ref: Ref, act: str) -> Object:
        obj = self.read(ref)
        if obj is None:
            raise self._gone(ref, act)
        self._check_stamp(ref, obj)
        return obj

    def _check_stamp(self, ref: Ref, obj: Object) -> None:
        found = stamp.read(obj, self._state.service)
        if found is None:
            if ref not in self._state.adopted or self.recovering:
                return  # its first edit by this rollout, or a way back that takes what it finds
            raise WorldChanged(
                f"{ref} has lost its {stamp.key(self._state.service)} annotation: it was replaced "
                "or restored by somebody else, or another process has ended this rollout",
                remedy="theseus-ci status; then theseus-ci rollback",
            )
        older = found.rollout == self._stamp.rollout and found.generation <= self._stamp.generation
        if not older:
            raise self._fenced(ref, found)

    def _fenced(self, ref: Ref, found: stamp.Stamp) -> LeaseLost:
        return LeaseLost(
            f"{ref} bears the stamp of rollout {found.rollout}, generation {found.generation}; "
            f"this process is {self._state.rollout}, generation {self._state.generation}",
            remedy="theseus-ci status shows who acts for the service now",
        )

    def _is_ours(self, obj: Object) -> bool:
        found = stamp.read(obj, self._state.service)
        return found is not None and found.rollout == self._state.rollout

    def _journaled(self, act: str, do: Callable[[], object]) -> Object:
        """Save the intent, act, note the outcome (saved with the next intent or the step's end)."""
        self._clock.check()
        entry = JournalEntry(at=self._clock.now(), step=self.step, act=act)
        self._state.journal.append(entry)
        self._store.save(self._state)
        self._log(act)
        try:
            result = do()
        except (Interrupted, ClusterUnavailable) as error:
            entry.outcome = f"{UNKNOWN}: {error}"
            raise
        except TheseusError as error:
            entry.outcome = f"failed: {error}"
            raise
        entry.outcome = "done"
        return result if isinstance(result, dict) else {}

    def in_doubt(self) -> bool:
        """Whether the outcome of this process's last act is not known: then it must not record
        an orderly end, so that the next process fences this one off before it acts."""
        return bool(self._state.journal) and self._state.journal[-1].outcome.startswith(UNKNOWN)

    def _remember(self, ref: Ref) -> None:
        if ref not in self._state.adopted:
            self._state.adopted.append(ref)

    def _forget(self, ref: Ref) -> None:
        if ref in self._state.adopted:
            self._state.adopted.remove(ref)

    def _gone(self, ref: Ref, act: str = "") -> WorldChanged:
        return WorldChanged(
            f"{ref} is gone" + (f": cannot {act}" if act else ""),
            remedy="theseus-ci status; then theseus-ci rollback",
        )

    def _restless(self, ref: Ref) -> StaleObject:
        return StaleObject(
            f"{ref} was changed by others {ATTEMPTS} times while it was being written",
            remedy="find out what keeps writing it (kubectl get --show-managed-fields), then retry",
        )


def ref_of(obj: Object) -> Ref:
    """The reference of an object."""
    metadata = obj["metadata"]
    return Ref(kind=obj["kind"], namespace=metadata.get("namespace", ""), name=metadata["name"])
