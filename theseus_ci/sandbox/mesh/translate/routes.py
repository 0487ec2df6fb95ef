"""HTTP routes of one VirtualService, in Envoy's form.

The same for gateway and sidecar; what differs is the listener's port, which matches may name and
which stands in for a destination's missing port, and who the proxy is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from theseus_ci.sandbox.mesh.translate import hosts
from theseus_ci.sandbox.mesh.translate.matches import is_catch_all, route_match
from theseus_ci.sandbox.mesh.translate.policies import (
    envoy_duration,
    filters,
    header_operations,
    percentage,
    retry_policy,
)
from theseus_ci.sandbox.mesh.translate.snapshot import Proxy, Service

Json = dict[str, Any]

REDIRECT_CODES = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Context:
    """Where a VirtualService's routes are to be used."""

    proxy: Proxy
    services: Mapping[str, Service]
    gateway: str
    """NAMESPACE/NAME of the Gateway, or "mesh"."""
    port: int
    """The listener's: at a gateway that of its server, in a sidecar that of the service called."""


def cluster_name(host: str, port: int, subset: str = "") -> str:
    return f"outbound|{port}|{subset}|{host}"


def virtual_service_routes(service: Json, context: Context) -> list[Json]:
    """Envoy routes in order; those behind one that takes every request are left out."""
    namespace = service["metadata"]["namespace"]
    out: list[Json] = []
    for http in service["spec"].get("http") or []:
        for match in http.get("match") or [None]:
            if not _applies(match, namespace, context):
                continue
            route = _route(http, match, namespace, context)
            out.append(route)
            if is_catch_all(route["match"]):
                return out
    return out


def default_route(cluster: str) -> Json:
    """What a service without VirtualService gets."""
    action = {"cluster": cluster, **_timeouts(None), "retry_policy": retry_policy(None)}
    return {"name": "default", "match": route_match(None), "route": action}


def _applies(match: Json | None, namespace: str, context: Context) -> bool:
    """Whether a match condition can hold at this listener of this proxy at all."""
    if match is None:
        return True
    if match.get("port") and match["port"] != context.port:
        return False
    if match.get("gateways"):
        bound = [hosts.resolve_gateway(name, namespace) for name in match["gateways"]]
        return context.gateway in bound
    wanted = (match.get("sourceLabels") or {}).items()
    return all(context.proxy.labels.get(name) == value for name, value in wanted)


def _route(http: Json, match: Json | None, namespace: str, context: Context) -> Json:
    operations, authority = header_operations(http.get("headers"))
    name = http.get("name") or ""
    if match is not None and match.get("name"):
        name = f"{name}.{match['name']}"
    out: Json = {"name": name, "match": route_match(match), **operations}
    if http.get("redirect"):
        out["redirect"] = _redirect(http["redirect"], context.port)
    elif http.get("directResponse"):
        out["direct_response"] = _direct_response(http["directResponse"])
    else:
        out["route"] = _action(http, authority, namespace, context)
        _send(out, http["route"], namespace, context)
    if configured := filters(http):
        out["typed_per_filter_config"] = configured
    return out


def _action(http: Json, authority: str, namespace: str, context: Context) -> Json:
    """Everything about forwarding but where to."""
    action: Json = _timeouts(http.get("timeout"))
    rewrite = http.get("rewrite") or {}
    if regex := rewrite.get("uriRegexRewrite"):
        action["regex_rewrite"] = {
            "pattern": {"regex": regex["match"]},
            "substitution": regex.get("rewrite") or "",
        }
    elif rewrite.get("uri"):
        action["prefix_rewrite"] = rewrite["uri"]
    authority = rewrite.get("authority") or authority
    if authority:
        action["host_rewrite_literal"] = authority
    if mirrors := _mirrors(http, namespace, context):
        action["request_mirror_policies"] = mirrors
    if policy := retry_policy(http.get("retries")):
        action["retry_policy"] = policy
    return action


def _send(route: Json, destinations: list[Json], namespace: str, context: Context) -> None:
    """Put the destinations, with their own header operations, into an Envoy route."""
    action = route["route"]
    if len(destinations) == 1:
        operations, authority = header_operations(destinations[0].get("headers"))
        for field, values in operations.items():
            route[field] = route.get(field, []) + values
        if authority:
            action.setdefault("host_rewrite_literal", authority)
        action["cluster"] = _cluster(destinations[0]["destination"], namespace, context)
        return
    clusters = []
    for destination in destinations:
        if not destination.get("weight"):
            continue
        operations, authority = header_operations(destination.get("headers"))
        cluster: Json = {
            "name": _cluster(destination["destination"], namespace, context),
            "weight": destination["weight"],
            **operations,
        }
        if authority:
            cluster["host_rewrite_literal"] = authority
        clusters.append(cluster)
    action["weighted_clusters"] = {"clusters": clusters}


def _cluster(destination: Json, namespace: str, context: Context) -> str:
    host = hosts.resolve(destination["host"], namespace)
    port = (destination.get("port") or {}).get("number")
    if port is None:
        service = context.services.get(host)
        # a sidecar knows only the services on the port that was called, so theirs is that port
        single = context.gateway != "mesh" and service is not None and len(service.ports) == 1
        port = service.ports[0].number if service is not None and single else context.port
    return cluster_name(host, port, destination.get("subset") or "")


def _mirrors(http: Json, namespace: str, context: Context) -> list[Json]:
    wanted: list[tuple[Json, Json]] = []
    if http.get("mirror"):
        default = http["mirrorPercent"] if http.get("mirrorPercent") is not None else 100
        fraction = percentage(http.get("mirrorPercentage"), default)
        wanted.append((http["mirror"], fraction))
    for mirror in http.get("mirrors") or []:
        wanted.append((mirror["destination"], percentage(mirror.get("percentage"), 100)))
    return [
        {
            "cluster": _cluster(destination, namespace, context),
            "runtime_fraction": {"default_value": fraction},
            "trace_sampled": False,
            "disable_shadow_host_suffix_append": True,
        }
        for destination, fraction in wanted
        if fraction["numerator"]
    ]


def _timeouts(timeout: str | None) -> Json:
    """Istio's default is none at all, where Envoy's would be 15 s."""
    value = envoy_duration(timeout) if timeout else "0s"
    return {"timeout": value, "max_grpc_timeout": value}


def _redirect(redirect: Json, listener_port: int) -> Json:
    out: Json = {"path_redirect": redirect.get("uri") or ""}
    scheme = redirect.get("scheme")
    if redirect.get("authority"):
        out["host_redirect"] = redirect["authority"]
    if scheme:
        out["scheme_redirect"] = scheme
    port = redirect.get("port")
    if redirect.get("derivePort") == "FROM_REQUEST_PORT":
        port = listener_port
    if port and port != DEFAULT_PORTS.get(scheme or "http"):
        out["port_redirect"] = port
    out["response_code"] = REDIRECT_CODES[redirect.get("redirectCode") or 301]
    return out


def _direct_response(response: Json) -> Json:
    out: Json = {"status": response["status"]}
    body = response.get("body") or {}
    if body.get("string") is not None:
        out["body"] = {"inline_string": body["string"]}
    elif body.get("bytes") is not None:
        out["body"] = {"inline_bytes": body["bytes"]}
    return out
