"""shift: move a share of production traffic to the candidate, pods first."""

from __future__ import annotations

import argparse

from theseus_ci.errors import UsageError
from theseus_ci.mesh import headers
from theseus_ci.model import Outcome
from theseus_ci.quantities import counted
from theseus_ci.rollout import repeat
from theseus_ci.rollout.capacity import await_version, raise_candidate, replicas_for
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.routes import edit_routes, report_drift, secret
from theseus_ci.stages.result import failed, passed

CASES = ("capacity", "weight")


def run(rollout: Rollout, args: argparse.Namespace) -> Outcome:
    state = rollout.state
    _check_possible(rollout, args.weight)
    value = secret(rollout)
    report_drift(rollout, value)
    replicas = replicas_for(rollout, args.weight)
    raise_candidate(rollout, replicas)
    readiness = await_version(rollout, state.candidate, replicas)
    if readiness.problem:
        return failed(
            "capacity",
            f"{state.candidate.deployment} cannot carry {args.weight} %: {readiness.problem}",
            expected=f"{counted(replicas, 'ready pod')} within {rollout.config.waits.ready}",
            actual=readiness.problem,
            repeat=repeat.pods(rollout),
        )
    if rollout.view.can_observe:
        rollout.view.await_version(value, headers.TO_CANDIDATE)
    state.weight = args.weight
    edit_routes(rollout, f"candidate's weight to {args.weight} %", secret_value=value)
    return passed(
        "weight",
        f"{args.weight} % of production traffic goes to {state.candidate.deployment} "
        f"({counted(readiness.ready, 'ready pod')})",
    )


def _check_possible(rollout: Rollout, wanted: int) -> None:
    state = rollout.state
    if not state.candidate_routed:
        raise UsageError(
            "the candidate has no route yet: its answers have never been tested",
            remedy="theseus-ci dark-route, then await-mesh and smoke",
        )
    if not state.previous_routed and wanted < 100:
        raise UsageError(
            "the previous version is drained already: it can get no traffic back by shift",
            remedy="theseus-ci rollback restores its capacity and its traffic",
        )
