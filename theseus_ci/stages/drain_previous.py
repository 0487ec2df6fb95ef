"""drain-previous: take the previous version out of the routes, and wait until it is quiet."""

from __future__ import annotations

import argparse

from theseus_ci.errors import UsageError
from theseus_ci.model import Outcome
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.routes import edit_routes, report_drift, secret
from theseus_ci.stages.result import passed, skipped

CASES = ("drained",)


def run(rollout: Rollout, args: argparse.Namespace) -> Outcome:
    state = rollout.state
    if state.previous is None:
        return skipped("drained", "there is no previous version")
    if state.weight != 100:
        raise UsageError(
            f"the previous version still carries {100 - state.weight} % of production traffic",
            remedy="theseus-ci shift 100 first",
        )
    value = secret(rollout)
    report_drift(rollout, value)
    state.previous_routed = False
    edit_routes(rollout, "previous version out of the routes", secret_value=value)
    rollout.view.await_settled(state.unsettled_since, f"draining {state.previous.deployment}")
    return passed("drained", f"{state.previous.deployment} gets no request any more")
