"""One rollout a service at a time, and one process a rollout.

The Lease `theseus-<service>` belongs to a rollout from begin to promote or rollback. Its holder
names the build for people; `leaseTransitions` is the generation that fences off processes which
were taken for dead. A process that ends normally records its end; one that follows a process
without a recorded end raises the generation.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

from theseus_ci.errors import AlreadyExists, LeaseHeld, LeaseLost, StaleObject
from theseus_ci.model import Object
from theseus_ci.ports import Clock, Cluster
from theseus_ci.rollout.stamp import DOMAIN
from theseus_ci.timestamps import to_micro_time, to_seconds

ROLLOUT = f"{DOMAIN}/rollout"
PROCESS = f"{DOMAIN}/process"
DURATION_SECONDS = 60
RENEW_EVERY_SECONDS = 20.0
_ATTEMPTS = 5


class Lease:
    """The lease of one service, as this process sees it."""

    def __init__(self, cluster: Cluster, clock: Clock, namespace: str, service: str) -> None:
        self._cluster = cluster
        self._clock = clock
        self.namespace = namespace
        self.name = f"theseus-{service}"
        self._process = uuid.uuid4().hex
        self._renewed = 0.0

    def read(self) -> Object | None:
        return self._cluster.get("Lease", self.namespace, self.name)

    def require_free(self) -> None:
        """Raise LeaseHeld when a rollout is under way: what it has changed is not to be judged."""
        existing = self.read()
        if existing is not None:
            raise held(existing, self._clock.now())

    def take(self, rollout: str, holder: str) -> None:
        """Take the lease for a new rollout. Raises LeaseHeld."""
        self._create(rollout, holder, 1)

    def _create(self, rollout: str, holder: str, generation: int) -> None:
        now = to_micro_time(self._clock.now())
        lease: Object = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "annotations": {ROLLOUT: rollout, PROCESS: self._process},
                "labels": {"app.kubernetes.io/managed-by": "theseus-ci"},
            },
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": DURATION_SECONDS,
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": generation,
            },
        }
        try:
            self._cluster.create(lease)
        except AlreadyExists:
            existing = self.read()
            if existing is None or owner(existing) != rollout or self._is_foreign(existing):
                raise held(existing, self._clock.now()) from None
        self._renewed = self._clock.monotonic()

    def enter(self, rollout: str, holder: str) -> tuple[int, str]:
        """Start acting for `rollout`; return the generation, and who left without an end ("" if
        nobody). Raises LeaseLost when the rollout has ended or another one holds the lease."""

        def change(lease: Object) -> str:
            annotations = lease["metadata"].setdefault("annotations", {})
            left_by = ""
            if annotations.get(PROCESS) not in ("", None, self._process):
                left_by = str(lease["spec"].get("holderIdentity", "somebody"))
                lease["spec"]["leaseTransitions"] = generation(lease) + 1
            annotations[PROCESS] = self._process
            lease["spec"]["holderIdentity"] = holder
            return left_by

        lease, left_by = self._update(rollout, change)
        return generation(lease), left_by

    def confirm(self, rollout: str) -> None:
        """Make sure that this process still holds the lease, in a way that refuses a deletion of
        it which somebody has decided on before. Raises LeaseLost."""

        def change(lease: Object) -> str:
            if self._is_foreign(lease):
                raise _lost(lease)
            return ""

        self._update(rollout, change)

    def restore(self, rollout: str, holder: str, generation: int) -> None:
        """Make a lease that was deleted under its rollout again, with a new generation."""
        self._create(rollout, holder, generation)

    def renew(self, rollout: str) -> None:
        """Show that this process lives; cheap when called often. Raises LeaseLost."""
        if self._clock.monotonic() - self._renewed >= RENEW_EVERY_SECONDS:
            self.confirm(rollout)

    def leave(self, rollout: str) -> None:
        """Record that this process has ended in order."""

        def change(lease: Object) -> str:
            process = (lease["metadata"].get("annotations") or {}).get(PROCESS)
            if process and process != self._process:  # none: it was this call, its answer lost
                raise _lost(lease)
            lease["metadata"].setdefault("annotations", {})[PROCESS] = ""
            return ""

        self._update(rollout, change)

    def release(self, rollout: str) -> None:
        """The rollout has ended: delete the lease. One of another rollout is left alone."""
        for _ in range(_ATTEMPTS):
            lease = self.read()
            if lease is None or owner(lease) != rollout:
                return
            try:
                self._cluster.delete(lease)
                return
            except StaleObject:
                continue
        raise _lost(lease)

    def _is_foreign(self, lease: Object) -> bool:
        return (lease["metadata"].get("annotations") or {}).get(PROCESS) != self._process

    def _update(self, rollout: str, change: Callable[[Object], str]) -> tuple[Object, str]:
        for _ in range(_ATTEMPTS):
            lease = self.read()
            if lease is None or owner(lease) != rollout:
                raise _lost(lease)
            result = change(lease)
            lease["spec"]["renewTime"] = to_micro_time(self._clock.now())
            try:
                written = self._cluster.replace(lease)
            except StaleObject:
                continue
            self._renewed = self._clock.monotonic()
            return written, result
        raise _lost(lease)


def owner(lease: Object) -> str:
    """The id of the rollout that holds `lease`."""
    return str((lease["metadata"].get("annotations") or {}).get(ROLLOUT, ""))


def generation(lease: Object) -> int:
    """The fencing generation."""
    return int(lease["spec"].get("leaseTransitions") or 1)


def age_seconds(lease: Object, now: float) -> float:
    """Seconds since the holder showed its last sign of life."""
    text = str(lease["spec"].get("renewTime", ""))
    try:
        renewed = to_seconds(text)
    except ValueError:
        return float("inf")
    return max(0.0, now - renewed)


def taken(lease: Object) -> str:
    """When the rollout took the lease, to the second; `unknown` where the lease does not say."""
    text = str(lease["spec"].get("acquireTime") or "unknown")
    return re.sub(r"\.\d+(?=Z$)", "", text)


def held(lease: Object | None, now: float) -> LeaseHeld:
    """The error that says whose lease it is, since when, and what to do."""
    if lease is None:
        return LeaseHeld("the lease came and went while this rollout tried to take it: try again")
    spec = lease["spec"]
    return LeaseHeld(
        f"another rollout of this service is under way: {owner(lease)}, held by "
        f"{spec.get('holderIdentity', 'somebody')} since {taken(lease)} "
        f"(last sign of life {age_seconds(lease, now):.0f} s ago)",
        remedy="let it finish, or take it back with: theseus-ci rollback --take-over",
    )


def _lost(lease: Object | None) -> LeaseLost:
    if lease is None:
        return LeaseLost(
            "this rollout has no lease in the cluster: it has ended, or was rolled back elsewhere",
            remedy="theseus-ci status shows what is there; theseus-ci begin starts a new rollout",
        )
    return LeaseLost(
        f"the lease belongs to rollout {owner(lease)}, held by "
        f"{lease['spec'].get('holderIdentity', 'somebody')}: this process must change nothing",
        remedy="theseus-ci status shows who acts for the service now",
    )
