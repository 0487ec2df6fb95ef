"""smoke: HTTP, tcp, ssh and bash checks against the candidate."""

from __future__ import annotations

import argparse

from theseus_ci.config.load import require_variables
from theseus_ci.model import Outcome
from theseus_ci.quantities import counted
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.target import check_target
from theseus_ci.stages.result import of_results, skipped

CASES = ("smoke",)


def run(rollout: Rollout, args: argparse.Namespace) -> Outcome:
    checks = rollout.config.smoke
    if not checks:
        return skipped("smoke", "theseus.yaml has no smoke checks")
    require_variables(checks, "theseus.yaml: smoke")
    target = check_target(rollout)
    results = rollout.world.checker.run(checks, target, stopped=rollout.stopped)
    rollout.clock.check()
    return of_results(results, f"{counted(len(results), 'check')} passed")
