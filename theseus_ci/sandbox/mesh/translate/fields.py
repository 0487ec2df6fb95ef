"""Which fields of Istio's objects the sandbox translates.

Everything absent from these tables is refused: a field that were skipped in silence would make a
release behave in the sandbox as it never would in a mesh. The tables also hold what Istio's own
admission webhook would refuse, where the translation relies on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from theseus_ci.sandbox.mesh.translate.checks import (
    UNKNOWN,
    Check,
    Problem,
    anything,
    boolean,
    choice,
    duration,
    each,
    mapping,
    number,
    record,
    text,
    whole,
)

PORT = whole(1, 65535)
PERCENT = record({"value": number(0, 100)})
MATCH_TYPES = ("exact", "prefix", "regex")


def _one_match_type(value: dict[str, Any], path: str) -> Iterator[Problem]:
    if len([kind for kind in MATCH_TYPES if value.get(kind) is not None]) > 1:
        yield path, "only one of exact, prefix and regex may be set"


STRING_MATCH = record(dict.fromkeys(MATCH_TYPES, text), also=_one_match_type)
"""Without any field it asks only for presence."""


def _header_matches(value: Any, path: str) -> Iterator[Problem]:
    yield from mapping(STRING_MATCH)(value, path)
    if isinstance(value, dict):
        for name in value:
            if name.startswith("@request.auth.claims"):
                yield f"{path}[{name}]", UNKNOWN


MATCH = record(
    {
        "name": text,
        "uri": STRING_MATCH,
        "scheme": STRING_MATCH,
        "method": STRING_MATCH,
        "authority": STRING_MATCH,
        "headers": _header_matches,
        "withoutHeaders": _header_matches,
        "queryParams": mapping(STRING_MATCH),
        "ignoreUriCase": boolean,
        "port": PORT,
        "sourceLabels": mapping(text),
        "gateways": each(text),
        "statPrefix": text,
    }
)

DESTINATION = record(
    {"host": text, "subset": text, "port": record({"number": PORT}, required=("number",))},
    required=("host",),
)
HEADER_OPERATIONS = record({"add": mapping(text), "set": mapping(text), "remove": each(text)})
HEADERS = record({"request": HEADER_OPERATIONS, "response": HEADER_OPERATIONS})
ROUTE = record(
    {"destination": DESTINATION, "weight": whole(0), "headers": HEADERS}, required=("destination",)
)
MIRROR = record({"destination": DESTINATION, "percentage": PERCENT}, required=("destination",))


def _rewrite_one_way(value: dict[str, Any], path: str) -> Iterator[Problem]:
    if value.get("uri") and value.get("uriRegexRewrite"):
        yield path, "only one of uri and uriRegexRewrite may be set"


REWRITE = record(
    {
        "uri": text,
        "authority": text,
        "uriRegexRewrite": record({"match": text, "rewrite": text}, required=("match",)),
    },
    also=_rewrite_one_way,
)


def _redirect_code(value: Any, path: str) -> Iterator[Problem]:
    if value not in (0, 301, 302, 303, 307, 308):
        yield path, "must be 301, 302, 303, 307 or 308"


REDIRECT = record(
    {
        "uri": text,
        "authority": text,
        "port": PORT,
        "derivePort": choice("FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"),
        "scheme": text,
        "redirectCode": _redirect_code,
    }
)
DIRECT_RESPONSE = record(
    {"status": whole(200, 599), "body": record({"string": text, "bytes": text})},
    required=("status",),
)
RETRIES = record(
    {
        "attempts": whole(0),
        "perTryTimeout": duration,
        "retryOn": text,
        "retryIgnorePreviousHosts": boolean,
        "backoff": duration,
    }
)
FAULT = record(
    {
        "delay": record(
            {"percentage": PERCENT, "percent": whole(0, 100), "fixedDelay": duration},
            required=("fixedDelay",),
        ),
        "abort": record(
            {"percentage": PERCENT, "httpStatus": whole(200, 599)}, required=("httpStatus",)
        ),
    }
)
CORS = record(
    {
        "allowOrigins": each(STRING_MATCH),
        "allowOrigin": each(text),
        "allowMethods": each(text),
        "allowHeaders": each(text),
        "exposeHeaders": each(text),
        "maxAge": duration,
        "allowCredentials": boolean,
        "unmatchedPreflights": choice("UNSPECIFIED", "FORWARD", "IGNORE"),
    }
)


ACTIONS = ("route", "redirect", "directResponse", "delegate")


def _http_action(value: dict[str, Any], path: str) -> Iterator[Problem]:
    actions = [key for key in ACTIONS if value.get(key)]
    if not actions:
        yield path, f"one of {', '.join(ACTIONS)} is required"
    if len(actions) > 1:
        yield f"{path}.{actions[1]}", f"cannot stand beside {actions[0]}"
    routes = value.get("route") or []
    if len(routes) > 1 and not any(entry.get("weight") for entry in routes):
        yield f"{path}.route", "the weights add up to 0"


HTTP = record(
    {
        "name": text,
        "match": each(MATCH),
        "route": each(ROUTE),
        "redirect": REDIRECT,
        "directResponse": DIRECT_RESPONSE,
        "delegate": record({"name": text, "namespace": text}, required=("name",)),
        "rewrite": REWRITE,
        "timeout": duration,
        "retries": RETRIES,
        "fault": FAULT,
        "mirror": DESTINATION,
        "mirrorPercentage": PERCENT,
        "mirrorPercent": whole(0, 100),
        "mirrors": each(MIRROR),
        "corsPolicy": CORS,
        "headers": HEADERS,
    },
    also=_http_action,
)


def _delegate_alone(value: dict[str, Any], path: str) -> Iterator[Problem]:
    """Without hosts it is another's delegate, which stands at no gateway and delegates nothing."""
    if value.get("hosts"):
        return
    if value.get("gateways"):
        yield f"{path}.gateways", "a delegate (without hosts) cannot have gateways"
    for index, entry in enumerate(value.get("http") or []):
        if entry.get("delegate"):
            yield f"{path}.http[{index}].delegate", "a delegate cannot delegate"


