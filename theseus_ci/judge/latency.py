"""Is the candidate slower than the previous version by more than is tolerated?

A sequential sign-flip test on pairs of slices whose order a coin decided. If both versions are the
same, each pair's difference has a random sign whatever drifts, correlates or stalls, so the
statistic T has a tail of at most exp(-T²/2) without any assumption on the latencies. (Fisher's
randomisation test; Efron 1969 for self-normalised sums; PASS needs every quantile and so no
correction, Berger 1982.) `FAIL_FROM` is calibrated by simulation over 3 quantiles and 10 looks.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence

import msgspec

from theseus_ci.judge.summary import quantile
from theseus_ci.measure import LOOKS, QUANTILES, Finding, SlicePair

PASS_PAIRS = 30  # no PASS from fewer
LAST_PAIRS = 300  # here what is known must do
PASS_FROM = 2.5
FAIL_FROM = 3.5
MARGIN = 1.0  # a FAIL before the last look needs this much evidence of being beyond tolerance
CLIP = 2.0  # standard deviations of a pair's difference; one burst must not drown the others
GAP_PAIRS = 60
FINEST = 5.0  # of the timer's granularity: quantiles below it cannot be told apart
_WIDEST = 1e4  # ratio beyond which an interval counts as unbounded
_STEP = 0.05  # first guess of how far a crossing is away, as a logarithm of the ratio
_PRECISION = 1e-4  # of an interval's ends, the same


class Score(msgspec.Struct, frozen=True):
    """The statistic for one quantile and one supposed ratio; positive: candidate is slower."""

    clipped: float
    plain: float


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """How many times slower the candidate is at one quantile, and the range that is credible."""

    ratio: float
    low: float | None
    high: float | None
    beside_gap: bool  # the latencies have a gap at the quantile, so its neighbours were judged


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What is known at one look: PASS, FAIL or INCONCLUSIVE, in all and per quantile name."""

    finding: Finding
    quantiles: dict[str, Finding]


