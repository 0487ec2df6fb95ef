"""The paths that are about the server itself: health, version, discovery, OpenAPI."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from theseus_ci.sandbox.apiserver import discovery, openapi
from theseus_ci.sandbox.apiserver.answers import respond
from theseus_ci.sandbox.apiserver.errors import (
    NoSuchPageError,
    Object,
    method_not_allowed,
    not_acceptable,
)
from theseus_ci.sandbox.apiserver.kinds import Registry
from theseus_ci.sandbox.apiserver.request import wants_aggregated

HEALTH = ("healthz", "livez", "readyz")


def answer(request: web.Request, registry: Registry) -> web.Response:
    """Answer a request that is not about resources; ApiError 405 or 406, NoSuchPageError."""
    if request.method not in ("GET", "HEAD"):
        raise method_not_allowed()
    path = request.path.rstrip("/") or "/"
    if path.split("/")[1] in HEALTH:
        return web.Response(text="ok")
    accept = request.headers.get("Accept", "")
    if path in ("/api", "/apis") and wants_aggregated(accept):
        response = respond(discovery.aggregated(registry, core=path == "/api"))
        response.headers["Content-Type"] = discovery.AGGREGATED
        return response
    content = _document(path, accept, registry)
    if content is None:
        raise NoSuchPageError
    return respond(content)


def _document(path: str, accept: str, registry: Registry) -> Object | None:
    fixed: dict[str, Callable[[], Object]] = {
        "/version": lambda: discovery.VERSION,
        "/api": discovery.api_versions,
        "/apis": lambda: discovery.group_list(registry),
        "/openapi/v2": lambda: _swagger(accept),
        "/openapi/v3": lambda: openapi.index(registry),
    }
    if path in fixed:
        return fixed[path]()
    parts = path.strip("/").split("/")
    if parts[:2] == ["openapi", "v3"]:
        return _versioned(parts[2:], registry, openapi.document)
    if parts[0] == "apis" and len(parts) == 2:
        return discovery.group(registry, parts[1])
    return _versioned(parts, registry, discovery.resource_list)


def _swagger(accept: str) -> Object:
    kinds = {offer.partition(";")[0].strip() for offer in accept.split(",")}
    if accept and not kinds & {"application/json", "*/*"}:
        raise not_acceptable(["application/json"])
    return openapi.swagger()


def _versioned(
    parts: list[str], registry: Registry, make: Callable[[Registry, str, str], Object | None]
) -> Object | None:
    if len(parts) == 2 and parts[0] == "api":
        return make(registry, "", parts[1])
    if len(parts) == 3 and parts[0] == "apis":
        return make(registry, parts[1], parts[2])
    return None
