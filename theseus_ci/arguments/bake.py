"""Help and options of `bake`."""

from __future__ import annotations

import argparse

from theseus_ci.quantities import Duration

DESCRIPTION = """\
Waits while a few requests a second (bake.rate, default 5) go to both versions through their test
routes, and looks at the candidate's pods (bake.poll, default 1s). Ends early, with exit 1, when the
candidate's answers go bad, its pods restart, or fewer are ready than its traffic needs."""
EXAMPLE = "theseus-ci bake 2m"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "duration",
        type=duration,
        metavar="DURATION",
        help="500ms, 30s, 1m30s, 2h; the canary flow has 1m, 2m and 5m",
    )


def duration(text: str) -> Duration:
    """A duration from the command line."""
    try:
        return Duration.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
