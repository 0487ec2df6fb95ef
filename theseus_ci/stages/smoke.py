"""smoke: HTTP, tcp, ssh and bash checks against the candidate."""

from __future__ import annotations

import argparse

from theseus_ci.config.load import require_variables
from theseus_ci.model import Outcome
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.target import check_target
from theseus_ci.stages.result import of_results, skipped

SUMMARY = "run the smoke checks of theseus.yaml against the candidate"
DESCRIPTION = """\
Runs the checks in parallel: http through the mesh with the secret header, tcp against every
candidate pod, ssh on the hosts they name, bash with THESEUS_* variables. Each leaves its evidence
in the report. A check that asserted nothing is an error, not a pass."""
CASES = ("smoke",)


def configure(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(rollout: Rollout, args: argparse.Namespace) -> Outcome:
    checks = rollout.config.smoke
    if not checks:
        return skipped("smoke", "theseus.yaml has no smoke checks")
    require_variables(checks, "theseus.yaml: smoke")
    target = check_target(rollout)
    results = rollout.world.checker.run(checks, target, stopped=rollout.world.stopped)
    rollout.clock.check()
    return of_results(results, f"{len(results)} checks passed")
