"""Help and options of `autoscale`."""

from __future__ import annotations

import argparse

DESCRIPTION = """\
Creates the autoscaler that the manifest brings, else a copy of the previous version's. While the
rollout runs, its minimum is what the candidate's traffic needs. Where the selectors of the two
Deployments overlap, Kubernetes would autoscale neither well: the autoscaler then comes with
promote."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""
