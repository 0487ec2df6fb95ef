"""How a rollout ended, or how it stands, in a sentence; and what to do next."""

from __future__ import annotations

import msgspec

from theseus_ci.model import Verdict
from theseus_ci.quantities import counted
from theseus_ci.report.page_model import Tone
from theseus_ci.rollout.measured import refusal, undecided
from theseus_ci.rollout.situation import next_command
from theseus_ci.rollout.state import (
    PHASE_PROMOTED,
    PHASE_PROMOTING,
    PHASE_ROLLED_BACK,
    PHASE_ROLLING_BACK,
    GateAnswer,
    State,
    StepRecord,
)

_BAD = (Verdict.FAIL, Verdict.ERROR)
_WAY_BACK = "rollback"


class Outcome(msgspec.Struct, frozen=True):
    """The head of the report."""

    tone: Tone
    title: str
    sentence: str
    next: tuple[str, ...]
    command: str = ""


def outcome(state: State) -> Outcome:
    """What became of the rollout."""
    if state.phase == PHASE_PROMOTED:
        return _promoted(state)
    if state.phase == PHASE_ROLLED_BACK:
        return _rolled_back(state)
    if state.phase == PHASE_ROLLING_BACK:
        return _unfinished(state, "Rollback not complete", _record(state, _WAY_BACK))
    if state.phase == PHASE_PROMOTING:
        return _unfinished(state, "Promotion not complete", _failed(state))
    return _running(state)


def _running(state: State) -> Outcome:
    failed, no = _failed(state), refusal(state)
    if no is not None:
        return _said_no(state, no)
    if failed is not None:
        return _standing(state, failed)
    return _under_way(state)


def _promoted(state: State) -> Outcome:
    candidate = state.candidate.deployment
    checks = sum(1 for step in state.steps for one in step.results if one.verdict is Verdict.PASS)
    weak = sum(one.weak for one in state.judgements.values())
    passed = f"{counted(checks, 'check')} passed" + (
        f", {weak} of the measurements weakly" if weak else ""
    )
    if state.previous is None:
        what = f"{candidate} is released, the first version of {state.service}"
        back = f"To take it back: theseus-ci delete {candidate}."
    else:
        what = f"{candidate} has replaced {state.previous.deployment}"
        back = (
            f"{state.previous.deployment} is gone from the cluster: the way back is a release of "
            "its manifest."
        )
    return Outcome(
        tone=Tone.GOOD,
        title=f"{candidate} released",
        sentence=f"{what} and carries all production traffic; {passed}.",
        next=("Nothing.", back),
    )


def _rolled_back(state: State) -> Outcome:
    candidate = state.candidate.deployment
    carrier = (
        f"{state.previous.deployment} carries all production traffic, as before"
        if state.previous
        else "no version carries production traffic, as before"
    )
    failed = _failed(state)
    said_no = next((one for one in reversed(state.gates) if not one.approved), None)
    what, why = "was taken back", ""
    if failed is None:
        tone = Tone.CALM
        if said_no is not None:
            why = f": the gate before {said_no.step} {_answered(said_no)}"
        else:
            what = "was taken back without a failed step"
        steps: tuple[str, ...] = ("Nothing has to be mended in the cluster. To try again:",)
    elif undecided(state, failed.id) is not None:
        why, tone = f": {failed.id} could not decide, {_refused(said_no)}", Tone.DOUBT
        steps = (
            "Nothing has to be mended in the cluster. Measure longer (performance.rate, "
            "performance.maxDuration) or allow more (performance.tolerance), and release again:",
        )
    elif failed.verdict is Verdict.FAIL:
        what, tone = f"was judged bad by {failed.id} and taken back", Tone.BAD
        steps = (
            f"Nothing has to be mended in the cluster. See what failed below, mend {candidate}, "
            "and release again:",
        )
    else:
        why, tone = f": {failed.id} could not be carried out", Tone.DOUBT
        steps = (*_remedy(failed), "When that is mended, release again:")
    sentence = f"{candidate} {what}{_carried(state)}{why}; {carrier}."
    return Outcome(tone, f"{candidate} rolled back", sentence, steps, next_command(state))


def _refused(answer: GateAnswer | None) -> str:
    if answer is None or not answer.by:
        return "and nobody accepted it"
    return f"and {answer.by} said no"


