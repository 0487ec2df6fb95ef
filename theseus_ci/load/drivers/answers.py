"""What a tool tells of its requests."""

from __future__ import annotations

from array import array

import msgspec

from theseus_ci.measure import BAD_STATUS, NO_CONNECTION, OK, Slice, Version


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """One entry a request in each list, in the order of time where the tool says it."""

    latencies: array[int]  # microseconds, as the tool measures: from when it sent
    statuses: array[int]  # 0 when no answer came
    granularity: int = 1  # microseconds
    ordered: bool = True  # False: the tool tells how often, not when

    def __len__(self) -> int:
        return len(self.latencies)

    def slices(
        self, version: Version, size: int, *, seconds: float, expected: frozenset[int]
    ) -> list[Slice]:
        """Cut into slices of `size`; one alone where nobody knows the order. `seconds` is how long
        all of them took."""
        count = len(self)
        if not self.ordered:
            size = max(1, count)
        found = []
        for start in range(0, count - size + 1, size):
            statuses = self.statuses[start : start + size]
            outcomes = bytearray(_outcome(status, expected) for status in statuses)
            found.append(
                Slice(
                    version=version,
                    started=seconds * start / count,
                    seconds=seconds * size / count,
                    requests=bytes(size),
                    latencies=self.latencies[start : start + size],
                    lateness=array("I", bytes(4 * size)),
                    statuses=statuses,
                    outcomes=outcomes,
                    granularity=self.granularity,
                )
            )
        return found


def _outcome(status: int, expected: frozenset[int]) -> int:
    if not status:
        return NO_CONNECTION
    return OK if status in expected else BAD_STATUS
