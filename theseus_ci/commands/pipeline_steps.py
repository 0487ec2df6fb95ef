"""A step as a pipeline runs it: its whole command line, and when the pipeline gives it up.

Steps have deadlines of their own. The limit here is for what those cannot end: a process that
hangs, a host that has gone. It is therefore always the longer of the two.
"""

from __future__ import annotations

from typing import Any

from theseus_ci.config.types import Config
from theseus_ci.plan import Step
from theseus_ci.quantities import Duration

GRACE_SECONDS = 120.0  # after its own deadline, for a step to save, report and end
SPARE_SECONDS = 3600.0  # for what the configuration sets no deadline for


def pipeline_step(step: Step, config: Config) -> dict[str, Any]:
    """`argv` behind theseus-ci, and `limit` in whole seconds."""
    chosen = [] if step.command[0] == "begin" else ["--step", step.id]
    return {"argv": [*step.command, *chosen], "limit": round(_limit(step, config))}


def _limit(step: Step, config: Config) -> float:
    if step.timeout is not None:
        return step.timeout + GRACE_SECONDS
    waits = config.waits
    longest: float = sum((waits.ready, waits.mesh, waits.scale_down, waits.delete, waits.settle))
    if step.command[0] == "bake":
        longest += Duration.parse(step.command[1])
    if step.command[0] == "performance" and config.performance is not None:
        longest += config.performance.max_duration
    return longest + SPARE_SECONDS
