"""promote: all tests have passed; the previous version goes, the candidate stays."""

from __future__ import annotations

import argparse

from theseus_ci.errors import UsageError
from theseus_ci.mesh.destination_rule import adopt_candidate
from theseus_ci.mesh.promotion import final_side, references
from theseus_ci.mesh.routing import Side
from theseus_ci.model import Object, Outcome, clone
from theseus_ci.rollout import load_job
from theseus_ci.rollout.autoscaler import candidate_autoscaler
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.ending import (
    delete_autoscaler,
    delete_deployment,
    restore_routes,
    restore_rule,
    unstamp_all,
)
from theseus_ci.rollout.routes import edit_routes, edit_rule, find_secret, routing
from theseus_ci.rollout.state import PHASE_PROMOTING, Subset
from theseus_ci.rollout.users import (
    follow_candidate_bounds,
    follow_previous_bounds,
    rest_digest,
    with_rest_of,
)
from theseus_ci.stages.autoscale import create_autoscaler
from theseus_ci.stages.result import passed

CASES = ("promoted",)


def run(rollout: Rollout, args: argparse.Namespace) -> Outcome:
    state = rollout.state
    if state.weight != 100 or (state.previous is not None and state.previous_routed):
        raise UsageError(
            "the previous version is still in the routes: deleting it would lose requests",
            remedy="theseus-ci shift 100, then drain-previous, first",
        )
    load_job.sweep(rollout)  # of a measurement whose process was killed
    secret = find_secret(rollout)
    if state.previous is not None:
        rollout.view.await_settled(
            state.unsettled_since, f"before {state.previous.deployment} goes"
        )
        state.phase = PHASE_PROMOTING
        rollout.editor.recovering = True  # there will be no way back: take what is found
        _keep_users_autoscaler(rollout)
        delete_deployment(rollout, state.previous)
        _create_waiting_autoscaler(rollout)  # a copy of the one that goes now
        delete_autoscaler(rollout, state.previous)
    final = _lasting_subset(rollout, secret)
    restore_routes(rollout, "candidate", final, secret)
    restore_rule(rollout, "candidate")
    _settle_autoscaler(rollout)
    unstamp_all(rollout, [*state.created, *state.adopted])
    return passed("promoted", f"{state.candidate.deployment} is the version that runs")


def _lasting_subset(rollout: Rollout, secret: str) -> Side | None:
    """Put the candidate's subset where the user had the previous version's, and move the routes
    there; the side that production's routes name from now on."""
    state = rollout.state
    wanted = routing(rollout, secret)
    ref = state.routes.destination_rule
    rule = rollout.editor.read(ref)
    refs = state.routes.virtual_services
    objects = [obj for obj in map(rollout.editor.read, refs) if obj is not None]
    final = final_side(wanted, objects, rule, objects)
    if final == wanted.candidate or rule is None:
        return final
    previous = wanted.previous
    assert previous is not None
    keep = bool(references(wanted.service, previous.subset, objects))
    edit_rule(
        rollout,
        lambda found: adopt_candidate(found, wanted, final, keep_previous=keep),
        f"put subset {final.subset} in the place of {previous.subset}",
    )
    state.routes = state.routes.with_candidate(
        Subset(name=final.subset, labels=dict(final.labels), owned=final.owned)
    )
    edit_routes(rollout, f"routes to subset {final.subset}", secret_value=secret)
    rollout.view.await_settled(state.unsettled_since, "before the rollout's own routes go")
    return final


def _keep_users_autoscaler(rollout: Rollout) -> None:
    """What users have changed on the previous version's autoscaler goes to the copy of it."""
    state = rollout.state
    assert state.previous is not None
    assert state.before is not None
    if state.previous.hpa is None:
        return
    ref = rollout.autoscaler(state.previous.hpa)
    previous = rollout.editor.read(ref)
    if previous is None:
        return
    follow_previous_bounds(rollout, ref, previous)
    changed = state.before.hpa_rest and state.before.hpa_rest != rest_digest(previous)
    if changed and state.candidate_hpa_copied and state.candidate.hpa is not None:
        rollout.editor.edit(
            rollout.autoscaler(state.candidate.hpa),
            lambda found: with_rest_of(found, previous),
            f"give autoscaler {state.candidate.hpa} what users changed on {state.previous.hpa}",
        )


def _create_waiting_autoscaler(rollout: Rollout) -> None:
    """Make the autoscaler that had to wait while the selectors overlapped."""
    state = rollout.state
    if not state.overlapping or state.candidate.hpa is not None:
        return
    wanted = candidate_autoscaler(rollout)
    if wanted is not None:
        create_autoscaler(rollout, wanted)


def _settle_autoscaler(rollout: Rollout) -> None:
    """The candidate's autoscaler gets its own bounds, which were raised for its traffic."""
    state = rollout.state
    if state.candidate.hpa is None:
        return
    ref = rollout.autoscaler(state.candidate.hpa)

    def own_bounds(hpa: Object) -> Object:
        follow_candidate_bounds(rollout, ref, hpa)
        wanted = clone(hpa)
        wanted["spec"]["minReplicas"] = state.candidate_hpa_min or 1
        wanted["spec"]["maxReplicas"] = state.candidate_hpa_max or wanted["spec"]["maxReplicas"]
        return wanted

    rollout.editor.edit(
        ref,
        own_bounds,
        f"give autoscaler {state.candidate.hpa} its own bounds",
    )
