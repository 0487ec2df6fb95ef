"""The sandbox's mesh as a program: `python -m theseus_ci.sandbox.mesh`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import resource
import signal
import sys
from pathlib import Path

import aiohttp
import uvloop

from theseus_ci.sandbox.client import ApiClient
from theseus_ci.sandbox.kubeconfig import KubeconfigError
from theseus_ci.sandbox.mesh.controller import Mesh, Options, ProxyOptions
from theseus_ci.sandbox.mesh.envoy import MeshError
from theseus_ci.sandbox.mesh.translate import parse_duration


def main() -> int:
    """Run until SIGTERM or SIGINT; exit code 0 then, 1 when the mesh cannot be started."""
    arguments = _parser().parse_args()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    options = Options(
        directory=arguments.directory,
        gateway=ProxyOptions(arguments.gateway_port, arguments.gateway_delay),
        sidecar=ProxyOptions(arguments.sidecar_port, arguments.sidecar_delay),
        client_namespace=arguments.client_namespace,
        client_labels=dict(arguments.client_label),
        concurrency=arguments.concurrency,
        access_log=arguments.access_log,
    )
    options.directory.mkdir(parents=True, exist_ok=True)
    # each cluster of each Envoy keeps a connection open to hear of its endpoints
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        uvloop.run(_serve(arguments.kubeconfig, options))
    except (MeshError, KubeconfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(kubeconfig: Path, options: Options) -> None:
    loop = asyncio.get_running_loop()
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        ApiClient.from_kubeconfig(kubeconfig) as client,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        serving = loop.create_task(Mesh(options, client, session).run())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, serving.cancel)
        try:
            await serving
        except asyncio.CancelledError:
            logging.getLogger(__name__).info("stopped by a signal")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m theseus_ci.sandbox.mesh", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument(
        "--directory", type=Path, required=True, help="for mesh.json and the Envoys' files"
    )
    for proxy in ("gateway", "sidecar"):
        parser.add_argument(f"--{proxy}-port", type=int, default=0, help="0 takes a free one")
        parser.add_argument(
            f"--{proxy}-delay",
            type=_duration,
            default=0.3,
            metavar="DURATION",
            help="from a change to its effect in this proxy (default 300ms)",
        )
    parser.add_argument("--client-namespace", default="default", help="where the sidecar's pod is")
    parser.add_argument(
        "--client-label",
        type=_label,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a label of the sidecar's pod, for sourceLabels; may be repeated",
    )
    parser.add_argument("--concurrency", type=int, default=2, help="worker threads of each Envoy")
    parser.add_argument("--access-log", action="store_true", help="write DIR/PROXY/access.log")
    return parser


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError("must be NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
