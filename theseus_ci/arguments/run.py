"""Help and options of `run`."""

from __future__ import annotations

import argparse

from theseus_ci.arguments import options

DESCRIPTION = """\
Runs begin and then every step of the plan in one process. When a step fails, and on Ctrl-C in a
terminal, everything is rolled back before the exit. SIGTERM saves the state and exits within 3 s;
theseus-ci rollback (or run --resume) then goes on from there."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = "example:\n  theseus-ci run --version 1.4.2"
    parser.add_argument(
        "--resume", action="store_true", help="go on with the rollout that a process left behind"
    )
    parser.add_argument(
        "--yes", action="store_true", help="answer the flow's gates with yes instead of asking"
    )
    parser.add_argument(
        "--no-rollback", action="store_true", help="leave everything as it is on failure"
    )
    options.add_config(parser, overrides=True)
    options.add_cluster(parser)
    options.add_state(parser)
