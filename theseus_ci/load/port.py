"""Adapter of `measure.LoadGenerator`: the built-in one, or the tool that is configured.

Most commands send no load, and event loops and `sh` are a good part of what start-up costs: they
are imported when load is to be sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from theseus_ci.config.performance import Performance
from theseus_ci.measure import LoadTarget, SlicePair


class LoadGenerators:
    """Whichever `performance` asks for."""

    def pairs(
        self,
        target: LoadTarget,
        performance: Performance,
        *,
        seed: int,
        stopped: Callable[[], bool],
        slice_size: int = 0,
    ) -> Iterator[SlicePair]:
        """See `measure.LoadGenerator`."""
        if performance.driver is not None:
            from theseus_ci.load.drivers.driven import driven  # noqa: PLC0415

            return driven(target, performance, performance.driver, stopped)
        from theseus_ci.load.generator import HttpLoadGenerator  # noqa: PLC0415

        return HttpLoadGenerator().pairs(
            target, performance, seed=seed, stopped=stopped, slice_size=slice_size
        )
