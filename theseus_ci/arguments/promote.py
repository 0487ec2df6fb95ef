"""Help and options of `promote`."""

from __future__ import annotations

import argparse

DESCRIPTION = """\
Deletes the previous version's Deployment and autoscaler, gives routes and subsets the shape they
had before the rollout but for the version that carries the traffic, removes everything else this
rollout has made, and releases the lease. From its first deletion on there is no rollback, only
running promote again."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""
