"""Match conditions of an HTTP route: Istio's HTTPMatchRequest to Envoy's RouteMatch."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

PSEUDO_HEADERS = {"method": ":method", "authority": ":authority", "scheme": ":scheme"}


def route_match(match: Json | None) -> Json:
    """Envoy's form of `match`; None matches every request."""
    if match is None:
        return {"prefix": "/"}
    out: Json = {**_path(match.get("uri") or {}), "case_sensitive": not match.get("ignoreUriCase")}
    headers = [_named(name, value) for name, value in (match.get("headers") or {}).items()]
    for name, value in (match.get("withoutHeaders") or {}).items():
        absent = {**_named(name, value), "invert_match": True}
        if "string_match" in absent:
            absent["treat_missing_header_as_empty"] = True
        headers.append(absent)
    headers.sort(key=lambda header: str(header["name"]))
    for field, name in PSEUDO_HEADERS.items():
        if match.get(field) is not None:
            headers.append(_named(name, match[field]))
    if headers:
        out["headers"] = headers
    parameters = [_named(name, value) for name, value in (match.get("queryParams") or {}).items()]
    if parameters:
        out["query_parameters"] = parameters
    return out


def is_catch_all(match: Json) -> bool:
    """Whether an Envoy match takes every request, so that nothing after it can be reached."""
    regex = (match.get("safe_regex") or {}).get("regex")
    everything = match.get("prefix") == "/" or regex == ".*"
    return everything and "headers" not in match and "query_parameters" not in match


def string_match(value: Json) -> Json | None:
    """Envoy's StringMatcher, or None where presence is enough: {} and the regex "*"."""
    for kind in ("exact", "prefix"):
        if value.get(kind) is not None:
            return {kind: value[kind]}
    regex = value.get("regex")
    return None if regex is None or regex == "*" else {"safe_regex": {"regex": regex}}


def _path(uri: Json) -> Json:
    if uri.get("exact") is not None:
        return {"path": uri["exact"]}
    if uri.get("regex") is not None:
        return {"safe_regex": {"regex": uri["regex"]}}
    return {"prefix": uri.get("prefix") or "/"}


def _named(name: str, value: Json | None) -> Json:
    matcher = string_match(value or {})
    if matcher is None:
        return {"name": name, "present_match": True}
    return {"name": name, "string_match": matcher}
