"""Who answered over time, drawn in block characters.

    100 % ┤░░░░░░░░░░░░░░░░░░░░░░░░
          │░░░░░░░░░░░░▅▄▅▅▄███████
     50 % ┤░░░░░░░░░░░░████████████
      0 % ┤░░░░░░░▁▁▁▁▁████████████
          └───────┬────┬────┬──────
                  1 %  50 % 100 %

The candidate is drawn from the bottom, in eighths of a row, over the version before it. Below
stands when answers were slow, when a version answered with errors, and when requests were lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from theseus_ci.demo.traffic import Request

WIDTH = 72
HEIGHT = 8
SLOW_SECONDS = 0.05  # far above what the demo's good versions take
SLOW_SHARE = 0.2  # of a column's answers; on a busy machine a few are slow now and then
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_BEFORE = "░"
_MARGIN = 8


@dataclass(frozen=True)
class Mark:
    """Something that happened: seconds since the epoch, and what it is called."""

    at: float
    label: str


@dataclass
class _Column:
    """What one column's share of the time saw."""

    candidate: int = 0
    previous: int = 0
    lost: int = 0
    failed: int = 0
    slow: int = 0

    @property
    def total(self) -> int:
        return self.candidate + self.previous + self.lost

    @property
    def level(self) -> int:
        """The candidate's share of the answers, in eighths of a row; never hidden by rounding."""
        answers = self.candidate + self.previous
        if not self.candidate:
            return 0
        whole = HEIGHT * 8
        most = whole - 1 if self.previous else whole
        return min(most, max(1, round(whole * self.candidate / answers)))


def draw(
    requests: Sequence[Request], marks: Sequence[Mark], *, previous: str, candidate: str
) -> list[str]:
    """The picture's lines; nothing when there were no requests."""
    if not requests:
        return []
    begin = min(request.due for request in requests)
    seconds = max(max(request.due for request in requests) - begin, 0.001)
    columns = _columns(requests, begin, seconds, previous, candidate)
    lines = [
        f"{'':>{_MARGIN}}{_BEFORE} {previous}   █ {candidate}   "
        f"(a column is {seconds / WIDTH:.1f} s, {seconds:.0f} s in all)"
    ]
    for row in reversed(range(HEIGHT)):
        cells = "".join(_cell(column, row) for column in columns)
        lines.append(f"{_axis(row)}{cells}")
    places = [(min(WIDTH - 1, int((mark.at - begin) / seconds * WIDTH)), mark) for mark in marks]
    ticks = {at for at, _ in places}
    rule = "".join("┬" if at in ticks else "─" for at in range(WIDTH))
    lines.append(f"{'└':>{_MARGIN}}{rule}")
    lines += [f"{'':>{_MARGIN}}{line}" for line in _labels(places)]
    slow = f"{SLOW_SECONDS * 1000:.0f} ms+"
    lines.append(_row(slow, [column.slow > SLOW_SHARE * column.total for column in columns], "·"))
    lines.append(_row("errors", [column.failed > 0 for column in columns], "!"))
    lines.append(_row("lost", [column.lost > 0 for column in columns], "×"))
    return lines


def _columns(
    requests: Sequence[Request], begin: float, seconds: float, previous: str, candidate: str
) -> list[_Column]:
    columns = [_Column() for _ in range(WIDTH)]
    for request in requests:
        column = columns[min(WIDTH - 1, int((request.due - begin) / seconds * WIDTH))]
        column.slow += request.seconds > SLOW_SECONDS
        column.failed += request.failed_by_version
        if request.version == candidate:
            column.candidate += 1
        elif request.version == previous:
            column.previous += 1
        else:
            column.lost += 1
    return columns


def _cell(column: _Column, row: int) -> str:
    filled = column.level - 8 * row
    if filled > 0:
        return _EIGHTHS[min(8, filled)]
    return _BEFORE if column.previous else " "


def _axis(row: int) -> str:
    named = {HEIGHT - 1: "100 % ┤", HEIGHT // 2 - 1: "50 % ┤", 0: "0 % ┤"}
    return f"{named.get(row, '│'):>{_MARGIN}}"


def _labels(places: Sequence[tuple[int, Mark]]) -> list[str]:
    """Labels below their ticks; one that has no room goes a row deeper."""
    rows: list[list[str]] = []
    for at, mark in sorted(places, key=lambda place: place[0], reverse=True):
        start = min(at, WIDTH - len(mark.label))
        needed = range(start, min(WIDTH, start + len(mark.label) + 1))
        depth = 0
        while depth < len(rows) and any(rows[depth][cell] != " " for cell in needed):
            depth += 1
        if depth == len(rows):
            rows.append([" "] * WIDTH)
        for above in rows[:depth]:
            above[at] = "│" if above[at] == " " else above[at]
        rows[depth][start : start + len(mark.label)] = mark.label
    return ["".join(row).rstrip() for row in rows]


def _row(name: str, where: Sequence[bool], sign: str) -> str:
    """A line below the picture that says in which columns something happened."""
    cells = "".join(sign if here else " " for here in where) if any(where) else "none"
    return f"{name:>{_MARGIN - 2}}  {cells}".rstrip()
