"""The steps of a rollout over time, under the share of traffic that the candidate carried."""

from __future__ import annotations

from collections.abc import Sequence

from theseus_ci.model import Verdict
from theseus_ci.report.figures import duration
from theseus_ci.report.page_model import StepRow
from theseus_ci.report.svg import VARIANTS, Drawing, Picture, Variant, shortened

MARKS = {Verdict.PASS: "✓", Verdict.FAIL: "✗", Verdict.ERROR: "!", Verdict.SKIPPED: "–"}
WEAK = "≈"
_ROW = 22.0
_WEIGHTS = 96.0  # height of the upper part
_TOP = 34.0
_TICKS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


def timeline(steps: Sequence[StepRow], candidate: str) -> Picture:
    """The picture of all steps that have run; `steps` holds one of them at least."""
    ran = sorted((step for step in steps if step.verdict), key=lambda step: step.started)
    drawn = tuple((variant, _Timeline(ran, variant).draw(candidate)) for variant in VARIANTS)
    return Picture("timeline", _alt(ran, candidate), drawn)


def _alt(steps: Sequence[StepRow], candidate: str) -> str:
    changes = []
    weight = 0
    for step in steps:
        if step.weight != weight:
            weight = step.weight
            changes.append(f"{weight} % after {step.id}")
    carried = ", then ".join(changes) or "none at any time"
    took = duration(max(step.started + step.seconds for step in steps) - steps[0].started)
    return (
        f"Timeline of {len(steps)} steps over {took}. Share of production traffic on {candidate}: "
        f"{carried}. The table below holds the same steps."
    )


class _Timeline:
    def __init__(self, steps: Sequence[StepRow], variant: Variant) -> None:
        self.steps = steps
        self.narrow = variant.narrow
        self.size = 11.0 if variant.narrow else 12.5
        self.left = 138.0 if variant.narrow else 190.0
        self.right = 44.0 if variant.narrow else 74.0
        self.began = steps[0].started
        self.span = max(max(step.started + step.seconds for step in steps) - self.began, 0.1)
        self.rows = _TOP + _WEIGHTS + 14
        self.bottom = self.rows + _ROW * len(steps)
        width = 358.0 if variant.narrow else 960.0
        self.drawing = Drawing(width, self.bottom + 30, variant.palette)
        self.colours = variant.palette

    def x(self, epoch: float) -> float:
        room = self.drawing.width - self.left - self.right
        return self.left + room * (epoch - self.began) / self.span

    def y(self, weight: float) -> float:
        return _TOP + _WEIGHTS * (1 - weight / 100)

    def draw(self, candidate: str) -> Drawing:
        self._axes(candidate)
        self._weights()
        for number, step in enumerate(self.steps):
            self._bar(step, self.rows + _ROW * number)
        return self.drawing

    def _axes(self, candidate: str) -> None:
        draw, colours = self.drawing, self.colours
        end = draw.width - self.right
        title = f"Production traffic on {candidate}"
        draw.text(12, 20, shortened(title, end, self.size), colours.ink, size=self.size, bold=True)
        for weight in (0, 50, 100):
            y = self.y(weight)
            draw.line(self.left, y, end, y, colours.grid)
            draw.text(
                self.left - 8, y + 4, f"{weight} %", colours.muted, size=self.size, anchor="end"
            )
        for seconds in _ticks(self.span, 3 if self.narrow else 7):
            x = self.x(self.began + seconds)
            draw.line(x, _TOP, x, self.bottom + 4, colours.grid)
            label = duration(seconds) if seconds else "0"
            draw.text(
                x,
                self.bottom + 20,
                label.replace(".0", ""),
                colours.muted,
                size=self.size,
                anchor="middle",
            )

    def _weights(self) -> None:
        points = [(self.x(self.began), self.y(0))]
        for step in self.steps:
            x = self.x(step.started + step.seconds)
            points += [(x, points[-1][1]), (x, self.y(step.weight))]
        floor = self.y(0)
        outline = [*points, (points[-1][0], floor), (points[0][0], floor)]
        self.drawing.area(outline, self.colours.candidate, 0.22)
        self.drawing.curve(points, self.colours.candidate, 2)
        self._weight_labels()

    def _weight_labels(self) -> None:
        """Each new weight beside its step of the curve, where there is room."""
        before, free = 0, self.left
        for step in self.steps:
            x = self.x(step.started + step.seconds)
            if step.weight != before and x > free:
                y = self.y(max(step.weight, before if step.weight == 0 else 0))
                label = f"{step.weight} %"
                self.drawing.text(x + 4, y - 5, label, self.colours.ink, size=self.size - 1)
                free = x + 40
            before = step.weight

    def _bar(self, step: StepRow, top: float) -> None:
        assert step.verdict is not None
        draw, colours = self.drawing, self.colours
        colour = colours.doubt if step.weak else colours.of(step.verdict)
        base = top + _ROW / 2 + 4
        bad = step.verdict in (Verdict.FAIL, Verdict.ERROR)
        mark = WEAK if step.weak else MARKS[step.verdict]
        draw.text(12, base, mark, colour, size=self.size, bold=True)
        label = shortened(step.id, self.left - 34, self.size)
        draw.text(28, base, label, colour if bad else colours.ink, size=self.size, bold=bad)
        start, end = self.x(step.started), self.x(step.started + step.seconds)
        draw.rect(start, top + 4, max(end - start, 3), _ROW - 8, colour, radius=2)
        x = max(end, start + 3) + 6
        draw.text(x, base, duration(step.seconds), colours.muted, size=self.size - 1)


def _ticks(span: float, most: int) -> list[float]:
    """At most about `most` round numbers of seconds from 0 to `span`."""
    distance = next((tick for tick in _TICKS if span / tick <= most), _TICKS[-1])
    return [float(distance * number) for number in range(int(span // distance) + 1)]
