"""What a failure means for traffic, and what follows: for whoever reads the test result alone."""

from __future__ import annotations

from theseus_ci.model import Verdict
from theseus_ci.rollout.measured import refusal, undecided
from theseus_ci.rollout.state import (
    ENDED,
    PHASE_PROMOTING,
    PHASE_ROLLING_BACK,
    State,
)


def next_command(state: State | None) -> str:
    """The one thing to do after a failure."""
    if state is None:
        return "mend what the message says, then run the same command again"
    if state.phase in ENDED:
        return "theseus-ci begin"
    if state.phase == PHASE_PROMOTING:
        return "theseus-ci promote"
    if refusal(state) is not None:
        return "theseus-ci rollback"
    for step in reversed(state.steps[-1:]):
        if undecided(state, step.id) is not None:
            return (
                f"theseus-ci pipeline approve {step.id} --by YOUR-NAME to accept the candidate as "
                "it is, or theseus-ci rollback"
            )
    return "theseus-ci rollback"


def aftermath(state: State, verdict: Verdict, carried: int) -> dict[str, str]:
    """Where traffic was when a step ended in `verdict`, what was done about it, what follows.

    `carried` is the candidate's share at that moment, in percent; the state has what it is now.
    """
    return {
        "production traffic then": _split(state, carried),
        "what the rollout did": " ".join((_at_once(state, verdict, carried), _then(state))),
    }


def not_passed(state: State) -> dict[str, str]:
    """The same for a gate that was answered with no, or by nobody."""
    return {
        "production traffic then": _split(state, state.weight),
        "what the rollout did": f"Nothing at once: the traffic is as it was tested. {_then(state)}",
    }


def died(state: State, now: str) -> dict[str, str]:
    """The same for a step whose process has gone without a word; `now` is what the mesh says."""
    return {
        "production traffic now": now,
        "what the rollout did": f"Nothing: its process has gone, and the state with what it had "
        f"done is in the cluster. {_then(state)}",
    }


def unseen(why: str) -> dict[str, str]:
    """The same where not even the state can be had."""
    return {
        "production traffic now": f"not known: {why}",
        "what the rollout did": "Not known; theseus-ci status tells, once it can be read.",
    }


def untouched() -> dict[str, str]:
    """The same for a rollout that did not begin."""
    return {
        "production traffic then": "as before",
        "what the rollout did": "Nothing: it did not begin, and there is nothing to put back.",
    }


def _split(state: State, weight: int) -> str:
    candidate = state.candidate.deployment
    if state.previous is None:
        return f"{weight} % on {candidate}, there is no previous version"
    return f"{100 - weight} % on {state.previous.deployment}, {weight} % on {candidate}"


def _at_once(state: State, verdict: Verdict, carried: int) -> str:
    candidate = state.candidate.deployment
    if verdict is not Verdict.FAIL:
        return "Nothing was changed for it: what is not known is no reason to move traffic."
    if not carried:
        return f"No production traffic was on {candidate}, so nothing had to be moved."
    if state.weight < carried:
        return f"At once, the brake brought {candidate} from {carried} % to {state.weight} %."
    return f"{candidate} still carries {state.weight} %: there was nowhere to move it at once."


def _then(state: State) -> str:
    if state.phase == PHASE_PROMOTING:
        return "There is no way back any more: theseus-ci promote completes the release."
    if state.phase in ENDED:
        return "The rollout has ended: there is nothing to put back."
    if state.phase == PHASE_ROLLING_BACK:
        return "The way back is not complete: run theseus-ci rollback again."
    case = f"theseus.{state.service.replace('.', '-')}.Rollback"
    return (
        "Everything is put back by theseus-ci rollback, which `run` and the Jenkins library start "
        f"by themselves: its outcome is the case rolled-back of {case}."
    )
