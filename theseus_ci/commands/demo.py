"""demo: a good and a bad release under live traffic, on a sandbox."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from theseus_ci.errors import EXIT_BAD_RELEASE, EXIT_DONE, Interrupted, UsageError

DESCRIPTION = """\
Starts a sandbox with a service of three pods, sends it steady traffic from a process of its own,
releases a good version through the whole canary flow, then a bad one that passes its smoke test
but is slow at half of the traffic. Both go through `theseus-ci run`. Tells what happens as it
happens, and ends with a table and a picture. Exit code 0 only when the good one was released, the
bad one was taken back, and no request was lost. The sandbox is taken down at the end."""
LOWEST_RATE, HIGHEST_RATE = 100.0, 400.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


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


def run(args: argparse.Namespace) -> int:
    """Returns the exit code. Raises TheseusError."""
    from theseus_ci.sandbox.cluster import require_packages  # noqa: PLC0415 - not before needed
    from theseus_ci.sandbox.layout import named_directory  # noqa: PLC0415

    if args.json and not args.json.resolve().parent.is_dir():
        raise UsageError(f"--json {args.json}: there is no folder {args.json.resolve().parent}")
    require_packages()
    named_directory(args.name)
    from theseus_ci.demo.story import Options, play  # noqa: PLC0415 - needs the packages
    from theseus_ci.demo.table import summary  # noqa: PLC0415

    _listen()
    started = time.monotonic()
    options = Options(name=args.name, rate=args.rate, keep=args.keep, reports=args.reports)
    try:
        releases = play(options, _tell)
    finally:
        if args.keep:
            _tell_kept(args.name)
    took = time.monotonic() - started
    as_expected = all(check.holds for release in releases for check in release.checks)
    print()
    for line in summary(releases):
        print(line)
    verdict = "Both went as they should" if as_expected else "NOT AS IT SHOULD BE (see ✗ above)"
    print(f"\n{verdict}, in {took:.0f} s.")
    print(f"Reports, states and logs: {os.path.relpath(args.reports)}/good and …/bad")
    if args.json:
        content = {
            "schema": 1,
            "asExpected": as_expected,
            "seconds": round(took, 1),
            "rate": args.rate,
            "reports": str(args.reports.resolve()),
            "releases": [release.to_json() for release in releases],
        }
        args.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return EXIT_DONE if as_expected else EXIT_BAD_RELEASE


def _tell(line: str) -> None:
    stamped = line if line.startswith("  ") else f"{time.strftime('%H:%M:%S')}  {line}"
    print(stamped, flush=True)


def _tell_kept(name: str) -> None:
    from theseus_ci.sandbox.cluster import Sandbox  # noqa: PLC0415
    from theseus_ci.sandbox.layout import named_directory  # noqa: PLC0415

    sandbox = Sandbox(named_directory(name))
    if sandbox.is_running():
        _tell(f"the sandbox stays up: export KUBECONFIG={shlex.quote(str(sandbox.kubeconfig))}")
        _tell(f"stop it: theseus-ci sandbox down --name {name}")


def _listen() -> None:
    """The first stop signal unwinds everything; later ones must not disturb that."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        for other in STOP_SIGNALS:
            signal.signal(other, signal.SIG_IGN)
        print("stopping: everything is taken down", file=sys.stderr, flush=True)
        raise Interrupted(number)

    for number in STOP_SIGNALS:
        signal.signal(number, on_signal)
