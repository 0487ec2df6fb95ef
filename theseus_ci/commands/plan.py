"""plan: what a rollout would do, before anything is done."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from theseus_ci.commands.pipeline_steps import pipeline_step
from theseus_ci.commands.session import Session
from theseus_ci.commands.stage import load_stage, step_arguments
from theseus_ci.config.load import config_from_dict
from theseus_ci.dry.cluster import DryCluster
from theseus_ci.dry.diff import render
from theseus_ci.errors import EXIT_DONE, Refused
from theseus_ci.plan import plan_to_dict
from theseus_ci.preflight.begin import prepare
from theseus_ci.quantities import Duration
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.lease import Lease
from theseus_ci.rollout.state import State
from theseus_ci.rollout.store import StateStore

ONLY_LOOKING = frozenset(
    {"begin", "await-mesh", "smoke", "performance", "bake", "await-scale-down"}
)


def run(args: argparse.Namespace) -> int:
    session = Session(args)
    return session.guarded(lambda: _act(session))


def _act(session: Session) -> int:
    config = session.load_config()
    namespace = config.namespace or session.connection.namespace
    world = msgspec.structs.replace(session.world, log=lambda _: None)
    try:
        state = prepare(world, config, namespace, Path(session.args.config).parent)
    except Refused:
        # a rollout under way makes versions, routes and capacity look like somebody's mistake
        Lease(session.cluster, session.clock, namespace, config.service).require_free()
        raise
    if session.args.json:
        print(json.dumps(_facts(state), indent=1))
    else:
        print(_text(state))
    if session.args.diff:
        _print_diff(session, state)
    return EXIT_DONE


def _facts(state: State) -> dict[str, Any]:
    """The plan, and with each step how a pipeline runs it."""
    plan, config = plan_to_dict(state.plan), config_from_dict(state.config)
    for listed, step in zip(plan["steps"], state.plan.steps, strict=True):
        listed.update(pipeline_step(step, config))
    return {
        "service": state.service,
        "namespace": state.namespace,
        "previous": state.previous.deployment if state.previous else None,
        "candidate": state.candidate.deployment,
        "notes": state.notes,
        **plan,
    }


def _text(state: State) -> str:
    before = state.previous.deployment if state.previous else "nothing yet"
    routes = ", ".join(str(ref) for ref in state.routes.virtual_services)
    lines = [
        f"{state.namespace}/{state.service}: {before} → {state.candidate.deployment}",
        f"routes: {routes}; {state.routes.destination_rule}",
        f"flow {state.plan.flow}: {state.plan.title}",
    ]
    width = max(len(step.id) for step in state.plan.steps)
    for number, step in enumerate(state.plan.steps, start=1):
        note = f" (skipped: {step.skip_reason})" if step.skip_reason else ""
        gate = " [gate]" if step.gate else ""
        lines.append(f"{number:3d}. {step.id:<{width}}  {step.title}{gate}{note}")
    lines += [f"  note: {note}" for note in state.notes]
    lines += [f"     left out: {left.title}: {left.reason}" for left in state.plan.left_out]
    lines.append(f"  on failure: theseus-ci {state.plan.on_failure}")
    return "\n".join(lines)


def _print_diff(session: Session, state: State) -> None:
    """Run the steps in a dry world, and show what each changes."""
    dry = DryCluster(session.cluster)
    with tempfile.TemporaryDirectory(prefix="theseus-plan-") as folder:
        rollout = _dry_rollout(session, state, dry, Path(folder))
        for step in state.plan.steps:
            if step.command[0] in ONLY_LOOKING or step.skip_reason:
                continue
            dry.changes.clear()
            rollout.editor.step = step.id
            load_stage(step.command[0]).run(rollout, step_arguments(step))
            print(f"\n# {step.id}: {step.title}")
            for change in dry.changes:
                for line in render(change):
                    print(line)


def _dry_rollout(session: Session, state: State, dry: DryCluster, folder: Path) -> Rollout:
    """A rollout that acts on `dry`; it observes nothing and waits for nothing."""
    config = config_from_dict(state.config)
    config = msgspec.structs.replace(
        config,
        entrypoint=None,
        entrypoints=(),
        waits=msgspec.structs.replace(config.waits, settle=Duration(0)),
    )
    world = msgspec.structs.replace(
        session.world, cluster=dry, log=lambda _: None, progress=lambda _: None, reports=folder
    )
    store = StateStore(dry, folder / "state.json", state.namespace, state.service, world.log)
    Lease(dry, session.clock, state.namespace, state.service).take(state.rollout, state.holder)
    store.create(state)
    return Rollout(world, state, config, store)
