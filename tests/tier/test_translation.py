"""The sandbox's translation against Istio's own: the same objects, requests, and answers.

Each case is a VirtualService of its own host in both meshes, its first route a marker that tells
when the mesh has taken it. What is compared: who answered, the status, the headers that the client
sees, and path, query and headers as the application sees them.
"""

from __future__ import annotations

import copy
import itertools
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings

from tests.e2e import app
from tests.e2e.api import Api
from tests.e2e.world import until
from tests.tier import routes
from tests.tier.servers import REAL, running
from theseus_ci.sandbox.cluster import Sandbox

pytestmark = REAL
Json = dict[str, Any]
OF_EACH_REQUEST = {
    "date",
    "x-request-id",
    "x-envoy-upstream-service-time",
    "x-demo-pod",
    "content-length",
}
"""Response headers that are another in each answer."""
SEEN_OF_EACH_REQUEST = {"x-request-id", "host", "x-envoy-decorator-operation"}
"""Request headers that are compared elsewhere or not at all: Istio names the operation for tracing,
which the sandbox does not have."""
PROXIES = ("gateway", "sidecar")
_numbers = itertools.count()


@dataclass(frozen=True)
class Side:
    """One of the two meshes."""

    name: str
    sandbox: Sandbox
    api: Api
    namespace: str

    def url(self, proxy: str) -> str:
        return self.sandbox.gateway if proxy == "gateway" else self.sandbox.sidecar


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Side]]:
    """Both meshes, with two versions of a service in each."""
    namespace = f"translate-{secrets.token_hex(3)}"
    with (
        running("sandbox", tmp_path_factory.mktemp("ours") / "sandbox") as ours,
        running("real", tmp_path_factory.mktemp("real") / "sandbox") as real,
    ):
        made = []
        for name, sandbox in (("sandbox", ours), ("istio", real)):
            api = Api(sandbox.kubeconfig, tmp_path_factory.mktemp(name))
            side = Side(name, sandbox, api, namespace)
            _furnish(side)
            made.append(side)
        for side in made:
            _await_pods(side)
        yield made
        for side in made:
            side.api.close()


def _furnish(side: Side) -> None:
    side.api.create("Namespace", "", {"metadata": {"name": side.namespace}})
    subsets = {"v1": {"version": "v1"}, "v2": {"version": "v2"}}
    for obj in (
        app.service(),
        app.gateway("*"),
        app.destination_rule(subsets),
        app.deployment("web-v1", "v1", replicas=1),
        app.deployment("web-v2", "v2", replicas=1),
    ):
        side.api.apply(obj, side.namespace)


def _await_pods(side: Side) -> None:
    def ready() -> bool:
        return all(
            (obj.get("status") or {}).get("availableReplicas") == 1
            for obj in side.api.list("Deployment", side.namespace)
        )

    until(ready, f"pods of {side.name}")


def install(sides: list[Side], http: list[Json]) -> str:
    """Give both meshes these routes under names of their own; returns it once both know them."""
    name = f"case-{next(_numbers)}"
    marker = {
        "match": [{"uri": {"exact": "/--marker"}}],
        "route": [{"destination": {"host": "web", "subset": "v1"}}],
        "headers": {"response": {"set": {"x-case": name}}},
    }
    obj = {
        "apiVersion": app.ISTIO,
        "kind": "VirtualService",
        "metadata": {"name": name},
        "spec": {
            "hosts": [host_of("gateway", name), name],
            "gateways": ["front", "mesh"],
            "http": [marker, *http],
        },
    }
    service = app.service(name)
    service["spec"]["selector"] = {"app": "web"}
    for side in sides:
        side.api.apply(service, side.namespace)
        side.api.apply(copy.deepcopy(obj), side.namespace)
    for side, proxy in itertools.product(sides, PROXIES):
        what = f"the {proxy} of {side.name} knows {json.dumps(http)}"
        until(partial(_knows, side, proxy, name), what)
    return name


def _knows(side: Side, proxy: str, name: str) -> bool:
    return _ask(side, proxy, name, "GET", "/--marker", {}).headers.get("x-case") == name


def host_of(proxy: str, name: str, namespace: str = "") -> str:
    """A sidecar knows services; other hosts it has on port 80 alone, which it cannot open here."""
    return f"{name}.example.com" if proxy == "gateway" else f"{name}.{namespace}"


def remove(sides: list[Side], name: str) -> None:
    for side in sides:
        side.api.delete("VirtualService", side.namespace, name)
        side.api.delete("Service", side.namespace, name)


def _ask(
    side: Side, proxy: str, name: str, method: str, path: str, headers: dict[str, str]
) -> requests.Response:
    return requests.request(
        method,
        side.url(proxy) + path,
        headers={
            "Host": host_of(proxy, name, side.namespace),
            "User-Agent": "differential",
            **headers,
        },
        allow_redirects=False,
        timeout=20,
    )


def answer(side: Side, proxy: str, name: str, request: routes.Request) -> Json:
    """What one request shows of the routes."""
    got = _ask(side, proxy, name, request.method, request.path, dict(request.headers))
    shown: Json = {
        "status": got.status_code,
        "headers": {
            name.lower(): value.replace(side.namespace, "NAMESPACE")
            for name, value in got.headers.items()
            if name.lower() not in OF_EACH_REQUEST
        },
    }
    if got.headers.get("content-type") == "application/json" and request.method != "HEAD":
        seen = got.json()
        shown["seen"] = {
            "path": seen["path"],
            "query": seen["query"],
            "method": seen["method"],
            "headers": {
                name: value
                for name, value in seen["headers"].items()
                if name not in SEEN_OF_EACH_REQUEST
            },
            "host": seen["headers"]["host"].replace(side.namespace, "NAMESPACE"),
        }
    elif request.method != "HEAD":
        shown["body"] = got.text
    return shown


def flat(shown: Json, prefix: str = "") -> dict[str, object]:
    """Nested dictionaries as one, keys joined by a space."""
    result: dict[str, object] = {}
    for key, value in shown.items():
        if isinstance(value, dict):
            result.update(flat(value, f"{prefix}{key} "))
        else:
            result[prefix + key] = value
    return result


def compare(sides: list[Side], http: list[Json]) -> None:
    name = install(sides, http)
    try:
        for proxy in PROXIES:
            for request in routes.REQUESTS:
                ours, istio = (flat(answer(side, proxy, name, request)) for side in sides)
                differences = {
                    key: (ours.get(key), istio.get(key))
                    for key in sorted(ours.keys() | istio.keys())
                    if ours.get(key) != istio.get(key)
                }
                assert not differences, f"{proxy} {request}: (sandbox, Istio): {differences}"
    finally:
        remove(sides, name)


@pytest.mark.parametrize("name", routes.WRITTEN)
def test_written_routes_answer_alike(sides: list[Side], name: str) -> None:
    compare(sides, routes.WRITTEN[name])


@settings(
    max_examples=15,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(http=routes.generated())
def test_generated_routes_answer_alike(sides: list[Side], http: list[Json]) -> None:
    compare(sides, http)


def test_a_split_goes_to_both(sides: list[Side]) -> None:
    """Not compared answer by answer: each mesh throws its own dice."""
    split = [
        {"destination": {"host": "web", "subset": version}, "weight": weight}
        for version, weight in (("v1", 70), ("v2", 30))
    ]
    name = install(sides, [{"route": split}])
    for side in sides:
        versions = [
            _ask(side, "gateway", name, "GET", "/", {}).headers["x-demo-version"]
            for _ in range(200)
        ]
        assert 20 <= versions.count("v2") <= 100, side.name
    remove(sides, name)
