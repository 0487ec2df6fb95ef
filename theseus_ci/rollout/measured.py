"""What measurements leave in a rollout: its first run, weak passes, and findings for a person.

Under `onInconclusive: gate` a measurement that decided nothing is no failure and no pass: the step
stays undone, with exit code 3, until a person accepts the candidate as it is or takes it back.
"""

from __future__ import annotations

import msgspec

from theseus_ci.measure import A_PERSON_DECIDES, Finding, Judgement
from theseus_ci.model import CheckResult, Verdict
from theseus_ci.plan import Step
from theseus_ci.rollout.state import GateAnswer, State


def keep_first_run(state: State, judgement: Judgement) -> None:
    """The first run is this rollout's anchor; one that did not pass is kept out."""
    if judgement.verdict is not Verdict.PASS:
        return
    state.baseline = {"candidate": judgement.candidate}
    if judgement.previous is not None:
        state.baseline["previous"] = judgement.previous


def is_weak(state: State, step_id: str) -> bool:
    """Whether a step has passed without a clear finding."""
    judgement = state.judgements.get(step_id)
    return judgement is not None and judgement.weak


def undecided(state: State, step_id: str) -> Judgement | None:
    """The step's judgement while a person must decide, else None."""
    judgement = state.judgements.get(step_id)
    if judgement is None or judgement.rule != "gate" or judgement.verdict is not Verdict.ERROR:
        return None
    record = next((one for one in state.steps if one.id == step_id), None)
    return judgement if record is not None and record.verdict is Verdict.ERROR else None


def refusal(state: State) -> GateAnswer | None:
    """The last answer, if it was a no and the rollout has not gone on in spite of it."""
    last = state.gates[-1] if state.gates else None
    return last if last and not last.approved and last.step not in state.done() else None


def answered(answer: GateAnswer) -> str:
    """`approved by alice`, `not approved: no answer in 90 minutes`."""
    said = "approved" if answer.approved else "not approved"
    by = f" by {answer.by}" if answer.by else ""
    return said + by + (f": {answer.comment}" if answer.comment else "")


def word(state: State, step_id: str, verdict: Verdict) -> str:
    """A step's verdict as people should read it."""
    if is_weak(state, step_id):
        return "weak pass"
    return "undecided" if undecided(state, step_id) is not None else verdict.value


def refuse(state: State, step: Step, *, by: str, at: float, comment: str = "") -> None:
    """Note that nobody accepts what `step` left open."""
    state.gates.append(GateAnswer(step=step.id, approved=False, by=by, at=at, comment=comment))


def accept(state: State, step: Step, *, by: str, at: float, comment: str = "") -> None:
    """Note a person's consent; what `step` left open is a weak pass from now on."""
    state.gates.append(GateAnswer(step=step.id, approved=True, by=by, at=at, comment=comment))
    judgement = undecided(state, step.id)
    if judgement is None:
        return
    said = f"weak pass: accepted by {by} (onInconclusive: gate)"
    sentence = judgement.sentence.replace(A_PERSON_DECIDES, said)
    accepted = msgspec.structs.replace(
        judgement, verdict=Verdict.PASS, accepted_by=by, sentence=sentence
    )
    state.judgements[step.id] = accepted
    state.steps = [
        msgspec.structs.replace(
            one,
            verdict=Verdict.PASS,
            summary=sentence,
            results=tuple(_accepted(result, said) for result in one.results),
        )
        if one.id == step.id
        else one
        for one in state.steps
    ]
    if "--baseline" in step.command:
        keep_first_run(state, accepted)


def _accepted(result: CheckResult, said: str) -> CheckResult:
    if result.details.get("finding") != Finding.INCONCLUSIVE.value:
        return result
    message = f"{result.message.removesuffix(f' ({A_PERSON_DECIDES})')} ({said})"
    return msgspec.structs.replace(result, verdict=Verdict.PASS, message=message)
