"""Counts requests and times them, and writes both in Prometheus' text format."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Of one process; durations in seconds, from the whole request to the written answer."""

    def __init__(self, version: str) -> None:
        self._version = version.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        self._answers: Counter[int] = Counter()
        self._buckets = [0] * (len(BOUNDS) + 1)
        self._seconds = 0.0

    def count(self, status: int, seconds: float) -> None:
        self._answers[status] += 1
        self._buckets[bisect_left(BOUNDS, seconds)] += 1
        self._seconds += seconds

    def text(self, in_flight: int) -> str:
        """Return the exposition; in_flight: requests not yet answered."""
        version = f'version="{self._version}"'
        lines = [
            "# HELP http_requests_total Answers sent, by status.",
            "# TYPE http_requests_total counter",
        ]
        lines += [
            f'http_requests_total{{{version},code="{status}"}} {count}'
            for status, count in sorted(self._answers.items())
        ]
        lines += [
            "# HELP http_requests_in_flight Requests not yet answered.",
            "# TYPE http_requests_in_flight gauge",
            f"http_requests_in_flight{{{version}}} {in_flight}",
            "# HELP http_request_duration_seconds Time to answer.",
            "# TYPE http_request_duration_seconds histogram",
        ]
        total = 0
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self._buckets, strict=True):
            total += count
            lines.append(f'http_request_duration_seconds_bucket{{{version},le="{bound}"}} {total}')
        lines.append(f"http_request_duration_seconds_sum{{{version}}} {self._seconds:.6f}")
        lines.append(f"http_request_duration_seconds_count{{{version}}} {total}")
        return "\n".join(lines) + "\n"
