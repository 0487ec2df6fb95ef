"""status: who releases what, since when, how far."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from theseus_ci.commands.session import Session
from theseus_ci.console import Console
from theseus_ci.errors import EXIT_DONE, StateError
from theseus_ci.model import Object, Verdict
from theseus_ci.plan import Step
from theseus_ci.rollout import lease as leases
from theseus_ci.rollout import traffic
from theseus_ci.rollout.measured import answered, is_weak, refusal, undecided
from theseus_ci.rollout.situation import next_command
from theseus_ci.rollout.state import ENDED, PHASE_RUNNING, State, StepRecord

MARKS = {Verdict.PASS: "✓", Verdict.SKIPPED: "–", Verdict.FAIL: "✗", Verdict.ERROR: "!"}


def run(args: argparse.Namespace) -> int:
    session = Session(args)
    if args.json:
        session.console = Console(sys.stderr)  # what is printed is for a program
    return session.guarded(lambda: _act(session))


def _act(session: Session) -> int:
    try:
        state, store = session.load_state(write=False)
    except StateError as error:
        if "no rollout of this service" not in str(error):
            raise
        print(json.dumps({"rollout": None}) if session.args.json else "no rollout is under way")
        return EXIT_DONE
    lease = None
    if state.phase not in ENDED:
        lease = leases.Lease(session.cluster, session.clock, state.namespace, state.service).read()
    facts = _facts(session, state, lease)
    if lease is None and state.phase not in ENDED and not store.has_copy:
        facts |= _gone(session, state)
    print(json.dumps(facts, indent=1) if session.args.json else _text(facts, state))
    return EXIT_DONE


def _facts(session: Session, state: State, lease: Object | None) -> dict[str, Any]:
    step = _next_step(state)
    facts: dict[str, Any] = {
        "rollout": state.rollout,
        "service": f"{state.namespace}/{state.service}",
        "phase": state.phase,
        "previous": state.previous.deployment if state.previous else None,
        "candidate": state.candidate.deployment,
        "traffic": traffic.describe(session.cluster, state),
        "nextStep": step.id if step else None,
        "next": f"theseus-ci {' '.join(step.command)}" if step else next_command(state),
        "steps": [
            {
                "id": record.id,
                "verdict": record.verdict.value,
                "weak": is_weak(state, record.id),
                "reopened": record.reopened,
                "summary": record.summary,
                "seconds": round(record.seconds, 1),
                "weight": record.weight,
            }
            for record in state.steps
        ],
        "notes": state.notes,
    }
    if lease is not None:
        spec = lease["spec"]
        facts["lease"] = {
            "rollout": leases.owner(lease),
            "holder": spec.get("holderIdentity"),
            "since": spec.get("acquireTime"),
            "lastSignOfLifeSeconds": round(leases.age_seconds(lease, session.clock.now()), 1),
            "generation": leases.generation(lease),
            "acting": bool((lease["metadata"].get("annotations") or {}).get(leases.PROCESS)),
        }
    return facts


def _gone(session: Session, state: State) -> dict[str, Any]:
    """What else is to be said of a rollout that the cluster knows nothing of any more."""
    note = (
        f"the cluster has neither a state nor a lease of this rollout: it has ended elsewhere; "
        f"{session.artefact} is how it stood before"
    )
    return {"nextStep": None, "next": "theseus-ci begin", "notes": [*state.notes, note]}


def _next_step(state: State) -> Step | None:
    """The step that may run now; None when none may: the rollout has ended or its way back has
    begun, or the last step has not passed."""
    if state.phase != PHASE_RUNNING or refusal(state) is not None:
        return None
    if state.steps and state.steps[-1].id not in state.done():
        return None
    return state.plan.next_after(state.done())


def _text(facts: dict[str, Any], state: State) -> str:
    lines = [
        f"rollout   {facts['rollout']} ({facts['phase']})",
        f"service   {facts['service']}",
        f"versions  {facts['previous'] or 'nothing'} → {facts['candidate']}",
        facts["traffic"],
    ]
    lease = facts.get("lease")
    if lease is not None:
        acts = "a command is acting now" if lease["acting"] else "no command is acting"
        lines.append(
            f"lease     {lease['holder']}, since {lease['since']}, last sign of life "
            f"{lease['lastSignOfLifeSeconds']:.0f} s ago, generation {lease['generation']}; {acts}"
        )
    records = {record.id: record for record in state.steps}
    for step in state.plan.steps:
        record = records.get(step.id)
        mark = _mark(state, record) if record else " "
        detail = (
            f"{record.seconds:6.1f} s  {record.summary}" if record else f"          {step.title}"
        )
        lines.append(f"  {mark} {step.id:<22} {detail}")
    lines += [f"gate      {one.step}: {answered(one)}" for one in state.gates]
    lines += [f"note      {note}" for note in facts["notes"]]
    lines.append(f"next      {facts['next']}")
    return "\n".join(lines)


def _mark(state: State, record: StepRecord) -> str:
    if record.reopened:
        return "↺"
    if is_weak(state, record.id):
        return "≈"
    return "?" if undecided(state, record.id) is not None else MARKS[record.verdict]
