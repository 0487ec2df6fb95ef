"""Help and options of `rollback`."""

from __future__ import annotations

import argparse

from theseus_ci.arguments import options

DESCRIPTION = """\
Gives the previous version its replicas and autoscaler bounds back and waits until its pods are
ready, moves all production traffic to it and sees that in the mesh, waits until the candidate is
quiet, then removes the candidate and everything else this rollout has made. Can be run at any point
of a rollout, from any workspace, as often as needed."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = "example:\n  theseus-ci rollback"
    parser.add_argument(
        "--unobserved",
        action="store_true",
        help="go on by the settle time alone where an entrypoint does not show an edit",
    )
    parser.add_argument(
        "--take-over",
        action="store_true",
        help="take back a rollout that another build began: its commands can change nothing more",
    )
    parser.add_argument(
        "--own",
        action="store_true",
        help="only if this build or process ($BUILD_URL) was the last to act for the rollout",
    )
    parser.add_argument(
        "--service", metavar="NAME", help="the service, where neither state nor theseus.yaml tells"
    )
    options.add_config(parser, overrides=False)
    options.add_cluster(parser)
    options.add_state(parser)
