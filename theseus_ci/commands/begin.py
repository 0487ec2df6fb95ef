"""begin: look at everything, touch nothing but the lease, write the plan."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from theseus_ci.commands.session import Session
from theseus_ci.config.load import config_from_dict
from theseus_ci.config.types import Config
from theseus_ci.errors import (
    EXIT_DONE,
    Forbidden,
    LeaseHeld,
    LeaseLost,
    Refused,
    Rejected,
    StateError,
    TheseusError,
)
from theseus_ci.model import CheckResult, Verdict
from theseus_ci.preflight.begin import prepare
from theseus_ci.report.junit import write_report
from theseus_ci.rollout.artefact import require_writable
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.lease import Lease, owner
from theseus_ci.rollout.release import load_release
from theseus_ci.rollout.situation import untouched
from theseus_ci.rollout.state import ENDED, State, StepRecord
from theseus_ci.rollout.store import StateStore

CASES: Sequence[str] = ("checked",)
KEPT_MANIFEST = "theseus-manifest.yaml"
UNKNOWN_SERVICE = "unknown"  # in the report, when not even theseus.yaml could be read


def run(args: argparse.Namespace) -> int:
    session = Session(args)
    return session.guarded(lambda: _act(session))


def _act(session: Session) -> int:
    rollout = begin(session)
    if rollout is not None:
        session.leave(rollout)
    elif session.state is not None:
        session.console.log(f"rollout {session.state.rollout} has begun already: nothing to do")
    return EXIT_DONE


def begin(session: Session) -> Rollout | None:
    """Begin a rollout; None when the artefact's rollout has begun already and still runs.

    Raises ConfigError, ManifestError, Refused, Forbidden, ClusterUnavailable, and LeaseHeld when
    what runs is another rollout, be it of this workspace.
    """
    started = session.clock.now()
    service = UNKNOWN_SERVICE
    try:
        config = session.load_config()
        service = config.service
        namespace = config.namespace or session.connection.namespace
        if config.manifest == "-":
            config = msgspec.structs.replace(config, manifest=_keep_stdin(session.artefact.parent))
        lease = Lease(session.cluster, session.clock, namespace, config.service)
        store = session.store(namespace, config.service)
        _require_own_artefact(session, namespace, config.service)
        running = _already_running(session, store, lease)
        if running is not None:
            session.state = running
            _require_same(config, running)
            return None
        lease.require_free()
        state = prepare(session.world, config, namespace, Path(session.args.config).parent)
        state.steps.append(_record(session, state, started))
        require_writable(session.artefact, state)
        lease.take(state.rollout, session.world.holder)
        _save_first(session, store, lease, state)
    except TheseusError as error:
        _report(session, service, error, started)
        raise
    session.state = state
    session.console.log(
        f"begin: {state.service}: {state.previous.deployment if state.previous else 'nothing'} → "
        f"{state.candidate.deployment}, {len(state.plan.steps)} steps, rollout {state.rollout}"
    )
    _report(session, service, None, started)
    rollout = Rollout(session.world, state, config, store)
    rollout.lease = lease
    for note in state.notes:
        session.console.log(f"note: {note}")
    for step in state.plan.left_out:
        session.console.log(f"left out: {step.title}: {step.reason}")
    return rollout


def _save_first(session: Session, store: StateStore, lease: Lease, state: State) -> None:
    """Put the state beside the lease; leave neither without the other. Raises what the cluster
    says: LeaseLost, Forbidden."""
    former = session.artefact.with_name(f".{session.artefact.name}.former")
    if session.artefact.exists():  # a rollout that has ended: this one must not be taken for it
        session.artefact.replace(former)
    try:
        store.create(state)
    except (LeaseLost, Forbidden, Rejected):  # certainly not created
        if former.exists():
            former.replace(session.artefact)
        lease.release(state.rollout)
        raise
    except TheseusError:  # perhaps created: this rollout may have begun
        session.state = state
        raise
    former.unlink(missing_ok=True)
    try:
        lease.confirm(state.rollout)
    except LeaseLost:
        store.delete_copy(state)
        raise


def _record(session: Session, state: State, started: float) -> StepRecord:
    return StepRecord(
        id="begin",
        verdict=Verdict.PASS,
        summary=f"rollout {state.rollout} has begun; {len(state.plan.steps)} steps are planned",
        started=started,
        seconds=session.clock.now() - started,
        weight=0,
    )


def _keep_stdin(folder: Path) -> str:
    """Write the manifest on the standard input to a file: later stages read it again.

    It may hold a Secret, so only its owner can read the file.
    """
    path = folder / KEPT_MANIFEST
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(sys.stdin.buffer.read())
    except OSError as error:
        raise StateError(
            f"cannot keep the manifest in {path}: {error.strerror}",
            remedy="free disk space, or give another place with --state",
        ) from error
    return str(path)


def _require_own_artefact(session: Session, namespace: str, service: str) -> None:
    """Raise Refused where this would overwrite what another service's rollout goes on from."""
    mine = session.own()
    if mine is None or mine.phase in ENDED:
        return
    if (mine.namespace, mine.service) == (namespace, service):
        return
    lease = Lease(session.cluster, session.clock, mine.namespace, mine.service).read()
    if lease is not None and owner(lease) == mine.rollout:
        raise Refused(
            f"{session.artefact} is of rollout {mine.rollout} of {mine.namespace}/{mine.service}, "
            f"which is under way: {namespace}/{service} would overwrite it",
            remedy="give each service a state of its own: --state FILE, for all of its commands\n"
            f"or end {mine.service}'s rollout first: theseus-ci rollback, theseus-ci promote",
        )


def _already_running(session: Session, store: StateStore, lease: Lease) -> State | None:
    """The artefact's own rollout, when the cluster says that it is still under way."""
    copy = store.read_copy()
    if copy is None or not session.artefact.exists():
        return None
    mine = session.own()
    if mine is not None and mine.rollout != copy.rollout:  # left by one that has ended
        return None
    return store.load() if lease.read() is not None else None


def _require_same(config: Config, running: State) -> None:
    """A workspace that another build left behind must not turn this release into that build's.

    Raises LeaseHeld when the configuration is not the running rollout's, ManifestError when the
    manifest is not.
    """
    planned = config_from_dict(running.config)
    names = zip(Config.__struct_fields__, Config.__struct_encode_fields__, strict=True)
    differing = [key for name, key in names if getattr(config, name) != getattr(planned, name)]
    if differing:
        raise LeaseHeld(
            f"rollout {running.rollout} of {running.candidate.deployment} has begun in this "
            f"workspace, with another configuration; different: {', '.join(differing)}",
            remedy="theseus-ci run --resume goes on with it, theseus-ci rollback ends it",
        )
    load_release(config, running)


def _report(session: Session, service: str, error: TheseusError | None, started: float) -> None:
    message = str(error) if error else "everything that can be checked beforehand is in order"
    result = CheckResult(
        name="checked",
        verdict=Verdict.ERROR if error else Verdict.PASS,
        message=message,
        seconds=session.clock.now() - started,
        remedy=error.remedy if error else "",
    )
    try:
        write_report(
            Path(session.args.reports) / "begin.xml",
            service=service,
            stage="begin",
            results=[result],
            started=started,
            properties={},
            situation=untouched(),
        )
    except OSError as error_of_file:
        session.console.log(f"warning: cannot write the report: {error_of_file}")
