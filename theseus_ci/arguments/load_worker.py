"""Help and options of `load-worker`."""

from __future__ import annotations

import argparse
import os

ORDER = "/etc/theseus-ci/load/order.json"
DESCRIPTION = """\
What a pod of performance.load runs; nobody else needs it. Reads the order that `theseus-ci
performance` has put into a Secret, makes sure that both versions answer through their test routes,
sends this worker's share of the load on the timetable that all workers share, and prints every
sample as lines for the pod's log. Ends when it is stopped, or after the longest time in its order.
Asks nothing of the cluster's API."""
EXAMPLE = f"theseus-ci load-worker --order {ORDER} --index 0"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = f"example:\n  {EXAMPLE}"
    parser.add_argument(
        "--order",
        default=os.environ.get("THESEUS_LOAD_ORDER", ORDER),
        metavar="FILE",
        help=f"default: $THESEUS_LOAD_ORDER or {ORDER}",
    )
    parser.add_argument(
        "--index",
        type=int,
        default=os.environ.get("JOB_COMPLETION_INDEX", "0"),
        metavar="N",
        help="which of the workers this is, from 0; default: $JOB_COMPLETION_INDEX",
    )
