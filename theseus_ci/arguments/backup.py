"""Help and options of `backup`."""

from __future__ import annotations

import argparse

from theseus_ci.arguments import options

DESCRIPTION = """\
Writes the Deployment that carries the service's traffic, with its autoscaler, VirtualServices and
DestinationRules, as YAML that kubectl apply takes. Fails when there is none."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = "example:\n  theseus-ci backup --output backup.yaml"
    parser.add_argument(
        "name", nargs="?", metavar="DEPLOYMENT", help="default: the one that carries the traffic"
    )
    parser.add_argument("--output", metavar="FILE", help="write here instead of to the terminal")
    options.add_config(parser, overrides=True)
    options.add_cluster(parser)
