"""Help and options of `shift`."""

from __future__ import annotations

import argparse

DESCRIPTION = """\
Raises the candidate to at least WEIGHT percent of the previous version's replicas and waits until
they are ready, then edits the weight in one step and waits until every entrypoint shows it. What
counts is where production's traffic is now: a weight that the VirtualServices no longer say is set
again, though the step was done. Less traffic than before reopens what the plan has from its first
shift beyond that on: those steps are done once more before the release goes on. With --step, as
pipelines have it, a step that is done never takes traffic away: one may be played again."""
EXAMPLE = "theseus-ci shift 50"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "weight",
        type=weight,
        metavar="WEIGHT",
        help="0 to 100, in percent; the canary flow has 1, 50 and 100",
    )


def weight(text: str) -> int:
    """A whole percentage from the command line."""
    number = text.strip().removesuffix("%")
    if not number.isdigit() or int(number) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 100")
    return int(number)
