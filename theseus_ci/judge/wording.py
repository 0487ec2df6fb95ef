"""Numbers as people on call want to read them."""

from __future__ import annotations

from theseus_ci.measure import Finding
from theseus_ci.quantities import change


def seconds(value: float) -> str:
    """0.0123 as `12.3 ms`."""
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def share(bad: int, total: int) -> str:
    """12 of 240 as `12 of 240 requests (5.00%)`."""
    return f"{bad} of {total} requests ({bad / total:.2%})" if total else "none of 0 requests"


def ratio_sentence(
    name: str,
    ratio: float,
    interval: tuple[float | None, float | None],
    *,
    tolerance: float,
    finding: Finding,
) -> str:
    """`p99 +23 % (+18 % to +29 %), tolerance 10 %: FAIL`."""
    return (
        f"{name} {change(ratio)} ({_range(*interval)}), "
        f"tolerance {tolerance * 100:g} %: {finding.name}"
    )


def _range(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"{change(low)} to {change(high)}"
    if high is not None:
        return f"below {change(high)}"
    return "anything is possible" if low is None else f"above {change(low)}"
