"""What was found, line by line in a file, and the table of it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.table import markdown
from tests.faults.cases import KINDS, LEFT, OUTCOMES, Result
from theseus_ci.demo.traffic import Request

Line = dict[str, Any]


@dataclass(frozen=True)
class Tried:
    """A case that has been tried, and when (seconds since the epoch)."""

    result: Result
    began: float
    ended: float


class Record:
    """Results in a file. A batch of cases is added with its users' requests, or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        self.lines: list[Line] = [json.loads(line) for line in text.splitlines()]

    def release(self, control_plane: str, *, requests: int, changes: int) -> None:
        """What a release without a fault asks of the API server."""
        said = {"controlPlane": control_plane, "requests": requests, "changes": changes}
        print(f"a release makes {requests} requests, {changes} of them changes", flush=True)
        self._add([{"release": said}])

    def batch(self, tried: Sequence[Tried], requests: Sequence[Request]) -> None:
        lost = [one for one in requests if not one.answered]
        lines: list[Line] = []
        for one in tried:
            result = one.result
            lines.append(
                {
                    "case": str(result.case),
                    "kind": result.case.kind,
                    "outcome": result.outcome,
                    "struck": list(result.struck),
                    "detail": result.detail,
                    "seconds": round(one.ended - one.began, 1),
                }
            )
        users = {"requests": len(requests), "lost": [_told(one, tried) for one in lost]}
        self._add([*lines, {"users": users}])

    def tried(self) -> set[str]:
        return {line["case"] for line in self.lines if "case" in line}

    def cases(self) -> list[Line]:
        return [line for line in self.lines if "case" in line]

    def requests(self) -> int:
        return sum(line["users"]["requests"] for line in self.lines if "users" in line)

    def lost(self) -> list[str]:
        return [text for line in self.lines if "users" in line for text in line["users"]["lost"]]

    def left_behind(self) -> list[Line]:
        return [line for line in self.cases() if line["outcome"] == LEFT]

    def _add(self, lines: list[Line]) -> None:
        with self._lock:
            self.lines += lines
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(line) + "\n" for line in lines))


def _told(request: Request, tried: Sequence[Tried]) -> str:
    meanwhile = [str(one.result.case) for one in tried if one.began <= request.due <= one.ended]
    return f"{request} during {', '.join(meanwhile) or 'no case'}"


def table(record: Record) -> str:
    """Rows by kind of fault."""
    heads = ("fault", "releases", "faults", *OUTCOMES, "seconds each")
    rows: list[tuple[str, ...]] = []
    for kind in KINDS:
        lines = [line for line in record.cases() if line["kind"] == kind]
        if lines:
            counts = Counter(line["outcome"] for line in lines)
            faults = sum(_strikes(line) for line in lines)
            seconds = sum(line["seconds"] for line in lines) / len(lines)
            each = [str(counts[outcome]) for outcome in OUTCOMES]
            rows.append((kind, str(len(lines)), str(faults), *each, f"{seconds:.0f}"))
    told = [markdown(heads, rows), "", *_sentences(record)]
    for line in record.left_behind():
        told += [f"LEFT BEHIND {line['case']} ({line['struck'][:1]})", line["detail"]]
    return "\n".join([*told, *record.lost()[:20]])


def _strikes(line: Line) -> int:
    """How many faults a case met. One that is made for a change that the release did not make, as
    when an autoscaler was quicker, struck nothing."""
    struck = len(line["struck"])
    return min(struck, 1) if KINDS[line["kind"]].every == 0 else struck


def _sentences(record: Record) -> list[str]:
    releases = [line["release"] for line in record.lines if "release" in line]
    first = releases[0]
    return [
        f"A release makes {first['requests']} requests, {first['changes']} of them changes "
        f"(control plane: {first['controlPlane']}).",
        f"{record.requests()} requests of users meanwhile, {len(record.lost())} lost; "
        f"{len(record.left_behind())} cases left something behind.",
    ]
