"""theseus.yaml documents made by hypothesis: sound ones, and ones with one thing wrong."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

FULL: dict[str, Any] = {
    "service": "reviews",
    "namespace": "bookinfo",
    "manifest": "k8s/reviews.yaml",
    "deployment": "reviews-v2",
    "version": "1.4.2",
    "previous": "reviews-v1",
    "virtualServices": ["reviews", "edge/reviews.public"],
    "gateways": ["mesh", "istio-system/public"],
    "entrypoint": "http://127.0.0.1:8080",
    "entrypoints": ["https://gateway-2.example.com"],
    "host": "reviews.example.com:8443",
    "probePath": "/health?deep=1",
    "matchers": [
        {"header": {"name": "x-release", "exact": "candidate"}},
        {"header": [{"name": "x-a", "prefix": "1"}, {"name": "x-b", "regex": "a|b"}]},
        {"cookie": {"name": "tester", "regex": "^(alice|bob)$"}, "userAgent": {"prefix": "t/"}},
    ],
    "smoke": [
        {
            "name": "health",
            "timeout": "20s",
            "http": {
                "path": "/health",
                "method": "POST",
                "headers": {"x-a": "1", "accept.y": "2"},
                "body": "hello",
                "redirects": True,
                "tls": {"verify": True, "serverName": "reviews", "ca": "tls/ca.pem"},
                "retry": {"attempts": 3, "deadline": "10s", "interval": "500ms"},
                "expect": {
                    "status": [200, 204],
                    "body": {"contains": "ok"},
                    "json": {"$.status": "ok", "$.count": {"min": 1}},
                    "header": {"x-version": "2", "x.y": {"prefix": "a"}},
                    "within": "500ms",
                },
            },
        },
        {"name": "redis", "tcp": {"port": 6379, "send": "PING\r\n", "expect": "+PONG"}},
        {"name": "named", "tcp": {"port": "redis", "connect": True, "tls": {}}},
        {
            "name": "batch",
            "ssh": {
                "host": "ops@batch-1",
                "command": "check {{host}}",
                "port": 2222,
                "identityFile": "keys/id",
                "options": {"ConnectTimeout": "3"},
                "expect": {"exit": 3, "stdout": "done", "stderr": {"exact": ""}},
            },
        },
        {"name": "script", "bash": "tests/acceptance.sh"},
        {"name": "inline", "bash": {"inline": "true", "env": {"LEVEL": "2"}}},
    ],
    "performance": {
        "requests": [{"path": "/reviews/1"}, {"path": "/reviews/2", "weight": 3, "method": "PUT"}],
        "rate": 200,
        "maxRate": 500.5,
        "connections": 10,
        "timeout": "5s",
        "tls": {"verify": False},
        "expectStatus": ["2xx", 404],
        "tolerance": {"p50": "10%", "p99": "25.5%"},
        "anchorTolerance": "30%",
        "errorRate": {"acceptable": "0.1%", "unacceptable": "1%", "limit": "5%"},
        "minDuration": "30s",
        "maxDuration": "5m",
        "onInconclusive": "gate",
        "preset": "quick",
        "maxSchedulingError": "0.5ms",
        "minAchieved": "98.7654321%",
    },
    "flow": "canary",
    "firstReplicas": 2,
    "bake": {"rate": 2.5},
    "waits": {"ready": "1h", "mesh": "1m30s", "poll": "100ms", "consecutive": 2, "settle": "0"},
    "allowUnmeshed": True,
    "allowGitops": False,
}
"""A sound document that has nearly every key."""

_JUNK: list[Any] = [None, True, 0, -1, 3, 70_000, 2.5, "", "x", "30s", "0s", "15%", "/", [], {}]
_JUNK += [["x"], [3], [None], {"x": 1}, {"exact": None}, "a b", "Ä", {"name": "x"}, [[]], "x\ny"]

Path = tuple[str | int, ...]


def paths(value: Any, path: Path = ()) -> list[Path]:
    """Every place in a document but its root."""
    found = [path] if path else []
    if isinstance(value, dict):
        items: Any = value.items()
    else:
        items = enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += paths(inner, (*path, key))
    return found


@st.composite
def sound(draw: st.DrawFn) -> dict[str, Any]:
    """FULL with some of its optional keys, and other numbers."""
    document = copy.deepcopy(FULL)
    for key in draw(st.sets(st.sampled_from([key for key in FULL if key != "service"]))):
        del document[key]
    if "smoke" in document:
        document["smoke"] = draw(st.permutations(document["smoke"]))[: draw(st.integers(0, 6))]
    seconds = draw(st.integers(1, 10_000))
    milliseconds = draw(st.floats(0.01, 900, allow_nan=False))
    document["waits"] = {
        **document.get("waits", {}),
        "ready": f"{seconds}s",
        "scaleDown": f"{milliseconds:.3f}ms",
        "mesh": draw(st.sampled_from(["90s", "1m30s", "2h", "1.5m"])),
    }
    if "performance" in document:
        share = draw(st.floats(0.01, 99, allow_nan=False))
        document["performance"]["minAchieved"] = f"{share:.10f}%"
        document["performance"]["rate"] = draw(st.integers(1, 500))
    return document


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A sound document with one place replaced, removed or added to."""
    document = draw(sound())
    path = draw(st.sampled_from(paths(document)))
    parent: Any = document
    for part in path[:-1]:
        parent = parent[part]
    act = draw(st.sampled_from(["replace", "remove", "add"]))
    key: Any = path[-1]
    if act == "replace":
        parent[key] = draw(st.sampled_from(_JUNK))
    elif act == "remove":
        del parent[key]
    elif isinstance(parent, dict):
        parent[draw(st.sampled_from(["servce", "tiemout", "x", "name", "exact"]))] = draw(
            st.sampled_from(_JUNK)
        )
    return document
