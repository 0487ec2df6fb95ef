"""What the clients are measured against: Envoy, and a server that knows how slow it was."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from bench.load.processes import child, python
from theseus_ci.sandbox.mesh.envoy import envoy_binary, reserve_port

_READY_SECONDS = 20.0


@contextmanager
def envoy() -> Iterator[tuple[str, str]]:
    """An Envoy with one worker that answers by itself: its URL and that of its counters."""
    with reserve_port(0) as held, tempfile.TemporaryDirectory() as folder:
        port = held.getsockname()[1]
        file, admin = Path(folder) / "envoy.json", Path(folder) / "admin"
        file.write_text(json.dumps(_configuration(port)), encoding="utf-8")
        command = [str(envoy_binary()), "-c", str(file), "--concurrency", "1", "-l", "error"]
        command += ["--admin-address-path", str(admin), "--disable-hot-restart"]
        with child(command, core=1):
            url = f"http://127.0.0.1:{port}"
            await_answer(url)
            counters = f"http://{admin.read_text(encoding='ascii').strip()}/stats"
            yield url, f"{counters}?filter=%5Ehttp.bench.downstream_rq_completed$&format=json"


def answered(counters: str) -> int:
    """How many requests Envoy has answered."""
    with urlopen(counters, timeout=10) as answer:
        (counter,) = json.load(answer)["stats"]
        return int(counter["value"])


@contextmanager
def known(*, stall_from: float = math.inf) -> Iterator[str]:
    """A server with lognormal latencies (p50 10 ms, p99 31 ms) that records what it took.

    `stall_from` seconds after the first request it answers nothing for a second.
    """
    with reserve_port(0) as held:
        port = held.getsockname()[1]
    arguments = ["bench.load.known", str(port), str(stall_from)]
    with child(python(*arguments), core=1):
        url = f"http://127.0.0.1:{port}"
        await_answer(f"{url}/truth")
        yield url


def truth(url: str) -> dict[str, float]:
    """The known server's own p50 and p99 in seconds since it was last asked."""
    with urlopen(f"{url}/truth", timeout=10) as answer:
        found: dict[str, float] = json.load(answer)
        return found


def await_answer(url: str) -> None:
    """Raises TimeoutError when nobody answers in time."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.02)
    raise TimeoutError(f"no answer from {url}")


def _configuration(port: int) -> dict[str, Any]:
    http = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{http}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"prefix": "/"},
                            "direct_response": {"status": 200, "body": {"inline_string": "ok"}},
                        }
                    ],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{http}.http.router.v3.Router"},
            }
        ],
    }
    name = "envoy.filters.network.http_connection_manager"
    listener = {
        "address": _address(port),
        "filter_chains": [{"filters": [{"name": name, "typed_config": manager}]}],
    }
    return {
        "admin": {"address": _address(0)},
        "static_resources": {"listeners": [listener]},
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
