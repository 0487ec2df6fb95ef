"""Help and options of `plan`."""

from __future__ import annotations

import argparse

from theseus_ci.arguments import options

DESCRIPTION = """\
Checks what begin checks and shows the steps of the rollout. --diff runs every step that changes
something in a world that stays in memory, and prints the change of every object. Nothing in the
cluster is touched, the lease included."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = "example:\n  theseus-ci plan --diff"
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the steps as JSON, for a pipeline")
    form.add_argument(
        "--diff", action="store_true", help="the change of every object, step by step"
    )
    options.add_config(parser, overrides=True)
    options.add_cluster(parser)
    options.add_state(parser)
