"""`python -m theseus_ci.sandbox.controllers --kubeconfig FILE`: the controllers as a process.

Exit code 0 after SIGTERM or SIGINT, 2 for a kubeconfig that cannot be used.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import re
import signal
import sys
from pathlib import Path

from theseus_ci.sandbox.client import ApiClient
from theseus_ci.sandbox.controllers import manager
from theseus_ci.sandbox.kubeconfig import KubeconfigError

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "": 1.0}


def duration(text: str) -> float:
    """Seconds from "500ms", "5s", "2m" or a plain number of seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 500ms, 5s or 2m")
    return float(match[1]) * UNITS[match[2]]


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="python -m theseus_ci.sandbox.controllers")
    result.add_argument("--kubeconfig", type=Path, required=True)
    result.add_argument(
        "--hpa-stabilization",
        type=duration,
        default=5.0,
        metavar="DURATION",
        help="how long an autoscaler waits before it scales down, where its own behavior does "
        "not say it (a real cluster: 5m; default: 5s)",
    )
    result.add_argument("--verbose", action="store_true", help="log every retry")
    return result


async def serve(options: argparse.Namespace) -> None:
    """Run until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    async with ApiClient.from_kubeconfig(options.kubeconfig) as client:
        ready = asyncio.Event()
        task = asyncio.ensure_future(
            manager.run(client, hpa_stabilization=options.hpa_stabilization, ready=ready)
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


def main() -> int:
    options = parser().parse_args()
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        asyncio.run(serve(options))
    except KubeconfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
