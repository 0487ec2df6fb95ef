"""When requests are due: nanoseconds from each to the next."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Iterator

from theseus_ci.config.performance import Performance

_NANOSECONDS = 1e9


def gaps(performance: Performance, chance: random.Random, size: int) -> array[int]:
    """A slice's, at the full rate: all alike, or of a Poisson process as independent users make."""
    rate = performance.rate
    if performance.arrivals == "constant":
        return array("Q", [round(_NANOSECONDS / rate)]) * size
    return array("Q", [round(_NANOSECONDS * chance.expovariate(rate)) for _ in range(size)])


def ramp(performance: Performance, size: int, pair: int) -> Iterator[array[int]]:
    """Slice by slice while the rate rises linearly from nothing; whole pairs, at least one.

    Half as many requests as at the full rate, so request `i` of `n` is due at T * sqrt(i / n).
    """
    if not performance.ramp:
        return
    total = pair * max(1, round(performance.ramp * performance.rate / 2 / pair))
    duration = 2 * total / performance.rate * _NANOSECONDS
    due = [round(duration * math.sqrt(index / total)) for index in range(total + 1)]
    for start in range(0, total, size):
        yield array("Q", [due[i + 1] - due[i] for i in range(start, start + size)])
