"""The other ways to judge, from their published rules.

Kayenta's default judge: the Mann-Whitney test at 98 % with the Hodges-Lehmann estimate of the
shift; the candidate is "high" when the lower end of the shift's interval is above a quarter of the
estimate. Flagger's and Argo Rollouts' documented examples: a fixed threshold on a quantile, here
with the true quantile of the raw samples, which is kinder than their histograms.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from theseus_ci.judge.summary import quantile

Latencies = NDArray[np.float64]

_Z = 2.326348  # both tails together 2 %
_TOLERANCE = 0.25  # of the estimate
_LIMIT = 1.10
_STEPS = 30  # bisections of the shift


def mann_whitney_fails(previous: Latencies, candidate: Latencies) -> bool:
    """Whether the candidate's latencies lie above the previous ones'. Both ascending."""
    total = previous.size * candidate.size
    spread = math.sqrt(total * (previous.size + candidate.size + 1) / 12)
    rank = total / 2 - _Z * spread  # of the interval's lower end among all differences
    if _differences_up_to(0.0, previous, candidate) >= rank:
        return False
    low, high = 0.0, float(max(candidate[-1] - previous[0], 1))
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _differences_up_to(middle, previous, candidate) >= total / 2:
            high = middle
        else:
            low = middle
    estimate = (low + high) / 2
    return _differences_up_to(_TOLERANCE * estimate, previous, candidate) < rank


def threshold_fails(previous: Latencies, candidate: Latencies) -> bool:
    """Whether the candidate's p99 is above 1.10 times the previous one's. Both ascending."""
    return bool(_p99(candidate) > _LIMIT * _p99(previous))


def _p99(ordered: Latencies) -> float:
    return quantile(ordered.tolist(), 0.99)


def _differences_up_to(shift: float, previous: Latencies, candidate: Latencies) -> int:
    """How many differences candidate - previous are at most `shift`."""
    return int(np.searchsorted(candidate, previous + shift, side="right").sum())
