"""k6: every request's duration from its CSV output."""

from __future__ import annotations

import csv
from array import array
from pathlib import Path

from theseus_ci.errors import NoData
from theseus_ci.load.drivers.answers import Answers

OUTPUT = "k6.csv"
_DROPPED = 0.01  # share of the iterations beyond which the load was another than meant
ENVIRONMENT = {"K6_CSV_TIME_FORMAT": "unix_micro", "K6_NO_USAGE_REPORT": "true"}


def arguments(script: str, given: tuple[str, ...], folder: Path) -> list[str]:
    """For `k6`."""
    return ["run", "--quiet", "--no-color", "--out", f"csv={folder / OUTPUT}", *given, script]


def read(folder: Path, _: str) -> Answers:
    """Raises errors.NoData for what is no output of k6, and where k6 dropped iterations."""
    found: list[tuple[int, int, int]] = []
    dropped = 0.0
    try:
        with (folder / OUTPUT).open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if "metric_name" not in (rows.fieldnames or ()):
                raise NoData("cannot read k6's output: its CSV has no head")
            for row in rows:
                if row["metric_name"] == "dropped_iterations":
                    dropped += float(row["metric_value"])
                if row["metric_name"] == "http_req_duration":
                    micros = round(float(row["metric_value"]) * 1000)
                    found.append((int(row["timestamp"]), micros, int(row["status"] or 0)))
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise NoData(f"cannot read k6's output: {error!r}") from error
    if dropped > _DROPPED * (len(found) + dropped):
        raise NoData(
            f"k6 dropped {dropped:.0f} iterations beside {len(found)} requests: it could not keep "
            "its own schedule",
            remedy="give the scenario more VUs, or a lower rate",
        )
    found.sort(key=lambda one: one[0])
    return Answers(
        latencies=array("I", [max(1, micros) for _, micros, _ in found]),
        statuses=array("I", [status for *_, status in found]),
    )
