"""etcd and kube-apiserver as one program: `python -m theseus_ci.sandbox.real.control_plane`.

DIR/kubeconfig appears when requests are answered and Istio's kinds are known. Everything is kept in
DIR: started again there, the server has the same objects, certificates and tokens. When one of the
two ends, so does this program; whoever started it starts it again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from theseus_ci.errors import UsageError
from theseus_ci.sandbox.apiserver import pki
from theseus_ci.sandbox.client import ApiClient, ApiError
from theseus_ci.sandbox.kubeconfig import load_access
from theseus_ci.sandbox.processes import exited, signal_group, spawn
from theseus_ci.sandbox.real.binaries import Binaries, find_binaries
from theseus_ci.sandbox.settings import LOOPBACK, free_port

log = logging.getLogger(__name__)

POLL_SECONDS = 0.05
STOP_SECONDS = 2.0
SERVICE_NETWORK = "10.96.0.0/16"
SYSTEM_NAMESPACES = ("kube-system", "istio-system")
_NAMESPACES = "/api/v1/namespaces"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class ControlPlane:
    """Both processes, with their files in `directory`."""

    def __init__(self, directory: Path, port: int, binaries: Binaries) -> None:
        self._directory = directory
        self._port = port
        self._binaries = binaries
        self._pki = directory / "pki"
        self._tokens = directory / "tokens.csv"
        self._processes: list[subprocess.Popen[bytes]] = []

    async def run(self, stop: asyncio.Event) -> bool:
        """Serve until told to stop; returns False when a process ended by itself."""
        kubeconfig = self._directory / "kubeconfig"
        token = pki.admin_token(self._tokens)
        if not (self._pki / "server.key").exists():
            pki.create_certificates(self._pki)
        etcd_port = free_port(set())
        self._spawn("etcd", self._etcd(etcd_port, free_port({etcd_port})))
        self._spawn("kube-apiserver", self._kube_apiserver(etcd_port))
        ending = [asyncio.create_task(exited(process)) for process in self._processes]
        serving = asyncio.create_task(self._begin(kubeconfig, token))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({*ending, serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
                await asyncio.wait({*ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return stopping.done()
        finally:
            for task in (*ending, serving, stopping):
                task.cancel()
            await asyncio.wait({*ending, serving, stopping})
            await self._end()

    async def _begin(self, kubeconfig: Path, token: str) -> None:
        """Wait for the server, fill it, and tell where it is."""
        draft = self._directory / ".kubeconfig.draft"
        url = f"https://{LOOPBACK}:{self._port}"
        pki.write_kubeconfig(draft, url, self._pki / "ca.crt", token)
        async with ApiClient(load_access(draft)) as client:
            for name in SYSTEM_NAMESPACES:
                await _until_exists(client, f"{_NAMESPACES}/{name}", create=name)
            await self._define_istio(client)
        draft.replace(kubeconfig)
        log.info("serving at %s", url)

    async def _define_istio(self, client: ApiClient) -> None:
        """Create Istio's kinds and wait until each is served."""
        crds = json.loads(self._binaries.crds.read_text(encoding="utf-8"))

        async def define(crd: dict[str, Any]) -> None:
            try:
                await client.create(_CRDS, crd)
            except ApiError as error:
                if error.status != 409:
                    raise
            spec = crd["spec"]
            version = next(item["name"] for item in spec["versions"] if item["storage"])
            plural = spec["names"]["plural"]
            await _until_exists(client, f"/apis/{spec['group']}/{version}/{plural}?limit=1")

        await asyncio.gather(*(define(crd) for crd in crds))

    def _etcd(self, client_port: int, peer_port: int) -> list[str]:
        client, peer = (f"https://{LOOPBACK}:{port}" for port in (client_port, peer_port))
        options = {
            "name": "sandbox",
            "data-dir": self._directory / "etcd",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"sandbox={peer}",
            "log-level": "warn",
        }
        for prefix in ("", "peer-"):  # nobody else on this machine may read or write
            options[f"{prefix}cert-file"] = self._pki / "server.crt"
            options[f"{prefix}key-file"] = self._pki / "server.key"
            options[f"{prefix}trusted-ca-file"] = self._pki / "ca.crt"
        flags = ("--client-cert-auth", "--peer-client-cert-auth", "--unsafe-no-fsync")
        return [str(self._binaries.etcd), *_options(options), *flags]

    def _kube_apiserver(self, etcd_port: int) -> list[str]:
        certificate, key = self._pki / "server.crt", self._pki / "server.key"
        options = {
            "etcd-servers": f"https://{LOOPBACK}:{etcd_port}",
            "etcd-cafile": self._pki / "ca.crt",
            "etcd-certfile": certificate,
            "etcd-keyfile": key,
            "bind-address": LOOPBACK,
            "advertise-address": LOOPBACK,
            "secure-port": self._port,
            "cert-dir": self._pki,
            "tls-cert-file": certificate,
            "tls-private-key-file": key,
            "token-auth-file": self._tokens,
            "authorization-mode": "RBAC",
            "service-cluster-ip-range": SERVICE_NETWORK,
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": key,
            "service-account-signing-key-file": key,
            "endpoint-reconciler-type": "none",  # it would refuse a loopback address
            "disable-admission-plugins": "ServiceAccount",  # nobody mounts tokens into our pods
            "kubelet-preferred-address-types": "InternalIP",
            "shutdown-delay-duration": "0s",
        }
        return [str(self._binaries.kube_apiserver), *_options(options)]

    def _spawn(self, name: str, command: Sequence[str]) -> None:
        with (self._directory / "logs" / f"{name}.log").open("ab") as output:
            process = spawn(
                command,
                environment=os.environ,
                directory=self._directory,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)

    async def _end(self) -> None:
        """End the API server, then etcd."""
        for process in reversed(self._processes):
            signal_group(process.pid, signal.SIGTERM)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(exited(process), STOP_SECONDS)
            signal_group(process.pid, signal.SIGKILL)
            await exited(process)


def _options(values: dict[str, Any]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]


async def _until_exists(client: ApiClient, path: str, *, create: str = "") -> None:
    """Ask until there is an answer; a namespace named `create` is made where it is missing."""
    while True:
        try:
            await client.get(path)
            return
        except ApiError as error:
            if error.status == 404 and create:
                with contextlib.suppress(ApiError):  # somebody else was faster, or not yet ready
                    await client.create(_NAMESPACES, {"metadata": {"name": create}})
                    return
            elif error.status not in {0, 403, 404, 429} and error.status < 500:
                raise
        await asyncio.sleep(POLL_SECONDS)


async def _serve(directory: Path, port: int, binaries: Binaries) -> bool:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return await ControlPlane(directory, port, binaries).run(stop)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m theseus_ci.sandbox.real.control_plane")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    directory: Path = options.directory.resolve()
    (directory / "logs").mkdir(parents=True, exist_ok=True)
    try:
        told = asyncio.run(_serve(directory, options.port, find_binaries()))
    except (ApiError, UsageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if not told:
        print("error: etcd or kube-apiserver ended; see their logs", file=sys.stderr)
    return 0 if told else 1


if __name__ == "__main__":
    sys.exit(main())
