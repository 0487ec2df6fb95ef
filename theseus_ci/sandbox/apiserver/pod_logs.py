"""A container's log, relayed from the kubelet that has it."""

from __future__ import annotations

from urllib.parse import quote

import aiohttp
from aiohttp import web

from theseus_ci.sandbox.apiserver.errors import ApiError, bad_request
from theseus_ci.sandbox.apiserver.kinds import NODES
from theseus_ci.sandbox.apiserver.verbs import Target, Verbs
from theseus_ci.sandbox.network import fold

PARAMETERS = (
    "follow",
    "limitBytes",
    "previous",
    "sinceSeconds",
    "sinceTime",
    "tailLines",
    "timestamps",
)
SCHEME_ANNOTATION = "theseus-ci.io/kubelet-scheme"
CONNECT_SECONDS = 10


def _container(verbs: Verbs, target: Target, name: str, wanted: str) -> tuple[str, str]:
    """(node, container) of a pod's log; the node is '' before the pod has one."""
    pod = verbs.get(target, name).obj
    known = [item["name"] for item in pod["spec"]["containers"]]
    if not wanted and len(known) > 1:
        listed = " ".join(known)
        raise bad_request(
            f"a container name must be specified for pod {name}, choose one of: [{listed}]"
        )
    if wanted and wanted not in known:
        raise bad_request(f"container {wanted} is not valid for pod {name}")
    return pod["spec"].get("nodeName", ""), wanted or known[0]


def _kubelet(verbs: Verbs, name: str) -> str:
    """The base URL of a node's kubelet."""
    stored = verbs.store.get(NODES.key, ("", name))
    if stored is None:
        raise ApiError(500, "InternalError", f'nodes "{name}" not found')
    status = stored.obj.get("status") or {}
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port")
    addresses = status.get("addresses") or []
    internal = [entry["address"] for entry in addresses if entry.get("type") == "InternalIP"]
    if not internal or not port:
        raise ApiError(500, "InternalError", f'node "{name}" has no kubelet address and port')
    scheme = (stored.obj["metadata"].get("annotations") or {}).get(SCHEME_ANNOTATION, "http")
    host, folded = fold(internal[0], port)
    return f"{scheme}://{host}:{folded}"


class PodLogs:
    """Relays logs; `close` when done."""

    def __init__(self, verbs: Verbs) -> None:
        self._verbs = verbs
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def relay(self, request: web.Request, target: Target, name: str) -> web.StreamResponse:
        """Answer a request for /log; ApiError 400, 404 or 500."""
        wanted = request.query.get("container", "")
        node, container = _container(self._verbs, target, name, wanted)
        if not node:
            return web.Response(text="")
        path = "/".join(quote(part, safe="") for part in (target.namespace, name, container))
        url = f"{_kubelet(self._verbs, node)}/containerLogs/{path}"
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
            self._session = aiohttp.ClientSession(timeout=timeout)
        parameters = {name: request.query[name] for name in PARAMETERS if name in request.query}
        try:
            async with self._session.get(url, params=parameters, ssl=False) as upstream:
                return await _copied(request, upstream)
        except aiohttp.ClientError as problem:
            raise ApiError(500, "InternalError", f'Get "{url}": {problem}') from problem


async def _copied(request: web.Request, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
    if upstream.status != 200:
        text = (await upstream.text()).strip()
        reason = {400: "BadRequest", 404: "NotFound"}.get(upstream.status, "InternalError")
        raise ApiError(upstream.status, reason, text)
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    async for chunk in upstream.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response
