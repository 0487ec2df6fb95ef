"""deploy: create the candidate beside the previous version, and wait for its pods."""

from __future__ import annotations

import argparse

from theseus_ci.model import Object, Outcome, clone
from theseus_ci.quantities import counted
from theseus_ci.rollout import repeat
from theseus_ci.rollout.capacity import await_version, raise_candidate
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.editor import ref_of
from theseus_ci.rollout.release import load_release
from theseus_ci.stages.result import failed, passed


def run(rollout: Rollout, args: argparse.Namespace) -> Outcome:
    state = rollout.state
    release = load_release(rollout.config, state)
    for companion in release.companions:
        _create_companion(rollout, companion)
    deployment = clone(release.deployment)
    deployment["metadata"]["namespace"] = state.namespace
    deployment["spec"]["replicas"] = 0
    _create(rollout, deployment, "with no replicas yet")
    replicas = rollout.config.first_replicas
    raise_candidate(rollout, replicas)
    readiness = await_version(rollout, state.candidate, replicas)
    if readiness.problem:
        return failed(
            "ready",
            f"{state.candidate.deployment} does not start: {readiness.problem}",
            expected=f"{counted(replicas, 'ready pod')} within {rollout.config.waits.ready}",
            actual=readiness.problem,
            repeat=repeat.pods(rollout),
        )
    return passed(
        "ready", f"{state.candidate.deployment} has {counted(readiness.ready, 'ready pod')}"
    )


def _create_companion(rollout: Rollout, companion: Object) -> None:
    """Create it if it is absent; begin has compared those that exist."""
    wanted = clone(companion)
    wanted["metadata"].setdefault("namespace", rollout.state.namespace)
    ref = ref_of(wanted)
    if ref in rollout.state.created or rollout.editor.read(ref) is None:
        _create(rollout, wanted, "which comes with the candidate")


def _create(rollout: Rollout, obj: Object, remark: str) -> None:
    ref = ref_of(obj)
    if ref not in rollout.state.created:
        rollout.state.created.append(ref)
    rollout.editor.create(obj, f"create {ref}, {remark}")


CASES = ("ready",)