def _answered(no: GateAnswer) -> str:
    """Nobody has answered a gate that expired."""
    if no.by or not no.comment:
        return "was answered with no" + (f" by {no.by}" if no.by else "")
    return f"was not passed ({no.comment})"


def _carried(state: State) -> str:
    most = max((step.weight for step in state.steps), default=0)
    share = f"{most} % of production traffic at most" if most else "no production traffic"
    return f", having carried {share}"


def _said_no(state: State, no: GateAnswer) -> Outcome:
    """The way back is due, and has not begun."""
    why = f"the gate before {no.step} {_answered(no)}"
    if undecided(state, no.step) is not None:
        why = f"{no.step} could not decide, {_refused(no)}"
    return Outcome(
        tone=Tone.DOUBT,
        title=f"{state.candidate.deployment} not accepted",
        sentence=f"{why[0].upper()}{why[1:]}, and nothing has been put back yet; "
        f"{_traffic(state)}.",
        next=("To put everything back:",),
        command=next_command(state),
    )


def _standing(state: State, failed: StepRecord) -> Outcome:
    bad = failed.verdict is Verdict.FAIL
    what = "failed" if bad else "could not be carried out"
    if undecided(state, failed.id) is not None:
        return Outcome(
            tone=Tone.DOUBT,
            title=f"{state.candidate.deployment}: {failed.id} could not decide",
            sentence=f"{failed.id} could not decide, and a person must; {_traffic(state)}.",
            next=("Read the figures below, then accept the candidate or take it back:",),
            command=next_command(state),
        )
    return Outcome(
        tone=Tone.BAD if bad else Tone.DOUBT,
        title=f"{state.candidate.deployment}: {failed.id} {what}",
        sentence=f"{failed.id} {what}, and nothing has been put back yet; {_traffic(state)}.",
        next=(*_remedy(failed), "To put everything back:"),
        command=next_command(state),
    )


def _unfinished(state: State, title: str, record: StepRecord | None) -> Outcome:
    failed = record if record is not None and record.verdict in _BAD else None
    why = f": {failed.summary}" if failed else ": it was cut short"
    return Outcome(
        tone=Tone.DOUBT,
        title=f"{state.candidate.deployment}: {title[0].lower()}{title[1:]}",
        sentence=f"{title}{why}; {_traffic(state)}.",
        next=(*(_remedy(failed) if failed else ()), "To complete it, as often as needed:"),
        command=next_command(state),
    )


def _under_way(state: State) -> Outcome:
    done = state.done()
    following = state.plan.next_after(done)
    passed = sum(1 for step in state.plan.steps if step.id in done)
    sentence = f"{passed} of {len(state.plan.steps)} steps are done; {_traffic(state)}."
    if following is None:
        return Outcome(Tone.CALM, f"{state.candidate.deployment} under way", sentence, ())
    ask = " once its gate is answered" if following.gate is not None else ""
    return Outcome(
        tone=Tone.CALM,
        title=f"{state.candidate.deployment} under way",
        sentence=sentence,
        next=(f"The next step is {following.id}{ask}: {following.title}.",),
        command=f"theseus-ci {' '.join(following.command)}",
    )


def _traffic(state: State) -> str:
    """Where production traffic was when the state was saved: a report asks no cluster."""
    candidate = state.candidate.deployment
    if state.previous is None:
        return f"{state.weight} % of production traffic was on {candidate} as last set"
    previous = state.previous.deployment
    return (
        f"production traffic as last set: {100 - state.weight} % on {previous}, "
        f"{state.weight} % on {candidate}"
    )


def _failed(state: State) -> StepRecord | None:
    """The step that ended the rollout: the last one that went wrong, the way back apart."""
    wrong = [one for one in state.steps if one.verdict in _BAD and one.id != _WAY_BACK]
    return wrong[-1] if wrong else None


def _record(state: State, step: str) -> StepRecord | None:
    return next((one for one in state.steps if one.id == step), None)


def _remedy(record: StepRecord) -> tuple[str, ...]:
    """What the error itself says there is to do."""
    if record.verdict is not Verdict.ERROR:
        return ()
    told = (one.remedy for one in record.results if one.remedy)
    return tuple(f"{text[0].upper()}{text[1:]}." for text in told)
