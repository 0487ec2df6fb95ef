"""Our load generator beside a bare loop, wrk, hey, k6, aiohttp and requests, if installed.

    python -m bench.load [--quick] [--client NAME] [--only EXPERIMENT]

Runs from the repository's root; clients share one core, servers another. Every figure is also
given as a ratio to ours, since machines differ. Needs the sandbox extra, for Envoy.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from bench.load import experiments
from bench.load.clients import Client, clients
from bench.table import markdown

_EXPERIMENTS: dict[str, Callable[[Sequence[Client], float], list[list[str]]]] = {
    "saturation": experiments.saturation,
    "schedule": experiments.schedule,
    "accuracy": experiments.accuracy,
    "stall": experiments.stall,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; prints a table for each experiment as it ends."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="a third of the time")
    parser.add_argument("--client", action="append", help="only these")
    parser.add_argument("--only", choices=_EXPERIMENTS, action="append")
    chosen = parser.parse_args(arguments)
    present = []
    for client in clients():
        if chosen.client and client.name not in chosen.client:
            continue
        if client.missing:
            print(f"skipped {client.name}: {client.missing}")
        else:
            present.append(client)
    if not present:
        return 0
    for name in chosen.only or _EXPERIMENTS:
        experiment = _EXPERIMENTS[name]
        head, *rows = experiment(present, 2.0 if chosen.quick else 6.0)
        title = (experiment.__doc__ or name).partition("\n")[0]
        print(f"\n{title}\n\n{markdown(head, rows)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
