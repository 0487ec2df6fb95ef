"""metrics.k8s.io for the real controller manager: `python -m theseus_ci.sandbox.real.metrics`.

Autoscalers do nothing without it. Every running pod is reported as nearly idle: an autoscaler goes
down to its minimum and stays there, which is what a rollout needs of it; load is not simulated.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import logging
import signal
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trustme
from aiohttp import web

from theseus_ci.sandbox.client import ApiClient, ApiError
from theseus_ci.sandbox.kubeconfig import KubeconfigError
from theseus_ci.sandbox.kubelet.clock import now_text
from theseus_ci.sandbox.real.ensure import ensure
from theseus_ci.sandbox.settings import LOOPBACK

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
NAMESPACE, SERVICE = "kube-system", "theseus-sandbox-metrics"
BASE = f"/apis/{GROUP}/{VERSION}"
USAGE = {"cpu": "1m", "memory": "16Mi"}
WINDOW = "1s"
SHUTDOWN_SECONDS = 0.5

Measure = Callable[[dict[str, Any]], "dict[str, Any] | None"]


class Metrics:
    """The API's three reads, answered from the pods and nodes behind `client`."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get(BASE, self._discovery)
        app.router.add_get(f"{BASE}/pods", self._pods)
        app.router.add_get(f"{BASE}/namespaces/{{namespace}}/pods", self._pods)
        app.router.add_get(f"{BASE}/namespaces/{{namespace}}/pods/{{name}}", self._pod)
        app.router.add_get(f"{BASE}/nodes", self._nodes)
        return app

    async def _discovery(self, request: web.Request) -> web.Response:
        kinds = (("pods", "PodMetrics", True), ("nodes", "NodeMetrics", False))
        resources = [
            {
                "name": name,
                "singularName": "",
                "kind": kind,
                "namespaced": namespaced,
                "verbs": ["get", "list"],
            }
            for name, kind, namespaced in kinds
        ]
        return web.json_response(
            {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{GROUP}/{VERSION}",
                "resources": resources,
            }
        )

    async def _pods(self, request: web.Request) -> web.Response:
        namespace = request.match_info.get("namespace")
        path = f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"
        return await self._answer(request, path, "PodMetricsList", _of_pod)

    async def _nodes(self, request: web.Request) -> web.Response:
        return await self._answer(request, "/api/v1/nodes", "NodeMetricsList", _of_node)

    async def _answer(
        self, request: web.Request, path: str, kind: str, measure: Measure
    ) -> web.Response:
        query = {
            key: request.query[key]
            for key in ("labelSelector", "fieldSelector")
            if key in request.query
        }
        try:
            found = await self._client.list(path, **query)
        except ApiError as error:
            return _failure(error)
        items = [item for item in map(measure, found) if item is not None]
        return web.json_response(
            {
                "kind": kind,
                "apiVersion": f"{GROUP}/{VERSION}",
                "metadata": {},
                "items": items,
            }
        )

    async def _pod(self, request: web.Request) -> web.Response:
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        try:
            pod = await self._client.get(f"/api/v1/namespaces/{namespace}/pods/{name}")
        except ApiError as error:
            return _failure(error)
        measured = _of_pod(pod)
        if measured is None:
            return _failure(ApiError(404, "NotFound", f"pod {name} is not running"))
        return web.json_response(measured)


def _of_pod(pod: dict[str, Any]) -> dict[str, Any] | None:
    """None for a pod that has no running container to measure."""
    status = pod.get("status") or {}
    if status.get("phase") != "Running":
        return None
    metadata = pod["metadata"]
    return {
        **_measured("PodMetrics", metadata),
        "containers": [
            {"name": container["name"], "usage": USAGE} for container in pod["spec"]["containers"]
        ],
    }


def _of_node(node: dict[str, Any]) -> dict[str, Any]:
    return {**_measured("NodeMetrics", node["metadata"]), "usage": USAGE}


def _measured(kind: str, metadata: dict[str, Any]) -> dict[str, Any]:
    names = {key: metadata[key] for key in ("name", "namespace", "labels") if key in metadata}
    return {
        "kind": kind,
        "apiVersion": f"{GROUP}/{VERSION}",
        "metadata": names,
        "timestamp": now_text(),
        "window": WINDOW,
    }


def _failure(error: ApiError) -> web.Response:
    status = error.status or 503
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": str(error),
        "reason": error.reason,
        "code": status,
    }
    return web.json_response(body, status=status)


async def _register(client: ApiClient, port: int, authority: bytes) -> None:
    """Tell the API server to pass this group's requests on to us."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SERVICE, "namespace": NAMESPACE},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }
    api_service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{VERSION}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "version": VERSION,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "caBundle": base64.b64encode(authority).decode(),
            "service": {"namespace": NAMESPACE, "name": SERVICE, "port": port},
        },
    }
    await ensure(client, f"/api/v1/namespaces/{NAMESPACE}/services", service)
    await ensure(client, "/apis/apiregistration.k8s.io/v1/apiservices", api_service)


async def _serve(kubeconfig: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    authority = trustme.CA(organization_name="theseus-ci sandbox")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(f"{SERVICE}.{NAMESPACE}.svc").configure_cert(tls)
    async with ApiClient.from_kubeconfig(kubeconfig) as client:
        runner = web.AppRunner(
            Metrics(client).application(), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS
        )
        await runner.setup()
        await web.TCPSite(runner, LOOPBACK, 0, ssl_context=tls).start()
        await _register(client, runner.addresses[0][1], authority.cert_pem.bytes())
        await stop.wait()
        await runner.cleanup()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m theseus_ci.sandbox.real.metrics")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    options = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    try:
        asyncio.run(_serve(options.kubeconfig))
    except (ApiError, KubeconfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
