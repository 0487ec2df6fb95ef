"""How fast both versions were from slice to slice, as points under their distributions.

What a distribution hides is seen here: a drift that both share, a stall, a cache that warms up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from theseus_ci.report.figures import latency
from theseus_ci.report.page_model import Series
from theseus_ci.report.svg import Drawing, shortened

_HEIGHT = 170.0
_TITLE = 30.0  # of it
_FOOT = 24.0
_LOGARITHMIC = 8.0  # from this ratio of the slowest to the fastest slice on
_FEW = 3
_LABELS = 58.0  # room for a latency beside the axis


def course_height(series: Sequence[Series]) -> float:
    """How much room `draw_course` needs."""
    return _HEIGHT if _points(series) else 0.0


def course_words(series: Sequence[Series]) -> str:
    """The same for those who do not see it."""
    if not _points(series):
        return ""
    told = ", ".join(
        f"{one.label} from {latency(min(one.course))} to {latency(max(one.course))}"
        for one in series
        if one.course
    )
    return f"95th percentile slice by slice: {told}. "


def draw_course(
    drawing: Drawing,
    series: Sequence[Series],
    colours: Sequence[str],
    top: float,
    margins: tuple[float, float],
) -> None:
    """Draw a point per slice, in the order they were measured; nothing where there are few."""
    if not _points(series):
        return
    left, right = max(margins[0], _LABELS), drawing.width - margins[1]
    scale = _Scale(series, top + _TITLE, top + _HEIGHT - _FOOT)
    narrow = drawing.width < 500
    size = 11.0 if narrow else 12.5
    title = "95th percentile, slice by slice"
    drawing.text(
        12, top + 16, shortened(title, right - 90, size), drawing.palette.ink, size=size, bold=True
    )
    drawing.text(right, top + 16, "in order →", drawing.palette.muted, size=size, anchor="end")
    for value in scale.ticks(3 if narrow else 4):
        y = scale.y(value)
        drawing.line(left, y, right, y, drawing.palette.grid)
        label = latency(value) if value else "0"
        drawing.text(left - 6, y + 4, label, drawing.palette.muted, size=size - 1, anchor="end")
    for one, colour in zip(series, colours, strict=True):
        for number, value in enumerate(one.course):
            x = left + 6 + (right - left - 12) * number / max(len(one.course) - 1, 1)
            drawing.circle(x, scale.y(value), 2 if narrow else 2.8, colour, 0.75)


class _Scale:
    """Seconds to pixels; logarithmic only where the slices differ much."""

    def __init__(self, series: Sequence[Series], top: float, floor: float) -> None:
        values = [value for one in series for value in one.course]
        self.low, self.high = min(values), max(values) * 1.05
        self.logarithmic = self.low > 0 and self.high / self.low > _LOGARITHMIC
        if not self.logarithmic:
            self.low = 0.0
        else:
            self.low /= 1.1
        self.top, self.floor = top, floor

    def y(self, seconds: float) -> float:
        if self.logarithmic:
            share = math.log(seconds / self.low) / math.log(self.high / self.low)
        else:
            share = seconds / self.high
        return self.floor - (self.floor - self.top) * share

    def ticks(self, most: int) -> list[float]:
        """Round values within the scale, about `most` of them."""
        powers = range(math.floor(math.log10(self.high)) - 4, math.ceil(math.log10(self.high)) + 1)
        if self.logarithmic:
            all_of_them = [mark * 10.0**power for power in powers for mark in (1, 2, 5)]
            inside = [value for value in all_of_them if self.low <= value <= self.high]
            return inside[:: max(1, math.ceil(len(inside) / most))]
        steps = (mark * 10.0**power for power in powers for mark in (1, 2, 5))
        step = next(one for one in steps if self.high / one <= most)
        return [step * number for number in range(int(self.high / step) + 1)]


def _points(series: Sequence[Series]) -> bool:
    return any(len(one.course) >= _FEW for one in series)
