"""autoscale: give the candidate its autoscaler."""

from __future__ import annotations

import argparse

from theseus_ci.model import Object, Outcome, clone
from theseus_ci.rollout.autoscaler import candidate_autoscaler
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.editor import ref_of
from theseus_ci.rollout.users import HIGH, LOW, wrote
from theseus_ci.stages.result import passed, skipped

CASES = ("autoscaler",)


def run(rollout: Rollout, args: argparse.Namespace) -> Outcome:
    state = rollout.state
    wanted = candidate_autoscaler(rollout)
    if wanted is None:
        return skipped("autoscaler", "neither the manifest nor the previous version has one")
    if state.overlapping:
        return skipped(
            "autoscaler",
            "the selectors of the two Deployments overlap: both keep explicit replicas, and the "
            "autoscaler comes with promote",
        )
    create_autoscaler(rollout, wanted)
    return passed("autoscaler", f"autoscaler {wanted['metadata']['name']} scales the candidate")


def create_autoscaler(rollout: Rollout, wanted: Object) -> None:
    """Create it with a minimum that keeps the pods which the candidate's traffic needs now."""
    state = rollout.state
    made = clone(wanted)
    spec = made["spec"]
    state.candidate_hpa_min = int(spec.get("minReplicas", 1))
    state.candidate_hpa_max = int(spec["maxReplicas"])
    deployment = rollout.editor.read(rollout.deployment(state.candidate.deployment))
    running = int(deployment["spec"].get("replicas", 1)) if deployment else 1
    spec["minReplicas"] = max(state.candidate_hpa_min, running)
    spec["maxReplicas"] = max(int(spec["maxReplicas"]), spec["minReplicas"])
    ref = ref_of(made)
    wrote(state, ref, LOW, spec["minReplicas"])
    wrote(state, ref, HIGH, spec["maxReplicas"])
    if ref not in state.created:
        state.created.append(ref)
    rollout.editor.create(made, f"create {ref} for the candidate")
    state.candidate = state.candidate.with_hpa(ref.name)
