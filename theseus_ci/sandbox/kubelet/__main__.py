"""Runs the sandbox's scheduler and kubelet in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from theseus_ci.quantities import Duration
from theseus_ci.sandbox.kubeconfig import KubeconfigError
from theseus_ci.sandbox.kubelet.agent import run_kubelet
from theseus_ci.sandbox.kubelet.context import Settings


def _duration(text: str) -> float:
    try:
        return Duration.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m theseus_ci.sandbox.kubelet", description=__doc__
    )
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--directory", type=Path, required=True, help="for logs and volumes")
    parser.add_argument("--node-name", default="sandbox")
    parser.add_argument(
        "--crash-back-off",
        type=_duration,
        default=10.0,
        help="pause before the second restart of a container; doubles up to 30 times this",
    )
    parser.add_argument(
        "--log-size", type=int, default=10 * 1024 * 1024, help="bytes before a log is rotated"
    )
    parser.add_argument(
        "--log-server-tls", action="store_true", help="serve logs over TLS, as kube-apiserver wants"
    )
    parser.add_argument(
        "--no-binding",
        dest="binds",
        action="store_false",
        help="take only pods that name this node: the cluster has a scheduler of its own",
    )
    options = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    settings = Settings(
        node_name=options.node_name,
        directory=options.directory.resolve(),
        back_off=options.crash_back_off,
        log_size=options.log_size,
        log_server_tls=options.log_server_tls,
        binds=options.binds,
    )
    try:
        settings.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        asyncio.run(run_kubelet(options.kubeconfig, settings))
    except (KubeconfigError, OSError) as error:
        print(f"kubelet: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
