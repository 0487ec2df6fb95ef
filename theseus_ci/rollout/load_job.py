"""A load from many workers, as a Job of this rollout: made, kept alive, and taken away again.

The Job is created suspended, its Secret after it, and a conditioned write lets it run: a process
left over from a lost agent can start no load. While samples are gathered the Job's deadline is
moved ahead; when nobody moves it any more (the agent is lost, the process killed) the cluster
itself stops the workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from theseus_ci.config.performance import Performance
from theseus_ci.errors import CannotKnow, ConfigError, Interrupted, TheseusError
from theseus_ci.measure import LoadTarget, SlicePair
from theseus_ci.mesh import headers
from theseus_ci.model import Object
from theseus_ci.rollout import load_objects
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.load_pods import Gathering
from theseus_ci.rollout.readiness import await_gone
from theseus_ci.rollout.state import Ref
from theseus_ci.workers.order import Order, settings_in_order, share_size

STOP_SECONDS = 1.0  # after a signal, what taking the Job away may cost
EXTEND_SECONDS = load_objects.LEASH_SECONDS / 2.5
_HIDDEN_FROM = 8  # characters; shorter header values are words that answers may well hold


def measure(
    rollout: Rollout, target: LoadTarget, performance: Performance, *, seed: int
) -> Iterator[SlicePair]:
    """As `measure.LoadGenerator.pairs`, sent by the pods of `performance.load`.

    Raises errors.NoData when any of them is missing, fails or falls silent: the run is INVALID.
    """
    sweep(rollout)
    order = _order(rollout, target, performance, seed)
    authority = _authority(performance)
    try:
        leash = _start(rollout, performance, order, authority)
        gathering = Gathering(rollout, order, leash.uid, leash.hold)
        yield from gathering.pairs()
    finally:
        _stop(rollout)


def sweep(rollout: Rollout) -> None:
    """Take away the Job and the Secret, if this rollout has made them; first the Job, which sends.

    Raises CannotKnow when its pods outlive the deadline.
    """
    namespace = rollout.state.namespace
    job = _ref(rollout, "Job")
    uid = ""
    if job in rollout.state.created:
        found = rollout.editor.read(job)
        uid = found["metadata"]["uid"] if found is not None else ""
        rollout.editor.delete(job, f"delete {job}: its workers stop")
        rollout.state.created.remove(job)
    secret = _ref(rollout, "Secret")
    if secret in rollout.state.created:
        rollout.editor.delete(secret, f"delete {secret}")
        rollout.state.created.remove(secret)
    if not uid or rollout.world.stopped():
        return
    left = await_gone(
        rollout.cluster,
        rollout.clock,
        namespace=namespace,
        pod_selector=f"{load_objects.CONTROLLER}={uid}",
        seconds=float(rollout.config.waits.delete),
        alive=rollout.alive,
    )
    if left:
        raise CannotKnow(
            f"{left} workers of {job} are still there {rollout.config.waits.delete} after its "
            "deletion, and may still send",
            remedy="see why they do not end (kubectl describe pod), then run this command again",
        )


class Leash:
    """Lets the Job run, a little further each time it is held."""

    def __init__(self, rollout: Rollout, ref: Ref, uid: str) -> None:
        self.uid = uid
        self._rollout = rollout
        self._ref = ref
        self._started = rollout.clock.monotonic()
        self._held = self._started

    def hold(self) -> None:
        """Called often: shows that somebody gathers what the workers send. Raises WorldChanged
        when the Job is gone, LeaseLost when a newer process has taken over."""
        now = self._rollout.clock.monotonic()
        if now - self._held < EXTEND_SECONDS:
            return
        self._held = now
        self._extend(now - self._started, "let the workers go on")

    def begin(self, workers: int) -> None:
        """Resume the Job."""
        self._extend(0.0, f"start {workers} workers: resume {self._ref}")

    def _extend(self, seconds: float, act: str) -> None:
        def changed(found: Object) -> Object:
            return load_objects.resumed(found, seconds)

        self._rollout.editor.edit(self._ref, changed, act)


def _start(rollout: Rollout, performance: Performance, order: Order, authority: str) -> Leash:
    state = rollout.state
    wanted = load_objects.job(state.namespace, state.service, performance.load)
    job = _create(rollout, wanted, "suspended")
    _create(rollout, load_objects.secret(job, order, authority), "the workers' order")
    leash = Leash(rollout, _ref(rollout, "Job"), job["metadata"]["uid"])
    leash.begin(order.workers)
    return leash


def _create(rollout: Rollout, obj: Object, remark: str) -> Object:
    ref = _ref(rollout, obj["kind"])
    if ref not in rollout.state.created:
        rollout.state.created.append(ref)
    return rollout.editor.create(obj, f"create {ref}, {remark}")[0]


def _stop(rollout: Rollout) -> None:
    """Take everything away, whatever led here; after a signal only for a moment, since the leash
    stops the workers anyway and rollback takes the rest."""
    stopping = rollout.world.stopped()
    try:
        with rollout.cluster.within(STOP_SECONDS) if stopping else nullcontext():
            try:
                sweep(rollout)
            except Interrupted:
                stopping = True
                with rollout.cluster.within(STOP_SECONDS):
                    sweep(rollout)
                raise
    except TheseusError as error:
        if not stopping:
            raise
        rollout.log(f"the workers' Job may still be there: {error}; rollback takes it away")


def _order(rollout: Rollout, target: LoadTarget, performance: Performance, seed: int) -> Order:
    state, load = rollout.state, performance.load
    if load.entrypoint:
        host = target.host or urlsplit(target.url).netloc
        target = msgspec.structs.replace(target, url=load.entrypoint, host=host)
    longest = float(rollout.config.waits.ready) + float(performance.max_duration)
    values = [value for one in performance.requests for value in one.headers.values()]
    values += [arm.headers.get(headers.KEY, "") for arm in target.arms]
    return Order(
        rollout=state.rollout,
        edit=state.edit,
        probe_path=rollout.view.path,
        target=target,
        performance=settings_in_order(performance),
        hidden=tuple(sorted({value for value in values if len(value) >= _HIDDEN_FROM})),
        seed=seed,
        workers=load.workers,
        size=share_size(performance, load.workers),
        epoch=rollout.clock.now(),
        longest=longest,
    )


def _authority(performance: Performance) -> str:
    """The content of performance.tls.ca, which workers do not have. Raises ConfigError."""
    path = performance.tls.ca
    if not path:
        return ""
    try:
        return Path(path).expanduser().read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}", where="performance.tls.ca") from error


def _ref(rollout: Rollout, kind: str) -> Ref:
    state = rollout.state
    return Ref(kind=kind, namespace=state.namespace, name=load_objects.name_of(state.service))
