"""Help and options of `status`."""

from __future__ import annotations

import argparse

from theseus_ci.arguments import options

DESCRIPTION = """\
Shows the rollout of the service: who holds its lease and since when, which steps have passed, where
production traffic is now. Reads the cluster and changes nothing."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = "example:\n  theseus-ci status --json"
    parser.add_argument("--json", action="store_true", help="the same as JSON")
    parser.add_argument(
        "--service", metavar="NAME", help="the service, where neither state nor theseus.yaml tells"
    )
    options.add_config(parser, overrides=False)
    options.add_cluster(parser)
    options.add_state(parser)
