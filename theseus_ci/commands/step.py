"""Run one step of a rollout that has begun, in a process of its own."""

from __future__ import annotations

import argparse

from theseus_ci.commands.session import Session
from theseus_ci.commands.stage import load_stage
from theseus_ci.errors import EXIT_DONE, OutOfOrder, UsageError
from theseus_ci.model import Verdict
from theseus_ci.plan import Step
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.ending import close
from theseus_ci.rollout.measured import word
from theseus_ci.rollout.state import ENDED, PHASE_PROMOTED, PHASE_RUNNING, State
from theseus_ci.rollout.weight import check_possible, is_at
from theseus_ci.runner import Stage, exit_code, run_step

ARGUMENTS = {"shift": "weight", "bake": "duration"}
GROUNDWORK = frozenset({"base-route", "deploy", "dark-route", "await-mesh"})


def run(args: argparse.Namespace) -> int:
    """The stage as a command: 0 passed, 1 judged bad, 2 usage, 3 could not know."""
    session = Session(args)
    return session.guarded(lambda: _act(session, load_stage(args.command)))


def _act(session: Session, stage: Stage) -> int:
    rollout = session.open()
    try:
        if rollout.state.phase in ENDED:
            return _ended(session, rollout.state)
        step = find_step(rollout.state, session.args)
        if not session.args.again and _is_done(rollout, step, by_name=bool(session.args.step)):
            if step.command[0] == "promote":
                close(rollout, PHASE_PROMOTED)  # its process ended before it could
                session.console.log("promote was done already but for the lease: released it")
                return EXIT_DONE
            session.console.log(f"{step.id} is done already: nothing to do (--again repeats it)")
            return EXIT_DONE
        _check_order(rollout, step)
        if step.command[0] == "shift":
            check_possible(rollout.state, session.args.weight)
        session.console.log(f"{step.id}: {step.title}")
        outcome = run_step(rollout, step, stage, session.args)
        said = word(rollout.state, step.id, outcome.verdict)
        session.console.log(f"{step.id}: {said}: {outcome.summary}")
        if step.command[0] == "promote" and outcome.verdict is Verdict.PASS:
            close(rollout, PHASE_PROMOTED)
        return exit_code(outcome)
    finally:
        session.leave(rollout)


def find_step(state: State, args: argparse.Namespace) -> Step:
    """The step that a stage command means. Raises UsageError.

    A weight or duration the plan does not have is a step of its own, outside the plan.
    """
    command = _command(args)
    if args.step:
        return _named(state, args.step, command)
    planned = [step for step in state.plan.steps if step.command == command]
    if not planned and args.command in ARGUMENTS:
        return _unplanned(state, command)
    return _of_several(state, planned) or state.plan.find(command, state.done())


def _command(args: argparse.Namespace) -> tuple[str, ...]:
    """The command line as a plan writes it."""
    if args.command in ARGUMENTS:
        return (args.command, str(getattr(args, ARGUMENTS[args.command])))
    if args.command == "performance":
        return (args.command, "--baseline" if args.baseline else "--compare")
    return (args.command,)


def _named(state: State, step_id: str, command: tuple[str, ...]) -> Step:
    """The step of that id: its record must not tell of another command."""
    step = state.plan.step(step_id)
    if step.command == command:
        return step
    planned, given = " ".join(step.command), " ".join(command)
    raise UsageError(
        f"{step_id} is planned as `{planned}`, not as `{given}`",
        remedy=f"theseus-ci {planned} --step {step_id}, or theseus-ci {given} without --step",
    )


def _unplanned(state: State, command: tuple[str, ...]) -> Step:
    """An id for each argument: `shift 10` having been done says nothing of `shift 20`."""
    step_id = "-".join(command)
    while any(step.id == step_id for step in state.plan.steps):
        step_id += "-unplanned"
    return Step(id=step_id, command=command, title=f"{' '.join(command)} (not planned)")


def _is_done(rollout: Rollout, step: Step, *, by_name: bool) -> bool:
    """Whether nothing is left to do. Who types a weight wants production there now; a pipeline
    names its steps, and when it is played again from its beginning that takes no traffic away."""
    if step.id not in rollout.state.done():
        return False
    if step.command[0] != "shift":
        return True
    weight = int(step.command[1])
    return (by_name and rollout.state.weight > weight) or is_at(rollout, weight)


def _of_several(state: State, planned: list[Step]) -> Step | None:
    """Of steps with the same command, the one whose turn it is; before that, the last one done:
    the command is then a repetition."""
    done = state.done() | {"begin"}
    for step in planned:
        if step.id not in done and not state.plan.unfinished_before(step, done):
            return step
    return next((step for step in reversed(planned) if step.id in done), None)


def _check_order(rollout: Rollout, step: Step) -> None:
    """Steps build on each other: one that skips an unfinished step is refused."""
    state = rollout.state
    missing = _missing(state, step)
    if missing and state.phase == PHASE_RUNNING:
        first = missing[0]
        why = "is to be done again" if first.id in state.passed() else "has not passed yet"
        raise OutOfOrder(
            f"{step.id} comes after {first.id}, which {why}",
            next_command=f"theseus-ci {' '.join(first.command)}",
        )


def _missing(state: State, step: Step) -> list[Step]:
    """Unfinished steps that `step` builds on: of one that is not planned, or that takes traffic
    away, the test routes; of one that adds traffic, all that the present traffic bears out."""
    done = state.done() | {"begin"}
    moves = step.command[0] == "shift"
    if step not in state.plan.steps or (moves and int(step.command[1]) < state.weight):
        ground = (one for one in state.plan.steps if one.command[0] in GROUNDWORK)
        return [one for one in ground if one.id not in done]
    if moves:
        done &= state.upheld() | {"begin"}
    return list(state.plan.unfinished_before(step, done))


def _ended(session: Session, state: State) -> int:
    command = session.args.command
    finished = {"promoted": "promote", "rolled back": "rollback"}[state.phase]
    if command == finished:
        session.console.log(f"rollout {state.rollout} is {state.phase} already: nothing to do")
        return EXIT_DONE
    raise UsageError(
        f"rollout {state.rollout} has ended ({state.phase}): there is nothing to {command}",
        remedy="start a new one: theseus-ci begin",
    )
