"""The simulated services, with latencies of all shapes, and what is true of their candidates."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec
import numpy as np

from tests.judge.simulation import (
    World,
    bimodal,
    endpoints,
    lognormal,
    pareto_tail,
)

SERVICES: Mapping[str, World] = MappingProxyType(
    {
        "ln2": World(latency=lognormal(2)),
        "ln3": World(latency=lognormal(3)),
        "ln5": World(latency=lognormal(5)),
        "ln10": World(latency=lognormal(10)),
        "Pareto": World(latency=pareto_tail()),
        "bimodal": World(latency=bimodal()),
        "endpoints": World(kinds=endpoints()),
        "gap": World(latency=bimodal(0.5)),
        "coarse": World(latency=lognormal(3, median=8), granularity=1000),
    }
)
LEGEND = """\
lnX: lognormal with p99/p50 = X · Pareto: 5 % of the answers from a tail with alpha 2 · bimodal:
1 ms and 20 ms, 90:10 · endpoints: three kinds of request, medians 3, 10 and 40 ms · gap: 1 ms and
20 ms, 50:50 · coarse: ln3 around 8 ms read from a clock of 1 ms · rough: drift of 5 %, noise that
lasts over several slices, a stall of 200 ms every 33 s, for both versions alike"""
_ROUGH: Mapping[str, float] = MappingProxyType({"drift": 0.05, "stalls": 0.015})
_TAIL = 0.98  # "p99 only" slows what lies beyond this quantile


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with the candidate, and with the weather."""

    slower: float = 1.0
    tail_slower: float = 1.0
    rough: bool = False

    @property
    def equal(self) -> bool:
        """Whether both versions are the same."""
        return self.slower == self.tail_slower == 1.0


TRUTHS: Mapping[str, Truth] = MappingProxyType(
    {
        "equal": Truth(),
        "equal, rough": Truth(rough=True),
        "all +5 %": Truth(slower=1.05),
        "all +15 %": Truth(slower=1.15),
        "all +25 %": Truth(slower=1.25),
        "p99 only +37.5 %": Truth(tail_slower=1.375),
        "p99 only +100 %": Truth(tail_slower=2.0),
    }
)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of the tables, by the names of its row and column."""

    truth: str
    service: str

    @property
    def equal(self) -> bool:
        """Whether both versions are the same."""
        return TRUTHS[self.truth].equal

    @property
    def roughest(self) -> bool:
        """The one cell in which a verdict may stay open."""
        return self.service == "Pareto" and TRUTHS[self.truth].rough

    def world(self) -> World:
        """What `tests.judge.simulation` needs to make samples."""
        truth, service = TRUTHS[self.truth], SERVICES[self.service]
        world = msgspec.structs.replace(
            service, slower=truth.slower, tail_slower=truth.tail_slower, tail_from=_tail(service)
        )
        return msgspec.structs.replace(world, **_ROUGH) if truth.rough else world


def _tail(service: World) -> float:
    """Milliseconds from which an answer is one of the slowest."""
    if service not in _tails:
        drawn = service.draw(np.random.default_rng(0), (1_000, 1, 100))
        _tails[service] = float(np.quantile(drawn, _TAIL))
    return _tails[service]


_tails: dict[World, float] = {}  # per process, since every run of a case asks for it
