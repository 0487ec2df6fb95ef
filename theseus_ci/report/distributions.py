"""The latencies of two versions as distributions in one picture, with their quantiles below."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence

from theseus_ci.report.course import course_height, course_words, draw_course
from theseus_ci.report.figures import latency
from theseus_ci.report.page_model import Histogram, LatencyRun, Series
from theseus_ci.report.svg import VARIANTS, Drawing, Picture, Variant, shortened

_TOP = 44.0
_PLOT = 190.0
_STRIP = 46.0  # height of a version's quantiles
_RATIO = 10 ** (1 / 20)  # of neighbouring edges, where the histograms are too sparse to tell
_MARKS = (1, 2, 5)


def distributions(run: LatencyRun) -> Picture | None:
    """The picture of a measurement; None where no request was answered as expected."""
    series = [one for one in run.series if one.histogram and one.quantiles]
    if not series:
        return None
    drawn = tuple((variant, _Plot(series, variant).draw()) for variant in VARIANTS)
    name = re.sub(r"[^0-9a-z-]", "-", run.step)
    return Picture(f"latency-{name}", _alt(series), drawn)


def _alt(series: Sequence[Series]) -> str:
    told = [
        f"{one.label}: "
        + ", ".join(f"{name} {latency(value)}" for name, value in one.quantiles)
        + f", {one.requests} requests"
        for one in series
    ]
    return (
        f"Distribution of latencies, share of requests over time to answer. {'. '.join(told)}. "
        f"{course_words(series)}The table below compares the quantiles."
    )


class _Plot:
    def __init__(self, series: Sequence[Series], variant: Variant) -> None:
        self.series = series
        self.narrow = variant.narrow
        self.size = 11.0 if variant.narrow else 12.5
        self.colours = variant.palette
        self.ratio = _edge_ratio([one.histogram for one in series])
        edges = [edge for one in series for edge, _ in one.histogram]
        self.low, self.high = min(edges) / self.ratio**2, max(edges) * self.ratio
        self.left = 40.0 if variant.narrow else 52.0
        self.right = 14.0 if variant.narrow else 24.0
        self.floor = _TOP + _PLOT
        self.strips = self.floor + 40
        self.end = self.strips + _STRIP * len(series)
        width = 358.0 if variant.narrow else 960.0
        self.drawing = Drawing(width, self.end + 6 + course_height(series), variant.palette)
        self.most = max(_share(count, one) for one in series for _, count in one.histogram)

    def colour(self, number: int) -> str:
        """The candidate is the last one."""
        last = number == len(self.series) - 1
        return self.colours.candidate if last else self.colours.previous

    def x(self, seconds: float) -> float:
        room = self.drawing.width - self.left - self.right
        seconds = min(max(seconds, self.low), self.high)
        return self.left + room * math.log(seconds / self.low) / math.log(self.high / self.low)

    def y(self, share: float) -> float:
        return self.floor - _PLOT * share / (self.most * 1.06)

    def draw(self) -> Drawing:
        self._axes()
        for number, one in enumerate(self.series):
            outline = self._outline(one)
            self.drawing.area(outline, self.colour(number), 0.22)
            self.drawing.curve(outline, self.colour(number), 2)
        for number, one in enumerate(self.series):
            self._quantiles(one, self.colour(number), self.strips + _STRIP * number)
        colours = [self.colour(number) for number in range(len(self.series))]
        draw_course(self.drawing, self.series, colours, self.end + 6, (self.left, self.right))
        return self.drawing

    def _axes(self) -> None:
        draw, colours = self.drawing, self.colours
        draw.text(12, 20, "Share of requests", colours.ink, size=self.size, bold=True)
        draw.text(
            draw.width - self.right,
            20,
            "time to answer →",
            colours.muted,
            size=self.size,
            anchor="end",
        )
        step = _share_step(self.most, 3 if self.narrow else 4)
        for number in range(int(self.most / step) + 1):
            y = self.y(number * step)
            draw.line(self.left, y, draw.width - self.right, y, colours.grid)
            label = f"{number * step * 100:g} %"
            draw.text(self.left - 6, y + 4, label, colours.muted, size=self.size - 1, anchor="end")
        for seconds in self._ticks():
            x = self.x(seconds)
            draw.line(x, _TOP, x, self.end, colours.grid)
            draw.text(
                x,
                self.floor + 18,
                latency(seconds),
                colours.muted,
                size=self.size - 1,
                anchor="middle",
            )

    def _ticks(self) -> list[float]:
        first = math.floor(math.log10(self.low))
        last = math.ceil(math.log10(self.high))
        ticks = [mark * 10.0**power for power in range(first, last + 1) for mark in _MARKS]
        inside = [tick for tick in ticks if self.low <= tick <= self.high]
        shown: list[float] = []
        for tick in inside:
            fits = self.left + 14 < self.x(tick) < self.drawing.width - self.right - 14
            if fits and (not shown or self.x(tick) - self.x(shown[-1]) > 56):
                shown.append(tick)
        return shown or inside[:1]

    def _outline(self, one: Series) -> list[tuple[float, float]]:
        """A staircase over all bins; those without a request lie on the floor."""
        points = [(self.x(self.low), self.floor)]
        reached = self.low
        for edge, count in one.histogram:
            start = edge / self.ratio
            if start > reached * 1.001:
                points += [(self.x(reached), self.floor), (self.x(start), self.floor)]
            height = self.y(_share(count, one))
            points += [(self.x(start), height), (self.x(edge), height)]
            reached = edge
        return [*points, (self.x(reached), self.floor), (self.x(self.high), self.floor)]

    def _quantiles(self, one: Series, colour: str, top: float) -> None:
        """A line from the lowest to the highest quantile, each with its interval and its name."""
        draw = self.drawing
        y = top + 32
        label = shortened(one.label, 170 if self.narrow else 400, self.size)
        draw.rect(12, top + 4, 10, 10, colour, radius=2)
        draw.text(28, top + 13, label, self.colours.ink, size=self.size, bold=True)
        values = [self.x(value) for _, value in one.quantiles]
        draw.line(values[0], y, values[-1], y, colour, 1.5)
        for low, high in one.intervals:
            start, end = self.x(low), self.x(high)
            draw.line(start, y - 4, start, y + 4, colour, 1)
            draw.line(end, y - 4, end, y + 4, colour, 1)
            draw.line(start, y, end, y, colour, 3)
        for x in values:
            draw.circle(x, y, 4.5, colour)
        names = [name for name, _ in one.quantiles]
        for x, text in _labels(values, names, free=28 + len(label) * self.size * 0.62):
            draw.text(x, y - 9, text, self.colours.muted, size=self.size - 1, anchor="middle")


def _labels(places: list[float], names: list[str], free: float) -> list[tuple[float, str]]:
    """Names at their places; those that would cover one another become one."""
    found: list[tuple[float, str]] = []
    for x, name in zip(places, names, strict=True):
        if found and x - found[-1][0] < 12 + 14 * (found[-1][1].count(",") + 1):
            found[-1] = (found[-1][0], f"{found[-1][1]}, {name}")
        else:
            found.append((x, name))
    return [(x, text) for x, text in found if x - 6 * (1 + 3 * text.count(",")) > free]


def _share(count: int, one: Series) -> float:
    return count / sum(number for _, number in one.histogram)


def _edge_ratio(histograms: Sequence[Histogram]) -> float:
    """How much an edge is above its neighbour: the smallest ratio there is."""
    ratios = [
        after / before
        for one in histograms
        for (before, _), (after, _) in itertools.pairwise(one)
        if before > 0 and after > before * 1.001
    ]
    return min([*ratios, _RATIO * 1.001])


def _share_step(most: float, lines: int) -> float:
    """A round share, of which at most `lines` fit into `most`."""
    for power in range(-4, 1):
        for mark in _MARKS:
            step = mark * 10.0**power
            if most / step <= lines:
                return step
    return 1.0
