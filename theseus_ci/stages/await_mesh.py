"""await-mesh: wait until the mesh has the dark route and the candidate answers through it."""

from __future__ import annotations

import argparse

from theseus_ci.config.performance import Request
from theseus_ci.errors import MeshUnobserved
from theseus_ci.mesh import headers
from theseus_ci.model import Outcome
from theseus_ci.rollout import repeat
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.routes import observe_edit, secret
from theseus_ci.stages.result import failed, passed

CASES = ("route", "candidate-answers")


def run(rollout: Rollout, args: argparse.Namespace) -> Outcome:
    value = secret(rollout)
    observe_edit(rollout, value)
    if not rollout.view.can_observe:
        return passed("route", "no entrypoint: the settle time has passed, nothing was observed")
    try:
        rollout.view.await_version(value, headers.TO_CANDIDATE)
    except MeshUnobserved as error:
        return failed(
            "candidate-answers",
            f"the mesh has the dark route, but the candidate does not answer: {error}",
            expected=f"{rollout.state.candidate.deployment} answers GET {rollout.view.path}",
            actual=str(error),
            repeat=repeat.request(rollout, Request(path=rollout.view.path)),
        )
    entrypoints = ", ".join(rollout.config.all_entrypoints())
    return passed("candidate-answers", f"the candidate answers through {entrypoints}")
