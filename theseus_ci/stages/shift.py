"""shift: move a share of production traffic to the candidate, pods first."""

from __future__ import annotations

import argparse

from theseus_ci.mesh import headers
from theseus_ci.model import Outcome
from theseus_ci.quantities import counted
from theseus_ci.rollout import repeat
from theseus_ci.rollout.capacity import await_version, raise_candidate, replicas_for
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.routes import edit_routes, report_drift, secret
from theseus_ci.rollout.weight import check_possible
from theseus_ci.stages.result import failed, passed

CASES = ("capacity", "weight")


def run(rollout: Rollout, args: argparse.Namespace) -> Outcome:
    state = rollout.state
    check_possible(state, args.weight)
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
    _reopen(rollout, min(state.weight, args.weight))
    state.weight = args.weight
    edit_routes(rollout, f"candidate's weight to {args.weight} %", secret_value=value)
    return passed(
        "weight",
        f"{args.weight} % of production traffic goes to {state.candidate.deployment} "
        f"({counted(readiness.ready, 'ready pod')})",
    )


def _reopen(rollout: Rollout, weight: int) -> None:
    """Before the routes are edited: what was found at more traffic must not count if this process
    dies then."""
    opened = rollout.state.reopen(weight)
    if opened:
        rollout.note(
            f"back at {weight} % of production traffic: to be done again: {', '.join(opened)}"
        )
