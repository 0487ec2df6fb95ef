"""Every fault at every request of a release, and whether the world came out whole.

    python -m bench.faults [--all] [--control-plane real] [--seed N] [--sample N] [--workers N]
                           [--results FILE] [--shard K/N]

Runs from the repository's root. Without --all, a sample is tried that the seed decides. Exits
with 1 when anything was left behind or a user's request was lost. With --results, what FILE holds
already is not tried again, and the table is of all that it holds then: an interrupted run goes on
where it was, and the files of several shards may be put together.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import sys
import tempfile
from pathlib import Path

from bench.faults.record import Record, table
from bench.faults.work import Queue, work_all
from tests.e2e.api import Api
from tests.faults.cases import Case, count_requests, every_case
from tests.faults.place import place
from tests.faults.proxy import Proxy
from tests.tier.servers import running
from theseus_ci.sandbox.cluster import Sandbox
from theseus_ci.sandbox.settings import CONTROL_PLANES


def main() -> int:
    args = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="theseus-faults-") as name:
        folder = Path(name)
        record = Record(args.results or folder / "results")
        with running(args.control_plane, folder / "sandbox") as sandbox:
            chosen = _choose(_every_case(sandbox, folder, record, args.control_plane), args)
            waiting = [case for case in chosen if str(case) not in record.tried()]
            print(f"{len(chosen)} cases chosen (seed {args.seed}), {len(waiting)} not tried yet")
            work_all(sandbox, folder, Queue(waiting), record, args.workers)
    print(table(record))
    return 1 if record.lost() or record.left_behind() else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Faults at every request of a release.")
    parser.add_argument("--all", action="store_true", help="every case, not a sample")
    parser.add_argument("--sample", type=int, default=20, help="cases without --all (default 20)")
    parser.add_argument("--kind", help="only kinds of fault whose name holds this text")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--control-plane", choices=CONTROL_PLANES, default=CONTROL_PLANES[0])
    parser.add_argument("--results", type=Path, help="where results are kept, and read from")
    parser.add_argument("--shard", default="1/1", metavar="K/N", help="only the K-th of N parts")
    return parser


def _every_case(sandbox: Sandbox, folder: Path, record: Record, control_plane: str) -> list[Case]:
    """Found by a release without a fault."""
    own = folder / "count"
    own.mkdir()
    with (
        contextlib.closing(Api(sandbox.kubeconfig, folder)) as api,
        place(sandbox, api, own) as counted,
        Proxy(sandbox.kubeconfig, own) as proxy,
    ):
        calls = count_requests(counted, proxy)
    changes = sum(call.changes for call in calls)
    record.release(control_plane, requests=len(calls), changes=changes)
    return every_case(changes)


def _choose(cases: list[Case], args: argparse.Namespace) -> list[Case]:
    cases = [case for case in cases if not args.kind or args.kind in case.kind]
    random.Random(args.seed).shuffle(cases)
    chosen = cases if args.all else cases[: args.sample]
    which, _, parts = args.shard.partition("/")
    return chosen[int(which) - 1 :: int(parts)]


if __name__ == "__main__":
    sys.exit(main())
