"""Gateway and sidecar configured by Istio: `python -m theseus_ci.sandbox.real.mesh`.

Starts Istio's translation, which is its validating webhook too, and the two Envoys that ask it, and
writes DIR/mesh.json once both accept connections, as the sandbox's own mesh does.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp

from theseus_ci.errors import UsageError
from theseus_ci.quantities import Duration
from theseus_ci.sandbox.client import ApiClient, ApiError
from theseus_ci.sandbox.kubeconfig import KubeconfigError
from theseus_ci.sandbox.layout import write_json
from theseus_ci.sandbox.mesh.bootstrap import Files
from theseus_ci.sandbox.mesh.controller import ADDRESS_FILE, Background
from theseus_ci.sandbox.mesh.envoy import Envoy, MeshError, reserve_port
from theseus_ci.sandbox.processes import exited, signal_group, spawn
from theseus_ci.sandbox.real.binaries import find_binaries
from theseus_ci.sandbox.real.ensure import ensure
from theseus_ci.sandbox.real.late import LateLink
from theseus_ci.sandbox.real.mesh_objects import bootstrap, node, objects
from theseus_ci.sandbox.real.webhook import CONFIGURATIONS, configuration, until_refusing
from theseus_ci.sandbox.settings import LOOPBACK, free_port

log = logging.getLogger(__name__)

LISTEN_SECONDS = 30.0
POLL_SECONDS = 0.02
STOP_SECONDS = 2.0
RESTART_SECONDS = 0.5
CONCURRENCY = 2
SETTINGS = {
    "PILOT_ENABLE_METADATA_EXCHANGE": "false",  # filters that only Istio's own Envoy has
    "PILOT_ENABLE_ALPN_FILTER": "false",
}


@dataclass(frozen=True)
class Options:
    """A port of 0 takes a free one."""

    kubeconfig: Path
    directory: Path
    gateway_port: int
    sidecar_port: int
    client_namespace: str
    gateway_delay: float  # seconds, on top of what Istio takes
    sidecar_delay: float


class RealMesh:
    """`run` serves until cancelled."""

    def __init__(self, options: Options, session: aiohttp.ClientSession) -> None:
        self._options = options
        self._session = session
        self._xds = find_binaries().xds
        self._xds_port = free_port(set())
        self._webhook_port = free_port({self._xds_port})
        self._pki = options.directory / "pki"
        self._held: dict[str, socket.socket] = {}
        self._envoys: dict[str, Envoy] = {}
        self._links = {
            "gateway": LateLink(self._xds_port, options.gateway_delay),
            "sidecar": LateLink(self._xds_port, options.sidecar_delay),
        }
        self._ready = False

    async def run(self) -> None:
        """Raises MeshError, ApiError."""
        address_file = self._options.directory / ADDRESS_FILE
        address_file.unlink(missing_ok=True)
        asked = {"gateway": self._options.gateway_port, "sidecar": self._options.sidecar_port}
        self._held = {kind: reserve_port(port) for kind, port in asked.items()}
        background = Background()
        try:
            await self._prepare()
            background.start(self._keep_translation())
            for kind in self._held:
                await self._links[kind].start()
                self._envoys[kind] = self._envoy(kind)
                background.start(self._envoys[kind].run(self._session))
            background.start(self._announce())
            await background.failed()
        finally:
            address_file.unlink(missing_ok=True)
            await background.cancel()
            for link in self._links.values():
                await link.stop()
            for held in self._held.values():
                held.close()

    def _port(self, kind: str) -> int:
        return int(self._held[kind].getsockname()[1])

    async def _prepare(self) -> None:
        """Create what the mesh needs, or bring it up to date with this start's ports."""
        wanted = objects(
            self._options.client_namespace, self._port("gateway"), self._port("sidecar")
        )
        webhook = configuration(self._webhook_port, self._pki / "ca.crt")
        async with ApiClient.from_kubeconfig(self._options.kubeconfig) as client:
            for path, obj in [(CONFIGURATIONS, webhook), *wanted]:
                await ensure(client, path, obj)

    async def _keep_translation(self) -> None:
        """Run Istio's translation, and again when it ends: Envoys keep what they have meanwhile."""
        while True:
            with (self._options.directory / "logs" / "xds.log").open("ab") as output:
                process = spawn(
                    [
                        str(self._xds),
                        *("--kubeconfig", str(self._options.kubeconfig)),
                        *("--listen", f"{LOOPBACK}:{self._xds_port}"),
                        *("--webhook", f"{LOOPBACK}:{self._webhook_port}"),
                        *("--certificate", str(self._pki / "server.crt")),
                        *("--key", str(self._pki / "server.key")),
                    ],
                    environment={**SETTINGS, **os.environ},
                    directory=self._options.directory,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            try:
                code = await exited(process)
            finally:
                await _stop(process)
            log.error("Istio's translation ended with %d, see logs/xds.log", code)
            await asyncio.sleep(RESTART_SECONDS)

    def _envoy(self, kind: str) -> Envoy:
        files = Files(self._options.directory / kind)
        files.prepare()
        name, metadata = node(kind, self._options.client_namespace)
        return Envoy(
            kind,
            files,
            configure=partial(bootstrap, metadata, self._links[kind].port),
            concurrency=CONCURRENCY,
            on_start=self._publish,
            node=name,
        )

    async def _announce(self) -> None:
        """Say where the proxies are once both listen, and objects are validated; then stay, as the
        others do."""
        for kind in self._held:
            await _until_listening(kind, self._port(kind))
        async with ApiClient.from_kubeconfig(self._options.kubeconfig) as client:
            await until_refusing(client, LISTEN_SECONDS)
        self._ready = True
        self._publish()
        await asyncio.Event().wait()

    def _publish(self) -> None:
        if not self._ready:
            return
        content = {}
        for kind, envoy in self._envoys.items():
            content[kind] = f"http://{LOOPBACK}:{self._port(kind)}"
            content[f"{kind}Admin"] = envoy.admin
        write_json(self._options.directory / ADDRESS_FILE, content)


async def _until_listening(kind: str, port: int) -> None:
    """Raises MeshError when the proxy does not accept connections in time."""
    deadline = time.monotonic() + LISTEN_SECONDS
    while True:
        try:
            _, writer = await asyncio.open_connection(LOOPBACK, port)
        except OSError as error:
            if time.monotonic() > deadline:
                raise MeshError(f"{kind}: Envoy does not listen: {error}") from error
            await asyncio.sleep(POLL_SECONDS)
        else:
            writer.close()
            await writer.wait_closed()
            return


async def _stop(process: subprocess.Popen[bytes]) -> None:
    signal_group(process.pid, signal.SIGTERM)
    try:
        await asyncio.wait_for(exited(process), STOP_SECONDS)
    except asyncio.TimeoutError:
        signal_group(process.pid, signal.SIGKILL)
        await exited(process)


async def _serve(options: Options) -> None:
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as session:
        serving = loop.create_task(RealMesh(options, session).run())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, serving.cancel)
        try:
            await serving
        except asyncio.CancelledError:
            log.info("stopped by a signal")


def _seconds(text: str) -> float:
    return float(Duration.parse(text))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m theseus_ci.sandbox.real.mesh")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--gateway-port", type=int, default=0)
    parser.add_argument("--sidecar-port", type=int, default=0)
    parser.add_argument("--client-namespace", default="default")
    parser.add_argument("--gateway-delay", type=_seconds, default=0.0)
    parser.add_argument("--sidecar-delay", type=_seconds, default=0.0)
    arguments = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    options = Options(
        kubeconfig=arguments.kubeconfig.resolve(),
        directory=arguments.directory.resolve(),
        gateway_port=arguments.gateway_port,
        sidecar_port=arguments.sidecar_port,
        client_namespace=arguments.client_namespace,
        gateway_delay=arguments.gateway_delay,
        sidecar_delay=arguments.sidecar_delay,
    )
    (options.directory / "logs").mkdir(parents=True, exist_ok=True)
    try:
        asyncio.run(_serve(options))
    except (MeshError, ApiError, KubeconfigError, UsageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
