"""What became of the demo's two releases, and whether it is what should have become of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from theseus_ci.demo.picture import SLOW_SECONDS, Mark
from theseus_ci.demo.traffic import Request
from theseus_ci.model import Verdict
from theseus_ci.rollout.state import State, StepRecord


@dataclass(frozen=True)
class Check:
    """Something that had to be true at the end."""

    what: str
    holds: bool
    seen: str = ""  # what was found instead

    def line(self) -> str:
        return f"  ✓ {self.what}" if self.holds else f"  ✗ {self.what}: {self.seen or 'no'}"


@dataclass
class Release:
    """One release from the outside (exit code, time, traffic) and from its own records."""

    title: str
    previous: str
    candidate: str
    expected: int
    exit_code: int
    seconds: float
    state: State
    requests: list[Request] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    @property
    def steps(self) -> dict[str, StepRecord]:
        return {step.id: step for step in self.state.steps}

    @property
    def failed_step(self) -> str:
        """Id of the step that was not passed, or ""."""
        bad = (Verdict.PASS, Verdict.SKIPPED)
        return next((step.id for step in self.state.steps if step.verdict not in bad), "")

    def passed(self, step: str) -> bool:
        return step in self.steps and self.steps[step].verdict is Verdict.PASS

    @property
    def answers(self) -> Counter[str]:
        """Good answers by version."""
        return Counter(request.version for request in self.requests if request.answered)

    @property
    def lost(self) -> list[Request]:
        return [request for request in self.requests if request.lost]

    @property
    def failed_by_version(self) -> int:
        return sum(request.failed_by_version for request in self.requests)

    def failed_by(self, version: str) -> int:
        return sum(one.failed_by_version and one.version == version for one in self.requests)

    @property
    def slow(self) -> int:
        """Answers of the candidate that took longer than SLOW_SECONDS."""
        return sum(
            request.answered
            and request.version == self.candidate
            and request.seconds > SLOW_SECONDS
            for request in self.requests
        )

    def marks(self) -> list[Mark]:
        """What to mark in the picture."""
        found = []
        for step in self.state.steps:
            if step.id.startswith("shift-") and step.verdict is Verdict.PASS:
                found.append(Mark(step.started + step.seconds, f"{step.weight} %"))
            elif step.id == "promote":
                found.append(Mark(step.started, "promote"))
            elif step.id == "drain-previous":
                found.append(Mark(step.started, "drain"))
            elif step.id == "rollback":
                found.append(Mark(step.started, "rollback"))
                found.append(Mark(step.started + step.seconds, "as before"))
        found += [
            Mark(entry.at, "brake") for entry in self.state.journal if entry.act.startswith("brake")
        ]
        return found

    def common_checks(self) -> Iterable[Check]:
        right = self.exit_code == self.expected
        yield Check(f"exit code {self.expected}", right, f"it was {self.exit_code}")
        lost = self.lost
        first = lost[0].error or f"status {lost[0].status}" if lost else ""
        yield Check(
            "no request lost", not lost, f"{len(lost)} lost, the first with {first}" if lost else ""
        )
        yield Check(
            "requests were sent, and both versions answered some",
            bool(self.answers[self.previous] and self.answers[self.candidate]),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "exitCode": self.exit_code,
            "expectedExitCode": self.expected,
            "seconds": round(self.seconds, 1),
            "failedStep": self.failed_step,
            "requests": {
                "sent": len(self.requests),
                "answered": dict(sorted(self.answers.items())),
                "slow": self.slow,
                "failedByVersion": self.failed_by_version,
                "lost": len(self.lost),
            },
            "steps": [
                {
                    "id": step.id,
                    "verdict": step.verdict.value,
                    "seconds": round(step.seconds, 2),
                    "weight": step.weight,
                }
                for step in self.state.steps
            ],
            "checks": [
                {"what": check.what, "holds": check.holds, "seen": check.seen}
                for check in self.checks
            ],
        }
