"""Help and options of `delete`."""

from __future__ import annotations

import argparse

from theseus_ci.arguments import options

DESCRIPTION = """\
Removes a version of the service: its routes that carry nothing, its subset, its autoscaler and its
Deployment, in this order. Fails when there is no such Deployment, and refuses the one that carries
traffic."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = "example:\n  theseus-ci delete reviews-v1"
    parser.add_argument("name", metavar="DEPLOYMENT", help="the version to remove")
    options.add_config(parser, overrides=True)
    options.add_cluster(parser)
