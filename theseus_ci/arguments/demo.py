"""Help and options of `demo`."""

from __future__ import annotations

import argparse
from pathlib import Path

DESCRIPTION = """\
Starts a sandbox with a service of three pods, sends it steady traffic from a process of its own,
releases a good version through the whole canary flow, then a bad one that passes its smoke test
but is slow at half of the traffic. Both go through `theseus-ci run`. Tells what happens as it
happens, and ends with a table and a picture. Exit code 0 only when the good one was released, the
bad one was taken back, and no request was lost. The sandbox is taken down at the end."""
LOWEST_RATE, HIGHEST_RATE = 100.0, 400.0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = "example:\n  theseus-ci demo --reports /tmp/demo-reports"
    parser.add_argument(
        "--rate",
        type=_rate,
        default=200.0,
        metavar="RATE",
        help=f"requests a second, {LOWEST_RATE:g} to {HIGHEST_RATE:g} (default 200)",
    )
    parser.add_argument("--keep", action="store_true", help="leave the sandbox up at the end")
    parser.add_argument("--name", default="demo", help="of the sandbox, for --keep (default: demo)")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write what was found as JSON, too"
    )
    parser.add_argument(
        "--reports",
        type=Path,
        default=Path("demo-reports"),
        metavar="FOLDER",
        help="configuration, logs, states and JUnit reports stay here (default: demo-reports)",
    )


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of requests a second") from None
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise argparse.ArgumentTypeError(f"must be {LOWEST_RATE:g} to {HIGHEST_RATE:g}")
    return rate
