"""The demo's closing words: a short table, and a picture of each release."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from theseus_ci.demo.picture import SLOW_SECONDS, draw
from theseus_ci.demo.result import Release
from theseus_ci.model import Verdict

COLUMN = 18
FIRST = 34


def summary(releases: Sequence[Release]) -> Iterator[str]:
    """Table, picture and checks, line by line."""
    yield _row("", [release.title for release in releases])
    yield "  " + "─" * (FIRST - 2 + COLUMN * len(releases))
    yield from _traffic(releases)
    yield ""
    yield from _steps(releases)
    for release in releases:
        yield ""
        yield f"{release.title}: who answered"
        yield from draw(
            release.requests,
            release.marks(),
            previous=release.previous,
            candidate=release.candidate,
        )
    for release in releases:
        yield ""
        yield f"{release.title}: as it should be?"
        for check in release.checks:
            yield check.line()


def _traffic(releases: Sequence[Release]) -> Iterator[str]:
    yield _row("requests sent", [_number(len(release.requests)) for release in releases])
    versions = sorted({version for release in releases for version in release.answers})
    for version in versions:
        cells = [_number(release.answers[version]) for release in releases]
        yield _row(f"  answered by {version}", cells)
    yield _row(
        f"  candidate over {SLOW_SECONDS * 1000:.0f} ms",
        [_number(release.slow) for release in releases],
    )
    yield _row(
        "  failed by the version itself",
        [_number(release.failed_by_version) for release in releases],
    )
    yield _row("  lost", [_number(len(release.lost)) for release in releases])
    yield _row("exit code", [str(release.exit_code) for release in releases])


def _steps(releases: Sequence[Release]) -> Iterator[str]:
    ids = [step.id for release in releases for step in release.state.plan.steps]
    ids += [step.id for release in releases for step in release.state.steps]
    for step in dict.fromkeys(ids):
        yield _row(step, [_step(release, step) for release in releases])
    yield _row("in all", [f"{release.seconds:.1f} s" for release in releases])


def _step(release: Release, name: str) -> str:
    step = release.steps.get(name)
    if step is None:
        return "–"
    if step.verdict is Verdict.SKIPPED:
        return "skipped"
    verdict = "" if step.verdict is Verdict.PASS else f"{step.verdict.value.upper()}  "
    return f"{verdict}{step.seconds:.1f} s"


def _row(name: str, cells: Sequence[str]) -> str:
    return f"  {name:<{FIRST - 2}}" + "".join(f"{cell:>{COLUMN}}" for cell in cells)


def _number(count: int) -> str:
    return f"{count:,}".replace(",", " ")