class LatencyJudge:
    """Collects pairs; at a look, decides."""

    def __init__(self, tolerances: Mapping[str, float], *, seed: int = 0) -> None:
        self._tolerances = dict(tolerances)
        self._chance = random.Random(seed)
        self._pairs: list[tuple[list[float], list[float]]] = []  # previous, candidate; ascending
        self._previous: list[float] = []
        self._candidate: list[float] = []
        self._sorted = True
        self._granularity = 1.0

    @property
    def pairs(self) -> int:
        """Pairs with a judged latency on both sides."""
        return len(self._pairs)

    @property
    def samples(self) -> int:
        """Judged latencies on both sides together."""
        return len(self._previous) + len(self._candidate)

    def add(self, pair: SlicePair) -> None:
        """Take a pair in. One without a judged latency on either side is left out."""
        previous, candidate = pair.of("previous"), pair.of("candidate")
        assert previous is not None
        assert candidate is not None
        self._granularity = max(self._granularity, previous.granularity, candidate.granularity)
        before = self._dithered(previous.judged(), previous.granularity)
        after = self._dithered(candidate.judged(), candidate.granularity)
        if before and after:
            self._pairs.append((before, after))
            self._previous += before
            self._candidate += after
            self._sorted = False

    def too_coarse(self) -> float | None:
        """The previous median in granules of the timer when that is too few for a verdict."""
        self._sort()
        granules = quantile(self._previous, 0.5) / self._granularity
        return granules if granules < FINEST else None

    def due(self) -> bool:
        """Whether it is time for a look."""
        return self.pairs in LOOKS

    def look(self, *, last: bool) -> Look:
        """Decide from what there is; `last`: nothing more will come."""
        self._sort()
        findings = {
            name: self._finding(QUANTILES[name], tolerance, last=last)
            for name, tolerance in self._tolerances.items()
        }
        every = set(findings.values())
        finding = Finding.INCONCLUSIVE
        if Finding.FAIL in every:
            finding = Finding.FAIL
        elif every == {Finding.PASS}:
            finding = Finding.PASS
        return Look(finding=finding, quantiles=findings)

    def needed(self, name: str) -> int | None:
        """About how many requests, both versions together, a PASS at quantile `name` would take.

        None when the candidate looks slower than tolerated: more of them would not help.
        """
        tolerance = self._tolerances[name]
        quantiles = self._quantiles(QUANTILES[name], tolerance)
        evidence = max(self.score(q, 1.0 + tolerance).clipped for q in quantiles)
        if evidence >= 0 or not self._pairs:
            return None
        return math.ceil(self.samples * max(1.0, (PASS_FROM / evidence) ** 2))

    def score(self, q: float, ratio: float) -> Score:
        """Evidence against: the candidate's q-quantile is `ratio` times the previous one's."""
        self._sort()
        size = 0.0
        threshold = self.pool_quantile(q, ratio)
        scaled = threshold / ratio
        differences = []
        for before, after in self._pairs:
            n = max(len(before), len(after))
            above = (len(after) - bisect_right(after, threshold)) / len(after)
            above_before = (len(before) - bisect_right(before, scaled)) / len(before)
            differences.append(n * (above - above_before))
            size = max(size, n)
        limit = CLIP * math.sqrt(2 * size * q * (1 - q))
        clipped = [max(-limit, min(limit, one)) for one in differences]
        return Score(_self_normalised(clipped), _self_normalised(differences))

    def estimate(self, name: str) -> Estimate:
        """The ratio at quantile `name`: where the score is 0, and where it leaves ±PASS_FROM."""
        self._sort()
        quantiles = self._quantiles(QUANTILES[name], self._tolerances[name])
        ratio, q = max((self._crossing(q, 0.0, self._guess(q)), q) for q in quantiles)
        low = self._crossing(q, PASS_FROM, ratio)
        high = self._crossing(q, -PASS_FROM, ratio)
        return Estimate(
            ratio=ratio,
            low=low if low > 1.01 / _WIDEST else None,
            high=high if high < 0.99 * _WIDEST else None,
            beside_gap=len(quantiles) > 1,
        )

    def _dithered(self, latencies: Sequence[int], granularity: int) -> list[float]:
        """Ascending; equal readings of a coarse timer are spread, so that a quantile can fall
        between them."""
        chance = self._chance.random
        return sorted(value + granularity * (chance() - 0.5) for value in latencies)

    def _sort(self) -> None:
        if not self._sorted:
            self._previous.sort()
            self._candidate.sort()
            self._sorted = True

    def _finding(self, base: float, tolerance: float, *, last: bool) -> Finding:
        finding = Finding.PASS if self.pairs >= PASS_PAIRS else Finding.INCONCLUSIVE
        gaps_show = last or self.pairs >= GAP_PAIRS
        for q in self._quantiles(base, tolerance) if gaps_show else [base]:
            slower = self.score(q, 1.0).clipped
            beyond = self.score(q, 1.0 + tolerance)
            if slower > FAIL_FROM and beyond.clipped > (0.0 if last else MARGIN):
                return Finding.FAIL
            if not (beyond.clipped < -PASS_FROM and beyond.plain < 0):
                finding = Finding.INCONCLUSIVE
        return finding

    def _quantiles(self, q: float, tolerance: float) -> list[float]:
        """`q`, or both sides of it where the previous latencies have a gap: there a sample more or
        less moves the quantile across the gap."""
        spread = 3 * math.sqrt(q * (1 - q) / len(self._previous))
        above = quantile(self._previous, min(1.0, q + spread))
        below = quantile(self._previous, max(0.0, q - spread))
        if above <= (1 + tolerance) ** 3 * below:
            return [q]
        aside = 0.3 * min(q, 1 - q)
        return [q - aside, q + aside]

    def pool_quantile(self, q: float, ratio: float) -> float:
        """The q-quantile of the candidate's latencies and `ratio` times the previous ones."""
        self._sort()
        before, after = self._previous, self._candidate
        rank = max(1, math.ceil(q * (len(before) + len(after))))  # so many at or below it
        least, most = max(0, rank - len(after)), min(rank, len(before))
        while least < most:  # how many of them come from `before`
            taken = (least + most) // 2
            if ratio * before[taken] < after[rank - taken - 1]:
                least = taken + 1
            else:
                most = taken
        from_before = ratio * before[least - 1] if least else -math.inf
        from_after = after[rank - least - 1] if least < rank else -math.inf
        return max(from_before, from_after)

    def _guess(self, q: float) -> float:
        ratio = quantile(self._candidate, q) / quantile(self._previous, q)
        return max(1 / _WIDEST, min(_WIDEST, ratio))

    def _crossing(self, q: float, level: float, near: float) -> float:
        """The ratio at which the score falls through `level`; it falls as the ratio grows.

        Sought in growing strides from `near`, then by bisection.
        """
        edge = math.log(_WIDEST)

        def beyond(place: float) -> bool:
            return self.score(q, math.exp(place)).clipped > level

        here, stride = math.log(near), _STEP
        upwards = beyond(here)
        low = high = here
        while -edge < low and high < edge:
            low, high = (high, high + stride) if upwards else (low - stride, low)
            low, high = max(low, -edge), min(high, edge)
            if beyond(high if upwards else low) is not upwards:
                break
            stride *= 2
        while high - low > _PRECISION:
            middle = (low + high) / 2
            low, high = (middle, high) if beyond(middle) else (low, middle)
        return math.exp((low + high) / 2)


def _self_normalised(values: Sequence[float]) -> float:
    square = math.fsum(value * value for value in values)
    return math.fsum(values) / math.sqrt(square) if square else 0.0
