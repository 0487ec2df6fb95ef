"""The page of a rollout that did not begin: there is no state of it, only what begin has left."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from theseus_ci.model import CheckResult, Verdict
from theseus_ci.report.evidence import files_of
from theseus_ci.report.figures import moment
from theseus_ci.report.junit_reader import read_run
from theseus_ci.report.page_model import Check, Page, StepChecks, StepRow, Tone

_TITLE = "Check everything"


def refused_begin(reports: Path, *, after: float) -> Page | None:
    """The page of a begin that failed later than `after` (seconds since the epoch); else None.

    An artefact of an earlier rollout may still lie in the workspace: its outcome must not be
    mistaken for that of this build.
    """
    try:
        found = next((path for path in files_of(reports, "begin") if path.exists()), None)
        if found is None:
            return None
        run = read_run(found)
        at = datetime.fromisoformat(run.timestamp).replace(tzinfo=timezone.utc).timestamp()
    except (OSError, ValueError):
        return None
    failed = [one for one in run.results if one.verdict in (Verdict.FAIL, Verdict.ERROR)]
    if not failed or at <= after:
        return None
    return _page(failed[0], at)


def _page(failed: CheckResult, at: float) -> Page:
    service = failed.name.split(".")[1] if failed.name.count(".") > 2 else "a service"
    check = Check(
        name="checked",
        verdict=failed.verdict,
        message=failed.message,
        seconds=failed.seconds,
        evidence=failed.evidence,
    )
    step = StepRow(
        id="begin",
        title=_TITLE,
        verdict=failed.verdict,
        summary=failed.message,
        started=at,
        seconds=failed.seconds,
    )
    return Page(
        service=service,
        title="The rollout did not begin",
        tone=Tone.DOUBT,
        outcome=f"Nothing was touched: {failed.message}",
        next=("Mend what is said below, and begin again:",),
        next_command="theseus-ci begin",
        previous="",
        candidate="",
        facts=(("Started", moment(at)),),
        started=at,
        seconds=failed.seconds,
        steps=(step,),
        runs=(),
        checks=(StepChecks(step="begin", title=_TITLE, checks=(check,)),),
        gates=(),
        objects=(),
        journal=(),
        notes=(),
    )
