"""What a report shows of a rollout: values and words, decided; how they look is decided elsewhere.

Texts are as people shall read them, not escaped: they may hold anything a check has printed.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from theseus_ci.model import Verdict

Histogram = tuple[tuple[float, int], ...]
"""Upper edge in seconds, count; edges grow by a constant ratio."""


class Tone(str, Enum):
    """What a reader shall feel before having read a word."""

    GOOD = "good"
    BAD = "bad"
    DOUBT = "doubt"  # could not know, or is not finished though it should be
    CALM = "calm"  # under way


class StepRow(msgspec.Struct, frozen=True):
    """A step of the plan; `verdict` None where it has not run."""

    id: str
    title: str
    verdict: Verdict | None
    summary: str
    started: float = 0.0  # seconds since the epoch
    seconds: float = 0.0
    weight: int = 0  # candidate's share of production traffic afterwards, percent
    weak: bool = False  # a pass that rests on estimates within tolerance, not on a clear finding
    word: str = ""  # instead of the verdict's


class Check(msgspec.Struct, frozen=True):
    """One case: what was expected, what came, how to see it again."""

    name: str
    verdict: Verdict
    message: str
    seconds: float
    expected: str = ""
    actual: str = ""
    evidence: str = ""
    repeat: str = ""
    remedy: str = ""


class StepChecks(msgspec.Struct, frozen=True):
    """The checks of one step."""

    step: str
    title: str
    checks: tuple[Check, ...]


class Series(msgspec.Struct, frozen=True):
    """The latencies of one version."""

    label: str
    requests: int
    histogram: Histogram
    quantiles: tuple[tuple[str, float], ...]  # name and seconds, ascending
    intervals: tuple[tuple[float, float], ...]  # of each quantile, seconds
    course: tuple[float, ...] = ()  # p95 of one slice after the other, seconds


class QuantileRow(msgspec.Struct, frozen=True):
    """A quantile of the candidate beside that of what it is held against."""

    against: str
    quantile: str
    reference: str
    candidate: str
    change: str
    interval: str
    tolerance: str
    finding: str
    verdict: Verdict


class LatencyRun(msgspec.Struct, frozen=True):
    """One measurement and what it means."""

    step: str
    title: str
    verdict: Verdict
    weak: bool  # a pass that rests on estimates within tolerance, not on a clear finding
    sentence: str
    load: str
    errors: str
    series: tuple[Series, ...]  # what the candidate is held against first; 1 or 2
    quantiles: tuple[QuantileRow, ...]


class GateRow(msgspec.Struct, frozen=True):
    """A person's consent."""

    step: str
    message: str
    submitter: str
    approved: bool | None = None  # None as long as nobody has answered
    details: str = ""  # of the answer: who, and why
    at: float | None = None  # seconds since the epoch


class ObjectRow(msgspec.Struct, frozen=True):
    """An object of the cluster, and what the rollout did with it."""

    name: str
    role: str
    acts: tuple[str, ...]
    fate: str


class JournalRow(msgspec.Struct, frozen=True):
    """One act on the cluster."""

    at: float  # seconds since the epoch
    step: str
    act: str
    outcome: str


class Page(msgspec.Struct, frozen=True):
    """Everything a report shows."""

    service: str
    title: str
    tone: Tone
    outcome: str  # a sentence
    next: tuple[str, ...]  # sentences
    next_command: str
    previous: str  # "" where there is none
    candidate: str  # "" where it is not known
    facts: tuple[tuple[str, str], ...]
    started: float
    seconds: float
    steps: tuple[StepRow, ...]
    runs: tuple[LatencyRun, ...]
    checks: tuple[StepChecks, ...]
    gates: tuple[GateRow, ...]
    objects: tuple[ObjectRow, ...]
    journal: tuple[JournalRow, ...]
    notes: tuple[str, ...]
    over: bool = False  # nothing more will happen

    @property
    def failures(self) -> tuple[tuple[StepChecks, Check], ...]:
        """Checks that failed or could not be carried out, in the order of the steps."""
        return tuple(
            (group, check)
            for group in self.checks
            for check in group.checks
            if check.verdict in (Verdict.FAIL, Verdict.ERROR)
        )
