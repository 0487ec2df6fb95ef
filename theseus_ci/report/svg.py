"""SVG without styles, so that no Content-Security-Policy can take its colours away.

Pictures come in variants (light and dark, wide and narrow), each a file of its own, which the page
chooses from by media query.
"""

from __future__ import annotations

import msgspec

from theseus_ci.model import Verdict
from theseus_ci.report.sanitise import escape, one_line


class Palette(msgspec.Struct, frozen=True):
    """Colours that can be told apart on `paper`, also by those who see few colours."""

    paper: str
    ink: str
    muted: str
    grid: str
    previous: str
    candidate: str
    good: str
    bad: str
    doubt: str
    idle: str

    def of(self, verdict: Verdict | None) -> str:
        """The colour of a verdict."""
        colours = {Verdict.PASS: self.good, Verdict.FAIL: self.bad, Verdict.ERROR: self.doubt}
        return self.idle if verdict is None else colours.get(verdict, self.idle)


LIGHT = Palette(
    paper="#ffffff",
    ink="#1b1f24",
    muted="#57606a",
    grid="#d8dee4",
    previous="#2f6fb5",
    candidate="#b5480f",
    good="#1a7f37",
    bad="#c01c3a",
    doubt="#8a5a00",
    idle="#6e7781",
)
DARK = Palette(
    paper="#161b22",
    ink="#e6edf3",
    muted="#9aa7b4",
    grid="#30363d",
    previous="#6cb0f5",
    candidate="#ff9e5e",
    good="#4ac26b",
    bad="#ff7b86",
    doubt="#e3b341",
    idle="#8b949e",
)


class Variant(msgspec.Struct, frozen=True):
    """One rendering of a picture."""

    suffix: str  # of the file's name, before `.svg`
    palette: Palette
    narrow: bool


VARIANTS = (
    Variant("", LIGHT, narrow=False),
    Variant("-dark", DARK, narrow=False),
    Variant("-narrow", LIGHT, narrow=True),
    Variant("-narrow-dark", DARK, narrow=True),
)


class Picture(msgspec.Struct, frozen=True):
    """All variants of one picture, and what they say."""

    name: str  # of its files, before suffix and `.svg`
    alt: str
    files: tuple[tuple[Variant, Drawing], ...]


class Drawing:
    """An SVG being drawn; coordinates are CSS pixels from the upper left corner."""

    def __init__(self, width: float, height: float, palette: Palette) -> None:
        self.width = width
        self.height = height
        self.palette = palette
        self._parts: list[str] = []
        self.rect(0, 0, width, height, palette.paper)

    def rect(self, x: float, y: float, w: float, h: float, fill: str, radius: float = 0) -> None:
        """A filled rectangle."""
        self._add("rect", x=x, y=y, width=max(w, 0), height=max(h, 0), rx=radius, fill=fill)

    def line(
        self, x1: float, y1: float, x2: float, y2: float, stroke: str, width: float = 1
    ) -> None:
        """A straight line."""
        self._add("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, stroke_width=width)

    def circle(self, x: float, y: float, radius: float, fill: str, opacity: float = 1) -> None:
        """A filled circle."""
        self._add("circle", cx=x, cy=y, r=radius, fill=fill, fill_opacity=opacity)

    def area(self, points: list[tuple[float, float]], fill: str, opacity: float) -> None:
        """A filled outline."""
        self._add("polygon", points=_points(points), fill=fill, fill_opacity=opacity)

    def curve(self, points: list[tuple[float, float]], stroke: str, width: float) -> None:
        """A line through points."""
        self._add(
            "polyline",
            points=_points(points),
            fill="none",
            stroke=stroke,
            stroke_width=width,
            stroke_linejoin="round",
        )

    def text(
        self,
        x: float,
        y: float,
        text: str,
        fill: str,
        *,
        size: float = 12,
        anchor: str = "start",
        bold: bool = False,
    ) -> None:
        """A line of text; `y` is its baseline."""
        attributes = _attributes(
            x=x,
            y=y,
            fill=fill,
            font_size=size,
            font_family="system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif",
            text_anchor=anchor,
            font_weight="600" if bold else "400",
        )
        self._parts.append(f"<text{attributes}>{escape(one_line(text))}</text>")

    def render(self, alt: str) -> str:
        """The file's text."""
        size = f'width="{self.width:g}" height="{self.height:g}"'
        body = "\n".join(self._parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} '
            f'viewBox="0 0 {self.width:g} {self.height:g}" role="img">\n'
            f"<title>{escape(one_line(alt))}</title>\n{body}\n</svg>\n"
        )

    def _add(self, tag: str, **attributes: float | str) -> None:
        self._parts.append(f"<{tag}{_attributes(**attributes)}/>")


def shortened(text: str, width: float, size: float) -> str:
    """`text`, cut to about `width` pixels at that font size."""
    room = max(4, int(width / (size * 0.56)))
    line = one_line(text)
    return line if len(line) <= room else f"{line[: room - 1]}…"


def _attributes(**attributes: float | str) -> str:
    return "".join(
        f" {name.replace('_', '-')}="
        + (f'"{escape(value)}"' if isinstance(value, str) else f'"{round(value, 2):g}"')
        for name, value in attributes.items()
    )


def _points(points: list[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
