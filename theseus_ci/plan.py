"""A plan: the steps of one rollout, each with a stable id and the arguments of one command."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from theseus_ci.errors import StateError, UsageError


class Gate(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A person's consent, asked for before the step."""

    message: str
    timeout: float  # seconds; a gate that never ends would hold the rollout for ever
    submitter: str = ""  # who may answer, as Jenkins' input takes it; "" is anyone who may build


class Step(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One command of the rollout."""

    id: str
    command: tuple[str, ...]  # behind `theseus-ci`, such as ("shift", "50")
    title: str
    timeout: float | None = None  # seconds for the whole step; None: the command's own deadlines
    gate: Gate | None = None
    skip_reason: str = ""  # not "": the step has nothing to do, and reports a skipped case


class LeftOut(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """A step of the flow that this rollout does without."""

    id: str
    title: str
    reason: str


class Plan(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """All steps in order. `has_previous` is false for the first release of a service."""

    flow: str
    title: str
    has_previous: bool
    steps: tuple[Step, ...]
    left_out: tuple[LeftOut, ...] = ()
    on_failure: str = "rollback"

    def step(self, step_id: str) -> Step:
        """The step of that id. Raises UsageError."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise UsageError(
            f"the plan has no step {step_id!r}", remedy=f"its steps: {_listed(self.steps)}"
        )

    def next_after(self, done: Collection[str]) -> Step | None:
        """The first step that is not among the ids in `done`; None when all are."""
        return next((step for step in self.steps if step.id not in done), None)

    def find(self, command: str | Sequence[str], done: Collection[str]) -> Step:
        """The next unfinished step with that command; the last one when all are finished.

        With arguments (`("shift", "50")`) only steps that have them all count. Raises UsageError
        when the plan has no such step.
        """
        wanted = (command,) if isinstance(command, str) else tuple(command)
        fitting = [step for step in self.steps if step.command[: len(wanted)] == wanted]
        if not fitting:
            raise self._absent(wanted)
        return next((step for step in fitting if step.id not in done), fitting[-1])

    def unfinished_before(self, step: Step, done: Collection[str]) -> tuple[Step, ...]:
        """Steps that the plan has before `step` and that are not done."""
        earlier = self.steps[: self.steps.index(step)]
        return tuple(one for one in earlier if one.id not in done)

    def beyond(self, weight: int) -> tuple[Step, ...]:
        """The first shift to more than `weight` percent, and all that comes after it."""
        shifts = (step for step in self.steps if step.command[0] == "shift")
        first = next((step for step in shifts if int(step.command[1]) > weight), None)
        return () if first is None else self.steps[self.steps.index(first) :]

    def _absent(self, wanted: tuple[str, ...]) -> UsageError:
        words = " ".join(wanted)
        for left in self.left_out:
            if left.id.startswith(wanted[0]):
                return UsageError(f"the plan leaves {words} out: {left.reason}")
        same = [step for step in self.steps if step.command[0] == wanted[0]]
        return UsageError(
            f"the plan (flow {self.flow}) has no step `{words}`",
            remedy=f"its steps: {_listed(same or self.steps)}",
        )


def plan_to_dict(plan: Plan) -> dict[str, Any]:
    """The plan as JSON-able values."""
    built: dict[str, Any] = msgspec.to_builtins(plan)
    return built


def plan_from_dict(data: object) -> Plan:
    """What `plan_to_dict` wrote. Raises StateError."""
    try:
        return msgspec.convert(data, Plan)
    except msgspec.ValidationError as error:
        raise StateError(f"the plan in the state cannot be read: {error}") from error


def _listed(steps: Sequence[Step]) -> str:
    return ", ".join(f"{step.id} ({' '.join(step.command)})" for step in steps)
