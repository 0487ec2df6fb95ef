"""What is said of the mesh's regular expressions, against Envoy itself."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from theseus_ci.config.regex import problems

ENVOY = Path(sysconfig.get_path("scripts")) / "envoy"
GOOD = [
    "^(alice|bob)$",
    ".*",
    r"v[0-9]+\.[0-9]{1,3}",
    r"(?i)candidate",
    r"(?P<name>a+)b",
    r"(?:a|b)*?c",
    r"[(?=]x",
    r"[]a]+",
    r"\(\?=x\)",
    r"a{1000}",
    r"[a\]+*]+",
    r"\d+\s\w\b",
    r"x\+\+",
]
REFUSED = [
    r"(?=a)b",
    r"(?!a)b",
    r"(?<=a)b",
    r"(?<!a)b",
    r"(a)\1",
    r"(?P<n>a)(?P=n)",
    r"(?>a)b",
    r"a(?#comment)",
    r"(a)?(?(1)b|c)",
    r"a++",
    r"a{1001}",
    r"a\Z",
    r"(a",
    r"[a",
    r"a{2}+",
    r"*a",
]


@pytest.mark.parametrize("pattern", GOOD)
def test_good_expressions_pass(pattern: str) -> None:
    assert list(problems(pattern)) == []


@pytest.mark.parametrize("pattern", REFUSED)
def test_others_are_named(pattern: str) -> None:
    (message,) = problems(pattern)
    assert "RE2" in message or "is not a regular expression" in message


def _objection(folder: Path, patterns: list[str]) -> str:
    """What Envoy says against routes with these expressions; "" when it takes them."""
    matches = [
        {"name": "cookie", "string_match": {"safe_regex": {"regex": pattern}}}
        for pattern in patterns
    ]
    routes = [{"match": {"prefix": "/", "headers": [m]}, "redirect": {}} for m in matches]
    manager: dict[str, Any] = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "stat_prefix": "x",
        "route_config": {"virtual_hosts": [{"name": "x", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {
                "name": "router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ],
    }
    listener = {
        "name": "x",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}],
    }
    # Istio's own bootstrap raises the size of expressions; Envoy's default is 100.
    sizes = {"re2.max_program_size.error_level": 32768}
    bootstrap = {
        "static_resources": {"listeners": [listener]},
        "layered_runtime": {"layers": [{"name": "sizes", "static_layer": sizes}]},
    }
    path = folder / "envoy.json"
    path.write_text(json.dumps(bootstrap))
    command = [str(ENVOY), "--mode", "validate", "-c", str(path), "--log-level", "error"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else done.stderr + done.stdout


def test_envoy_takes_what_passes(tmp_path: Path) -> None:
    assert _objection(tmp_path, GOOD) == ""


@pytest.mark.parametrize("pattern", REFUSED)
def test_envoy_refuses_what_is_refused(tmp_path: Path, pattern: str) -> None:
    objection = _objection(tmp_path, [pattern])
    assert any(words in objection for words in ("invalid", "repetition", "missing")), objection
