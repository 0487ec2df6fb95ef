"""What the JUnit files of a rollout hold that its state does not: requests, answers, output."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from theseus_ci.report.junit_reader import Run, read_run

Evidence = dict[tuple[str, str], str]
"""By step and name of the check."""


def read_evidence(folder: Path, rollout: str, steps: tuple[str, ...]) -> Evidence:
    """The evidence in the steps' files, where these are there and of this rollout.

    A file that is missing, damaged or left by another rollout holds none: the report says what is
    known without it.
    """
    found: Evidence = {}
    for step in steps:
        run = _run_of(folder, rollout, step)
        for result in run.results if run is not None else ():
            evidence = _evidence(result.evidence)
            if evidence:
                found[step, _name(result.name)] = evidence
    return found


def absent(folder: Path, steps: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the steps that have left no file in the folder."""
    return tuple(
        step for step in steps if not any(path.exists() for path in files_of(folder, step))
    )


def files_of(folder: Path, step: str) -> Iterator[Path]:
    """Where a step's file may be: in the folder, or in one of its own, as pipelines have it."""
    if Path(step).name == step:
        yield folder / f"{step}.xml"
        yield from (inner / f"{step}.xml" for inner in _folders(folder))


def _folders(folder: Path) -> list[Path]:
    """Those in the folder, by name; none where it is not there or not for us."""
    try:
        return sorted(inner for inner in folder.iterdir() if inner.is_dir())
    except OSError:
        return []


def _run_of(folder: Path, rollout: str, step: str) -> Run | None:
    for path in files_of(folder, step):
        try:
            run = read_run(path)
        except (OSError, ValueError):
            continue
        if run.properties.get("rollout") == rollout:
            return run
    return None


def _name(full: str) -> str:
    """The check's name behind `theseus.<service>.<Stage>.`, none of which holds a dot."""
    return full.split(".", 3)[-1]


def _evidence(text: str) -> str:
    """The part of a case's text that `junit.write_report` calls the evidence."""
    _, _, behind = f"\n\n{text}".partition("\n\nevidence:")
    before, repeats, _ = behind.rpartition("\n\nto repeat it:")
    return (before if repeats else behind).strip("\n").removeprefix(" ")
