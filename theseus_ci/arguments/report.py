"""Help and options of `report`."""

from __future__ import annotations

import argparse

from theseus_ci.arguments import options

DESCRIPTION = """\
Writes the rollout as one page: how it ended and what to do next, the steps over time with the share
of traffic, both versions' latency, every check with its evidence and how to repeat it, gates, what
was changed in the cluster, the journal. It is HTML with a style sheet and SVG pictures beside it,
without script or inline style, so that Jenkins shows it under its default Content-Security-Policy.
Reads the state artefact and the JUnit files; only where there is no artefact is the cluster asked.
--markdown prints a summary for a pull request or a chat instead."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = "example:\n  theseus-ci report --output reports/html"
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        help="where the page goes (default: html in the folder of --reports)",
    )
    parser.add_argument(
        "--markdown", action="store_true", help="print a summary as Markdown, write no file"
    )
    parser.add_argument(
        "--service", metavar="NAME", help="the service, where neither state nor theseus.yaml tells"
    )
    options.add_config(parser, overrides=False)
    options.add_cluster(parser)
    options.add_state(parser)
