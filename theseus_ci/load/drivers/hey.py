"""hey: every answer from its CSV output (`-o csv`), which the user's script prints."""

from __future__ import annotations

import csv
from array import array
from pathlib import Path

from theseus_ci.errors import NoData
from theseus_ci.load.drivers.answers import Answers

ENVIRONMENT: dict[str, str] = {}
_GRANULARITY = 100  # microseconds: hey prints four decimals of a second


def arguments(script: str, given: tuple[str, ...], _: Path) -> list[str]:
    """For `bash`."""
    return ["-eu", script, *given]


def read(_: Path, printed: str) -> Answers:
    """Raises errors.NoData for what is no CSV of hey's.

    hey tells nothing of a request without an answer; the relay knows how many there were.
    """
    found: list[tuple[float, int, int]] = []
    try:
        rows = csv.DictReader(printed.splitlines())
        if "response-time" not in (rows.fieldnames or ()):
            raise KeyError("response-time")
        for row in rows:
            micros = round(float(row["response-time"]) * 1e6)
            found.append((float(row["offset"]), micros, int(row["status-code"])))
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise NoData(
            f"cannot read hey's output: {error!r}", remedy="call hey with -o csv, and print no more"
        ) from error
    found.sort(key=lambda one: one[0])
    return Answers(
        latencies=array("I", [max(1, micros) for _, micros, _ in found]),
        statuses=array("I", [status for *_, status in found]),
        granularity=_GRANULARITY,
    )
