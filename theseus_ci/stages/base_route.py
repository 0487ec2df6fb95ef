"""base-route: give the previous version a route of its own before any new pod can get traffic."""

from __future__ import annotations

import argparse

from theseus_ci.mesh import headers
from theseus_ci.model import Outcome
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.previous import pause_previous, pin_autoscaler
from theseus_ci.rollout.routes import edit_routes, edit_subsets, find_secret, new_secret
from theseus_ci.stages.result import passed

CASES = ("route",)


def run(rollout: Rollout, args: argparse.Namespace) -> Outcome:
    state = rollout.state
    secret = find_secret(rollout) or new_secret()
    pause_previous(rollout)
    pin_autoscaler(rollout)
    edit_subsets(rollout, "subset for the previous version")
    if state.previous is not None and state.routes.previous and state.routes.previous.owned:
        edit_routes(rollout, "test routes", secret_value=secret, production=False)
        if rollout.view.can_observe:
            rollout.view.await_version(secret, headers.TO_PREVIOUS)
    edit_routes(rollout, "explicit route to the previous version", secret_value=secret)
    if state.previous is None:
        return passed(
            "route", "there is no previous version: the candidate stays dark until the end"
        )
    return passed("route", f"production is routed to {state.previous.deployment} explicitly")
