"""Help and options of `pipeline`."""

from __future__ import annotations

import argparse
import os

from theseus_ci.arguments import options

DESCRIPTION = """\
For pipelines; the Jenkins library runs these beside the steps of the plan.
  lock                 print the name of the lock that keeps two rollouts of the service apart
  question STEP        print what people should know before they consent to STEP
  undecided [STEP]     print what STEP left for a person to decide (onInconclusive: gate), if so;
                       without STEP, print the id of the step that waits for a decision, if any
  approve STEP         record in the state and the report who consented to STEP; what it left
                       undecided becomes a weak pass
  refuse STEP          the same for a gate that was rejected, not answered in time, or aborted
  crashed STEP         write a report of STEP if it ended without one
  absent               print the steps that ran and have no report in the folder of --reports"""
ACTS = ("lock", "question", "undecided", "approve", "refuse", "crashed", "absent")
EXAMPLE = "theseus-ci pipeline approve promote --by alice"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = f"example:\n  {EXAMPLE}"
    parser.add_argument("act", choices=ACTS, metavar="ACT", help=", ".join(ACTS))
    parser.add_argument("step", nargs="?", default="", metavar="STEP", help="a step id of the plan")
    parser.add_argument(
        "--by",
        default=os.environ.get("THESEUS_ANSWERED_BY", ""),
        metavar="USER",
        help="approve, refuse: who answered (or $THESEUS_ANSWERED_BY)",
    )
    parser.add_argument(
        "--comment",
        default=os.environ.get("THESEUS_ANSWER_COMMENT", ""),
        metavar="TEXT",
        help="approve, refuse: such as 'no answer in 4 hours' (or $THESEUS_ANSWER_COMMENT)",
    )
    parser.add_argument(
        "--message",
        default=os.environ.get("THESEUS_GATE_MESSAGE", ""),
        metavar="TEXT",
        help="question: instead of the flow's own words (or $THESEUS_GATE_MESSAGE)",
    )
    parser.add_argument(
        "--code", type=int, default=3, metavar="N", help="crashed: the exit code of the step"
    )
    options.add_config(parser, overrides=True)
    options.add_cluster(parser)
    options.add_state(parser)