VIRTUAL_SERVICE = record(
    {
        "hosts": each(text),
        "gateways": each(text),
        "exportTo": each(text),
        "http": each(HTTP),
    },
    also=_delegate_alone,
)

LOAD_BALANCER = record(
    {"simple": choice("UNSPECIFIED", "ROUND_ROBIN", "LEAST_REQUEST", "LEAST_CONN", "RANDOM")}
)
CONNECTION_POOL = record(
    {
        "tcp": record(
            {
                "maxConnections": whole(0),
                "connectTimeout": duration,
                "idleTimeout": duration,
                "maxConnectionDuration": duration,
            }
        ),
        "http": record(
            {
                "http1MaxPendingRequests": whole(0),
                "http2MaxRequests": whole(0),
                "maxRequestsPerConnection": whole(0),
                "maxRetries": whole(0),
                "idleTimeout": duration,
            }
        ),
    }
)
OUTLIER_DETECTION = record(
    {
        "consecutive5xxErrors": whole(0),
        "consecutiveGatewayErrors": whole(0),
        "splitExternalLocalOriginErrors": boolean,
        "consecutiveLocalOriginFailures": whole(0),
        "interval": duration,
        "baseEjectionTime": duration,
        "maxEjectionPercent": whole(0, 100),
        "minHealthPercent": whole(0, 100),
    }
)
POLICY: dict[str, Check] = {
    "loadBalancer": LOAD_BALANCER,
    "connectionPool": CONNECTION_POOL,
    "outlierDetection": OUTLIER_DETECTION,
    "tls": record({"mode": choice("DISABLE")}),
}
TRAFFIC_POLICY = record(
    {
        **POLICY,
        "portLevelSettings": each(
            record({"port": record({"number": PORT}), **POLICY}, required=("port",))
        ),
    }
)
DESTINATION_RULE = record(
    {
        "host": text,
        "exportTo": each(text),
        "trafficPolicy": TRAFFIC_POLICY,
        "subsets": each(
            record(
                {"name": text, "labels": mapping(text), "trafficPolicy": TRAFFIC_POLICY},
                required=("name",),
            )
        ),
    },
    required=("host",),
)

GATEWAY = record(
    {
        "selector": mapping(text),
        "servers": each(
            record(
                {
                    "name": anything,
                    "bind": choice("127.0.0.1"),
                    "hosts": each(text, at_least=1),
                    "port": record(
                        {
                            "number": PORT,
                            "name": text,
                            "protocol": choice("HTTP", "HTTP2", "GRPC"),
                            "targetPort": PORT,
                        },
                        required=("number", "protocol"),
                    ),
                },
                required=("hosts", "port"),
            )
        ),
    }
)

SPECS: dict[str, Check] = {
    "VirtualService": VIRTUAL_SERVICE,
    "DestinationRule": DESTINATION_RULE,
    "Gateway": GATEWAY,
}


def refusals(kind: str, obj: dict[str, Any]) -> list[str]:
    """Why the sandbox cannot apply this object: one sentence per field, with its full path."""
    metadata = obj["metadata"]
    owner = f"{kind} {metadata['namespace']}/{metadata['name']}"
    found = SPECS[kind](obj.get("spec") or {}, "spec")
    return [f"{owner}: {path}: {reason}" for path, reason in found]
