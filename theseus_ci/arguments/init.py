"""Help and options of `init`."""

from __future__ import annotations

import argparse

from theseus_ci.arguments import options

DESCRIPTION = """\
Looks at a service in the cluster and prints a theseus.yaml for it: what was found is filled in, all
other keys are explained and commented out. Without --service, the services that could be released
are listed."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = "example:\n  theseus-ci init --service reviews > theseus.yaml"
    parser.add_argument("--service", metavar="NAME", help="the Service whose traffic is to move")
    parser.add_argument("--namespace", metavar="NAME", help="default: the context's")
    parser.add_argument("--manifest", metavar="PATH", help="where the candidate's manifest lies")
    parser.add_argument("--output", metavar="FILE", help="write here instead of to the terminal")
    parser.add_argument("--force", action="store_true", help="overwrite the output file")
    options.add_cluster(parser)
