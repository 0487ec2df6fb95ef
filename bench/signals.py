"""How long a command takes to end after SIGTERM, whatever it waits for.

    python -m bench.signals [--runs N]

Runs from the repository's root, on a machine with nothing else to do. A bare Python that waits for
the signal and ends stands beside, for what the machine itself takes. Exits with 1 when a command
took longer than the 3 s that are promised.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.table import markdown
from tests.e2e.api import Api
from tests.e2e.world import Running
from tests.faults.place import Place, place
from tests.faults.proxy import Proxy
from tests.faults.stopping import HANGS, WAITS_OF, reach, reach_hanging
from tests.tier.servers import running as cluster
from theseus_ci.sandbox.cluster import Sandbox

PROMISED_SECONDS = 3.0
BARE = "bare Python, waiting"
WAITING = "import signal, sys; signal.signal(15, lambda *_: sys.exit(143)); print(flush=True)\n"
Start = Callable[[Place, Proxy], "subprocess.Popen[str]"]


def main() -> int:
    parser = argparse.ArgumentParser(description="Seconds from SIGTERM to the end of a command.")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="theseus-signals-") as name:
        folder = Path(name)
        with (
            cluster("sandbox", folder / "sandbox") as sandbox,
            contextlib.closing(Api(sandbox.kubeconfig, folder)) as api,
        ):
            for what, start in _starts().items():
                found[what] = [
                    _seconds(sandbox, api, folder / f"{len(found)}-{run}", start)
                    for run in range(args.runs)
                ]
                print(f"{what}: {', '.join(f'{one:.2f} s' for one in found[what])}", flush=True)
    bare = statistics.median(found[BARE])
    rows = [
        (what, f"{min(all_):.2f}", f"{statistics.median(all_):.2f}", f"{max(all_):.2f}")
        for what, all_ in found.items()
    ]
    print(markdown(("command waits", "least, s", "median, s", "most, s"), rows))
    longest = max(map(max, found.values()))
    print(f"\nlongest: {longest:.2f} s, {longest / bare:.0f} times the bare Python's median")
    return 1 if longest > PROMISED_SECONDS else 0


def _starts() -> dict[str, Start]:
    made: dict[str, Start] = {BARE: _bare}
    for kind in WAITS_OF:
        made[f"a wait {kind}"] = partial(_process, reach, kind)
    for kind in HANGS:
        made[kind] = partial(_process, reach_hanging, kind)
    return made


def _process(
    bring: Callable[[Place, Proxy, str], Running], kind: str, here: Place, proxy: Proxy
) -> subprocess.Popen[str]:
    return bring(here, proxy, kind).process


def _bare(here: Place, proxy: Proxy) -> subprocess.Popen[str]:
    code = f"{WAITING}signal.pause()"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def _seconds(sandbox: Sandbox, api: Api, folder: Path, start: Start) -> float:
    folder.mkdir()
    with place(sandbox, api, folder) as here, Proxy(sandbox.kubeconfig, folder) as proxy:
        process = start(here, proxy)
        sent = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM
        return time.monotonic() - sent


if __name__ == "__main__":
    sys.exit(main())
