"""demo: a good and a bad release under live traffic, on a sandbox."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import time
from types import FrameType

from theseus_ci.errors import EXIT_BAD_RELEASE, EXIT_DONE, Interrupted, UsageError

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


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
