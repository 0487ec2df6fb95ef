"""theseus-ci's own generator."""

from __future__ import annotations

from bench.load.workers import Samples
from theseus_ci.config.performance import Performance, Request
from theseus_ci.load.generator import HttpLoadGenerator
from theseus_ci.measure import SLICE, Arm, LoadTarget
from theseus_ci.quantities import Duration


def measure(url: str, rate: float, seconds: float, connections: int) -> Samples:
    """theseus-ci's generator, one version alone."""
    performance = Performance(
        requests=(Request(path="/"),),
        rate=rate,
        max_rate=1e6,
        connections=connections,
        max_duration=Duration(seconds),
        timeout=Duration(60),
    )
    target = LoadTarget(url=url, arms=(Arm(version="candidate", headers={}),))
    latencies: list[int] = []
    lateness: list[int] = []
    for pair in HttpLoadGenerator().pairs(
        target, performance, seed=1, stopped=lambda: False, slice_size=max(SLICE, int(rate / 20))
    ):
        latencies.extend(pair.slices[0].latencies)
        lateness.extend(pair.slices[0].lateness)
    return latencies, lateness
