"""What belongs to one HTTP route beside its destinations: retries, faults, headers, CORS…

Durations are passed on in the one form Envoy reads: seconds, as in "0.25s".
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from theseus_ci.sandbox.mesh.translate.checks import DURATION
from theseus_ci.sandbox.mesh.translate.matches import string_match

Json = dict[str, Any]

RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
DEFAULT_ATTEMPTS = 2
HOST_SELECTION_ATTEMPTS = 5
PREVIOUS_HOSTS = {
    "name": "envoy.retry_host_predicates.previous_hosts",
    "typed_config": {
        "@type": "type.googleapis.com/"
        "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    },
}
CORS_TYPE = "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy"
FAULT_TYPE = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_CODES = frozenset(int(status) for status in HTTPStatus)


def seconds(duration: str) -> float:
    """Seconds in a Go duration such as "1m30s", "250ms"."""
    return sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(duration))


def parse_duration(text: str) -> float:
    """Seconds in a duration that a user wrote; "0" needs no unit. Raises ValueError."""
    if text != "0" and not DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration such as 300ms or 1.5s")
    return seconds(text)


def envoy_duration(duration: str) -> str:
    return f"{seconds(duration):.9f}".rstrip("0").rstrip(".") + "s"


def retry_policy(retries: Json | None) -> Json | None:
    """Istio retries twice unless told otherwise, on another host; 0 attempts means never."""
    if retries is not None and not retries.get("attempts"):
        return None
    given = retries or {"attempts": DEFAULT_ATTEMPTS}
    out: Json = {
        "num_retries": given["attempts"],
        "retry_on": RETRY_ON,
        "host_selection_retry_max_attempts": str(HOST_SELECTION_ATTEMPTS),
    }
    if given.get("retryIgnorePreviousHosts") is not False:
        out["retry_host_predicate"] = [PREVIOUS_HOSTS]
    if given.get("retryOn"):
        out.update(_retry_conditions(given["retryOn"]))
    if given.get("perTryTimeout"):
        out["per_try_timeout"] = envoy_duration(given["perTryTimeout"])
    if given.get("backoff"):
        out["retry_back_off"] = {"base_interval": envoy_duration(given["backoff"])}
    return out


def _retry_conditions(retry_on: str) -> Json:
    """Status codes may stand among the conditions: Envoy wants them in a list of their own."""
    conditions: list[str] = []
    codes: list[int] = []
    for part in (part.strip() for part in retry_on.split(",")):
        if part.isdigit() and int(part) in _CODES:
            codes.append(int(part))
        elif part:
            conditions.append(part)
    if codes and "retriable-status-codes" not in ",".join(conditions):
        conditions.append("retriable-status-codes")
    out: Json = {"retry_on": ",".join(conditions)}
    if codes:
        out["retriable_status_codes"] = codes
    return out


def header_operations(headers: Json | None) -> tuple[Json, str]:
    """Envoy's header fields, and the authority when the request's Host is set among them."""
    request = (headers or {}).get("request") or {}
    response = (headers or {}).get("response") or {}
    out: Json = {
        "request_headers_to_add": _additions(request),
        "request_headers_to_remove": _removals(request),
        "response_headers_to_add": _additions(response),
        "response_headers_to_remove": _removals(response),
    }
    authority = ""
    for operation in ("add", "set"):
        for name, value in (request.get(operation) or {}).items():
            if name.lower() in ("host", ":authority"):
                authority = value
    return {field: value for field, value in out.items() if value}, authority


def _additions(operations: Json) -> list[Json]:
    out = []
    for operation, action in (
        ("set", "OVERWRITE_IF_EXISTS_OR_ADD"),
        ("add", "APPEND_IF_EXISTS_OR_ADD"),
    ):
        for name, value in sorted((operations.get(operation) or {}).items()):
            if not _is_internal(name):
                out.append({"header": {"key": name, "value": value}, "append_action": action})
    return out


def _removals(operations: Json) -> list[str]:
    return [name for name in operations.get("remove") or [] if not _is_internal(name)]


def _is_internal(name: str) -> bool:
    return name.startswith(":") or name.lower() == "host"


def percentage(percent: Json | None, default: int) -> Json:
    """An Envoy fraction; of Istio's percentages four decimals count, the rest is cut off."""
    if percent is None:
        return {"numerator": default, "denominator": "HUNDRED"}
    value = (percent.get("value") or 0) * 10_000
    return {"numerator": int(value), "denominator": "MILLION"}


def filters(http: Json) -> Json:
    """The route's own configuration of Envoy's fault and CORS filters."""
    out: Json = {}
    if fault := _fault(http.get("fault") or {}):
        out["envoy.filters.http.fault"] = {"@type": FAULT_TYPE, **fault}
    if http.get("corsPolicy") is not None:
        out["envoy.filters.http.cors"] = {"@type": CORS_TYPE, **_cors(http["corsPolicy"])}
    return out


def _fault(fault: Json) -> Json:
    out: Json = {}
    if delay := fault.get("delay"):
        out["delay"] = {
            "fixed_delay": envoy_duration(delay["fixedDelay"]),
            "percentage": percentage(delay.get("percentage"), delay.get("percent") or 0),
        }
    if abort := fault.get("abort"):
        out["abort"] = {"http_status": abort["httpStatus"]}
        # without a percentage Envoy takes 0, and so does Istio
        if abort.get("percentage") is not None:
            out["abort"]["percentage"] = percentage(abort["percentage"], 0)
    return out


def _cors(cors: Json) -> Json:
    if cors.get("allowOrigins") is not None:
        origins = [string_match(origin) for origin in cors["allowOrigins"]]
    else:
        origins = [{"exact": origin} for origin in cors.get("allowOrigin") or []]
    out: Json = {
        "allow_origin_string_match": [origin for origin in origins if origin is not None],
        "allow_methods": ",".join(cors.get("allowMethods") or []),
        "allow_headers": ",".join(cors.get("allowHeaders") or []),
        "expose_headers": ",".join(cors.get("exposeHeaders") or []),
        "filter_enabled": {"default_value": percentage(None, 100)},
        "forward_not_matching_preflights": cors.get("unmatchedPreflights") != "IGNORE",
    }
    if cors.get("maxAge"):
        out["max_age"] = str(int(seconds(cors["maxAge"])))
    if cors.get("allowCredentials") is not None:
        out["allow_credentials"] = cors["allowCredentials"]
    return out
