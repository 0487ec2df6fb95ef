"""Help and options of `performance`."""

from __future__ import annotations

import argparse
from pathlib import Path

DESCRIPTION = """\
Sends the requests of theseus.yaml at the given rate, in slices to the previous version and to the
candidate in turn, through their test routes. --baseline keeps the measurements as this rollout's
first run; --compare also holds the candidate against that first run (anchorTolerance, default
30 %). Tolerances (default 10/15/25 % for p50/p95/p99) are against the previous version beside
it. The candidate first gets as many pods as the previous version has."""
EXAMPLE = "theseus-ci performance --baseline"


def add_options(parser: argparse.ArgumentParser) -> None:
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--baseline", action="store_true", help="the first run of this rollout")
    mode.add_argument("--compare", action="store_true", help="a later run")
    parser.add_argument(
        "--anchor",
        type=Path,
        metavar="FILE",
        help="of `theseus-ci jenkins baseline`: from now on, the last promoted release stands in "
        "place of this rollout's first run",
    )
