"""How long an answer takes: fixed, uniform or lognormal."""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass
from typing import Protocol

from theseus_ci.quantities import Duration

# The standard normal distribution's 99th percentile.
_Z99 = 2.3263478740408408
_CALL = re.compile(r"(?P<kind>[a-z]+)\((?P<arguments>[^()]*)\)")


class Latency(Protocol):
    def sample(self, chance: random.Random) -> float:
        """Return one latency in seconds."""


@dataclass(frozen=True)
class Fixed:
    seconds: float

    def sample(self, chance: random.Random) -> float:
        return self.seconds


@dataclass(frozen=True)
class Uniform:
    low: float
    high: float

    def sample(self, chance: random.Random) -> float:
        return chance.uniform(self.low, self.high)


@dataclass(frozen=True)
class LogNormal:
    """Given by what people know of a service: its median and its 99th percentile, in seconds."""

    p50: float
    p99: float

    def sample(self, chance: random.Random) -> float:
        sigma = math.log(self.p99 / self.p50) / _Z99
        return self.p50 * math.exp(sigma * chance.gauss(0.0, 1.0))


def parse_latency(text: str) -> Latency:
    """Read "10ms", "uniform(5ms, 15ms)" or "lognormal(p50=10ms, p99=30ms)". Raises ValueError."""
    match = _CALL.fullmatch(text.strip())
    if match is None:
        return Fixed(Duration.parse(text))
    arguments = [part.strip() for part in match["arguments"].split(",")]
    if len(arguments) != 2:
        raise ValueError(f"{match['kind']} takes two values: {text!r}")
    if match["kind"] == "uniform":
        low, high = (Duration.parse(argument) for argument in arguments)
        if low > high:
            raise ValueError(f"the low end is above the high one: {text!r}")
        return Uniform(low, high)
    if match["kind"] == "lognormal":
        p50, p99 = (
            Duration.parse(argument.removeprefix(f"{name}="))
            for name, argument in zip(("p50", "p99"), arguments, strict=True)
        )
        if not 0 < p50 <= p99:
            raise ValueError(f"p50 must be above 0 and not above p99: {text!r}")
        return LogNormal(p50, p99)
    raise ValueError(
        f"unknown distribution {match['kind']!r} (write 10ms, uniform(5ms, 15ms)"
        " or lognormal(p50=10ms, p99=30ms))"
    )
