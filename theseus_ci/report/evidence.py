"""What the JUnit files of a rollout hold that its state does not: requests, answers, output."""

from __future__ import annotations

from pathlib import Path

from theseus_ci.report.junit_reader import read_run

Evidence = dict[tuple[str, str], str]
"""By step and name of the check."""


def read_evidence(folder: Path, rollout: str, steps: tuple[str, ...]) -> Evidence:
    """The evidence in `folder/<step>.xml`, where that file is there and of this rollout.

    A file that is missing, damaged or left by another rollout holds none: the report says what is
    known without it.
    """
    found: Evidence = {}
    for step in steps:
        path = folder / f"{step}.xml"
        if path.parent != folder:
            continue
        try:
            run = read_run(path)
        except (OSError, ValueError):
            continue
        if run.properties.get("rollout") != rollout:
            continue
        for result in run.results:
            evidence = _evidence(result.evidence)
            if evidence:
                found[step, _name(result.name)] = evidence
    return found


def _name(full: str) -> str:
    """The check's name behind `theseus.<service>.<Stage>.`, none of which holds a dot."""
    return full.split(".", 3)[-1]


def _evidence(text: str) -> str:
    """The part of a case's text that `junit.write_report` calls the evidence."""
    _, _, behind = f"\n\n{text}".partition("\n\nevidence:")
    before, repeats, _ = behind.rpartition("\n\nto repeat it:")
    return (before if repeats else behind).strip("\n").removeprefix(" ")
