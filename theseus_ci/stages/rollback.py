"""rollback: put everything back: capacity first, then traffic, then the rest.

What to do is computed from what is found in the cluster, not from what the state believes: every
part looks first, and a part that is done already changes nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from theseus_ci.errors import CannotKnow, MeshUnobserved
from theseus_ci.mesh.promotion import named_subsets
from theseus_ci.mesh.undo import read_layers
from theseus_ci.model import Object, Outcome, clone
from theseus_ci.rollout import load_job
from theseus_ci.rollout.capacity import await_version, restore_previous
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.ending import delete_version, restore_routes, restore_rule, unstamp_all
from theseus_ci.rollout.ground import missing_subsets
from theseus_ci.rollout.previous import previous_stands, released
from theseus_ci.rollout.routes import (
    edit_routes,
    edit_subsets,
    find_secret,
    new_secret,
    service_host,
)
from theseus_ci.rollout.state import PHASE_ROLLING_BACK
from theseus_ci.stages.result import passed

CASES = ("rolled-back",)


def run(rollout: Rollout, args: argparse.Namespace) -> Outcome:
    state = rollout.state
    rollout.editor.recovering = True
    _check_possible(rollout)
    state.phase = PHASE_ROLLING_BACK
    load_job.sweep(rollout)
    secret = find_secret(rollout) or new_secret()
    if state.previous is not None:
        _capacity_back(rollout)
    if _steered(rollout):
        _traffic_back(rollout, secret, unobserved=args.unobserved)
    delete_version(rollout, state.candidate)
    for ref in [one for one in state.created if one.kind not in ("Deployment",)]:
        rollout.editor.delete(ref, f"delete {ref}, which came with the candidate")
    with _observed(rollout, unobserved=args.unobserved):
        restore_routes(rollout, "previous", None, secret)
    restore_rule(rollout, "previous")
    _release_previous(rollout)
    unstamp_all(rollout, [*state.touches, *state.adopted])
    carrier = state.previous.deployment if state.previous else "nothing, as before"
    return passed("rolled-back", f"everything is as it was: production runs {carrier}")


def _check_possible(rollout: Rollout) -> None:
    previous = rollout.state.previous
    if previous is None or previous_stands(rollout):
        return
    raise CannotKnow(
        f"the previous version {previous.deployment} is gone: there is nothing to go back to",
        remedy="if promote was under way, finish it: theseus-ci promote; else deploy the previous "
        "version again",
    )


def _capacity_back(rollout: Rollout) -> None:
    previous = rollout.state.previous
    assert previous is not None
    replicas = restore_previous(rollout)
    readiness = await_version(rollout, previous, replicas)
    if readiness.problem:
        raise CannotKnow(
            f"the previous version cannot take the traffic back yet: {readiness.problem}",
            remedy="traffic stays where it is; mend that, then run theseus-ci rollback again",
        )


def _steered(rollout: Rollout) -> bool:
    """Whether traffic is ours to move: whether anything of this rollout is in the routes that it
    takes. Where nothing is, it goes where it always went; production would now be sent to a subset
    that it has never named, and that no proxy may know."""
    state, host = rollout.state, service_host(rollout.state)
    found = [obj for obj in map(rollout.editor.read, state.routes.virtual_services) if obj]
    if not any(host.key in read_layers(obj) for obj in found):
        return False
    if state.previous is None:
        return True
    ours = {one.name for one in (state.routes.previous, state.routes.candidate) if one}
    return any(ours & named_subsets(obj, host) for obj in found)


@contextmanager
def _observed(rollout: Rollout, *, unobserved: bool) -> Iterator[None]:
    """Go on although the mesh does not show what was put back, if the user has said so."""
    try:
        yield
    except MeshUnobserved as error:
        if not unobserved:
            raise MeshUnobserved(
                str(error),
                remedy=f"{error.remedy}; or go on without seeing it, where this entrypoint cannot "
                "be asked: theseus-ci rollback --unobserved",
            ) from error
        rollout.note(f"going on unobserved: {error}")


def _traffic_back(rollout: Rollout, secret: str, *, unobserved: bool) -> None:
    """All to the previous version, the candidate's routes gone, its last requests answered."""
    state = rollout.state
    _mend_subsets(rollout)
    state.weight = 0
    state.previous_routed = True
    state.candidate_routed = False
    _drop_vanished(rollout)
    with _observed(rollout, unobserved=unobserved):
        edit_routes(
            rollout, "all traffic to the previous version", secret_value=secret, create=False
        )
    rollout.view.await_settled(state.unsettled_since, f"draining {state.candidate.deployment}")


def _mend_subsets(rollout: Rollout) -> None:
    """Routes that name a subset which somebody has removed answer 503: put it there again first."""
    rule = rollout.state.routes.destination_rule
    if rule in rollout.state.adopted and missing_subsets(rollout):
        if rollout.editor.read(rule) is None and rule not in rollout.state.routes.created:
            rollout.note(f"{rule} was deleted during the rollout; it is not restored")
        else:
            edit_subsets(rollout, "subsets that somebody has removed")


def _drop_vanished(rollout: Rollout) -> None:
    """A VirtualService that somebody has deleted meanwhile cannot be put back by us."""
    for ref in rollout.state.routes.virtual_services:
        if rollout.editor.read(ref) is None and ref not in rollout.state.routes.created:
            rollout.note(f"{ref} was deleted during the rollout; it is not restored")


def _release_previous(rollout: Rollout) -> None:
    """Take pause and stamp off the previous version."""
    state = rollout.state
    if state.previous is None:
        return
    rollout.editor.unstamp(
        rollout.deployment(state.previous.deployment),
        lambda found: _as_before(rollout, found),
        f"release {state.previous.deployment}",
    )


def _as_before(rollout: Rollout, deployment: Object) -> Object:
    return released(rollout, clone(deployment))
