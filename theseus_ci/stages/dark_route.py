"""dark-route: let requests that match reach the candidate, and nobody else's."""

from __future__ import annotations

import argparse

from theseus_ci.model import Outcome
from theseus_ci.quantities import counted
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.routes import edit_routes, edit_subsets, secret
from theseus_ci.stages.result import passed

CASES = ("route",)


def run(rollout: Rollout, args: argparse.Namespace) -> Outcome:
    state = rollout.state
    value = secret(rollout)
    state.candidate_routed = True
    edit_subsets(rollout, "subset for the candidate")
    edit_routes(rollout, "dark route to the candidate", secret_value=value, observe=False)
    people = len(rollout.config.matchers)
    through = f"people through {counted(people, 'matcher')}" if people else "nobody else does"
    tests = f"tests reach {state.candidate.deployment} through the secret header"
    return passed("route", f"{tests}, {through}")
