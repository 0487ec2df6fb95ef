"""Help and options of `begin`."""

from __future__ import annotations

import argparse

from theseus_ci.arguments import options

DESCRIPTION = """\
Reads theseus.yaml, the manifest and the cluster, and checks all that can be checked without
touching anything. Then takes the lease of the service, records what rollback must restore, and
writes the plan into the state artefact. What would endanger production traffic is refused (exit 2)
with what to do about it."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = "example:\n  theseus-ci begin --config theseus.yaml --version 1.4.2"
    options.add_config(parser, overrides=True)
    options.add_cluster(parser)
    options.add_state(parser)
