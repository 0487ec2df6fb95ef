"""Help and options of `smoke`."""

from __future__ import annotations

import argparse

DESCRIPTION = """\
Runs the checks in parallel: http through the mesh with the secret header, tcp against every
candidate pod, ssh on the hosts they name, bash with THESEUS_* variables. Each leaves its evidence
in the report. A check that asserted nothing is an error, not a pass."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""
