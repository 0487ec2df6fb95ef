"""Durations, percentages and changes as people write them: `500ms`, `1m30s`, `15%`, `+23 %`."""

from __future__ import annotations

import re

_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = r"(\d+(?:\.\d+)?)(ms|s|m|h)"


class Duration(float):
    """A length of time in seconds."""

    @classmethod
    def parse(cls, text: object) -> Duration:
        """Read `500ms`, `30s`, `1m30s`, `2h`; a bare number is refused, since its unit is a guess.

        Raises ValueError with a message that names the accepted forms.
        """
        if isinstance(text, str) and text.strip() == "0":
            return cls(0)
        if not isinstance(text, str) or not re.fullmatch(rf"(?:{_PART})+", text.strip()):
            raise ValueError(f"{text!r} is not a duration: write 500ms, 30s, 1m30s or 2h")
        parts = re.findall(_PART, text.strip())
        return cls(sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts))

    def __str__(self) -> str:
        milliseconds = round(float(self) * 1000)
        if milliseconds == 0:
            return "0s"
        if milliseconds % 1000:
            return f"{milliseconds}ms"
        seconds = milliseconds // 1000
        hours, rest = divmod(seconds, 3600)
        minutes, seconds = divmod(rest, 60)
        parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
        return "".join(f"{number}{unit}" for number, unit in parts if number)

    __repr__ = __str__


class Percentage(float):
    """A share as a fraction: `15%` is 0.15."""

    @classmethod
    def parse(cls, text: object) -> Percentage:
        """Read `15%` or `0.5%`. Raises ValueError for anything else, numbers without % included."""
        match = (
            re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text.strip()) if isinstance(text, str) else None
        )
        if match is None:
            raise ValueError(f"{text!r} is not a percentage: write 15% or 0.5%")
        return cls(float(match[1]) / 100)

    def __str__(self) -> str:
        return f"{float(self) * 100:g}%"

    __repr__ = __str__


def change(ratio: float) -> str:
    """1.23 as `+23 %`; beyond a factor of three as `12 times`."""
    if ratio >= 3:
        return f"{ratio:.3g} times"
    return f"{(ratio - 1) * 100:+.{0 if abs(ratio - 1) >= 0.0995 else 1}f} %"


def counted(number: int, thing: str) -> str:
    """`1 ready pod`, `3 ready pods`: a number of things whose plural ends with an s."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
