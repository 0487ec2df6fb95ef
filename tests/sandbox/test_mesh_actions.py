"""What real Envoys do with a request and its answer beside sending it somewhere."""

from __future__ import annotations

import base64
import math
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest

from tests.sandbox.mesh_traffic import eventually
from tests.sandbox.mesh_world import (
    ApiServer,
    Mesh,
    World,
    answered_by,
    make_shop,
    own_namespace,
    route,
    shared_mesh,
    to,
)


@pytest.fixture(scope="module")
def mesh(apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with shared_mesh(apiserver, tmp_path_factory.mktemp("mesh") / "mesh") as running:
        yield running


@pytest.fixture
def world(apiserver: ApiServer, mesh: Mesh) -> Iterator[World]:
    with own_namespace(apiserver, mesh) as here:
        yield here


@pytest.fixture
def shop(world: World) -> World:
    return make_shop(world)


# What a route does beside sending


def test_headers_are_added_set_and_removed(shop: World) -> None:
    headers = {
        "request": {
            "add": {"x-added": "route"},
            "set": {"x-set": "route", "x-user": "%REQ(x-given)%"},
            "remove": ["x-unwanted"],
        },
        "response": {
            "add": {"x-release": "42"},
            "set": {"x-backend": "hidden"},
            "remove": ["x-envoy-upstream-service-time"],
        },
    }
    own = {"request": {"set": {"x-subset": "v1"}}, "response": {"set": {"x-version": "one"}}}
    other = {"response": {"set": {"x-version": "two"}}}
    shop.routes(
        "web",
        route(
            to("web", "v1", 50, headers=own), to("web", "v2", 50, headers=other), headers=headers
        ),
    )
    shop.routes("single", route(to("web", "v1", headers=own), headers=headers))
    eventually(lambda: shop.gateway.get(shop.host("single")).headers.get("x-release") == "42")
    seen = set()
    for _ in range(40):
        sent = {"x_set": "client", "x_unwanted": "1", "x_added": "client", "x_given": "me"}
        found = shop.gateway.get(shop.host("web"), **sent)
        got = found.told["headers"]
        assert got["x-set"] == "route"
        assert got["x-user"] == "me"
        assert "x-unwanted" not in got
        assert got["x-added"] in {"route", "client"}  # both arrive, as two lines
        assert (found.headers["x-release"], found.headers["x-backend"]) == ("42", "hidden")
        assert "x-envoy-upstream-service-time" not in found.headers
        version = found.headers["x-version"]
        assert found.told["backend"] == {"one": "web-v1", "two": "web-v2"}[version]
        assert got.get("x-subset") == {"one": "v1", "two": None}[version]
        seen.add(version)
    assert seen == {"one", "two"}
    single = shop.gateway.get(shop.host("single"))
    assert single.headers["x-version"] == "one"
    assert single.told["headers"]["x-subset"] == "v1"


def test_uri_and_authority_are_rewritten(shop: World) -> None:
    v1 = to("web", "v1")
    regex = {"match": "^/regex/(.*)/(.*)$", "rewrite": r"/\2/\1"}
    shop.routes(
        "web",
        route(v1, match=[{"uri": {"prefix": "/old/"}}], rewrite={"uri": "/new/"}),
        route(v1, match=[{"uri": {"exact": "/one"}}], rewrite={"uri": "/two"}),
        route(v1, match=[{"uri": {"prefix": "/regex"}}], rewrite={"uriRegexRewrite": regex}),
        route(v1, match=[{"uri": {"exact": "/host"}}], rewrite={"authority": "inner.example"}),
        route(
            v1,
            match=[{"uri": {"exact": "/set-host"}}],
            headers={"request": {"set": {"Host": "set.example"}}},
        ),
    )
    host = shop.host("web")
    eventually(lambda: shop.gateway.get(host, "/old/a?b=c").told["path"] == "/new/a?b=c")
    assert shop.gateway.get(host, "/one?q").told["path"] == "/two?q"
    assert shop.gateway.get(host, "/regex/a/b").told["path"] == "/b/a"
    assert shop.gateway.get(host, "/host").told["headers"]["host"] == "inner.example"
    assert shop.gateway.get(host, "/set-host").told["headers"]["host"] == "set.example"
    assert shop.gateway.get(host, "/old/a").told["headers"]["host"] == host


def test_redirects_and_direct_responses(shop: World) -> None:
    encoded = base64.b64encode(b"\x00bytes").decode()
    shop.routes(
        "web",
        {
            "match": [{"uri": {"exact": "/moved"}}],
            "redirect": {"uri": "/here", "authority": "other.example", "redirectCode": 308},
        },
        {"match": [{"uri": {"exact": "/port"}}], "redirect": {"port": 8443, "scheme": "https"}},
        {
            "match": [{"uri": {"exact": "/text"}}],
            "directResponse": {"status": 418, "body": {"string": "short and stout"}},
            "headers": {"response": {"set": {"x-pot": "tea"}}},
        },
        {
            "match": [{"uri": {"exact": "/bytes"}}],
            "directResponse": {"status": 200, "body": {"bytes": encoded}},
        },
        {"directResponse": {"status": 204}},
    )
    host = shop.host("web")
    eventually(lambda: shop.gateway.get(host).status == 204)
    moved = shop.gateway.get(host, "/moved")
    assert (moved.status, moved.headers["location"]) == (308, "http://other.example/here")
    port = shop.gateway.get(host, "/port")
    assert (port.status, port.headers["location"]) == (301, f"https://{host}:8443/port")
    text = shop.gateway.get(host, "/text")
    assert (text.status, text.content, text.headers["x-pot"]) == (418, b"short and stout", "tea")
    assert shop.gateway.get(host, "/bytes").content == b"\x00bytes"


def test_timeouts_and_retries(shop: World) -> None:
    v1, once = to("web", "v1"), {"x_want_status": "500", "x_want_once": "web-v1"}
    shop.routes(
        "web",
        route(v1, match=[{"uri": {"prefix": "/timeout"}}], timeout="0.2s"),
        route(v1, match=[{"uri": {"prefix": "/retry"}}], retries={"attempts": 1, "retryOn": "5xx"}),
        route(v1, match=[{"uri": {"prefix": "/codes"}}], retries={"attempts": 1, "retryOn": "500"}),
        route(
            v1,
            match=[{"uri": {"prefix": "/slow"}}],
            retries={"attempts": 1, "perTryTimeout": "200ms", "retryOn": "5xx"},
        ),
        route(v1),
    )
    host = shop.host("web")
    seen = shop.backends["web-v1"].seen
    eventually(lambda: answered_by(shop, "web", "/ready") == "web-v1")
    assert shop.gateway.get(host, "/timeout", x_want_seconds="5").status == 504
    assert shop.gateway.get(host, "/retry/once", **once).status == 200
    assert shop.gateway.get(host, "/codes/once", **once).status == 200
    assert shop.gateway.get(host, "/retry/always", x_want_status="503").status == 503
    assert seen["/retry/always"] == 2
    assert shop.gateway.get(host, "/slow/always", x_want_seconds="1").status == 504
    assert seen["/slow/always"] == 2
    assert shop.gateway.get(host, "/default/500", x_want_status="500").status == 500
    assert seen["/default/500"] == 1
    assert shop.gateway.get(host, "/default/slow", x_want_seconds="0.5").status == 200


def test_a_refused_connection_is_retried_on_another_endpoint(world: World) -> None:
    """Istio's default policy: this is what hides a pod that went away without notice."""
    world.open_gateway()
    world.service("web", "v1", "v2")
    world.routes("web", route(to("web")))
    world.routes("never", route(to("web"), retries={"attempts": 0}))
    eventually(lambda: {answered_by(world, "web") for _ in range(20)} == {"web-v1", "web-v2"})
    eventually(lambda: answered_by(world, "never") is not None)
    world.backends["web-v1"].close()
    for _ in range(20):
        assert answered_by(world, "web") == "web-v2"
    statuses = {world.gateway.get(world.host("never")).status for _ in range(40)}
    assert statuses == {200, 503}


def test_faults_are_injected(shop: World) -> None:
    v1, all_of_them = to("web", "v1"), {"value": 100}
    abort = {"abort": {"httpStatus": 418, "percentage": all_of_them}}
    half = {"abort": {"httpStatus": 418, "percentage": {"value": 50}}}
    delay = {"delay": {"fixedDelay": "0.3s", "percentage": all_of_them}}
    shop.routes(
        "web",
        route(v1, match=[{"uri": {"exact": "/abort"}}], fault=abort),
        route(v1, match=[{"uri": {"exact": "/half"}}], fault=half),
        route(v1, match=[{"uri": {"exact": "/delay"}}], fault=delay, timeout="60s"),
        route(v1),
    )
    host = shop.host("web")
    eventually(lambda: shop.gateway.get(host, "/abort").status == 418)
    total = 600
    counts = Counter(shop.gateway.get(host, "/half").status for _ in range(total))
    assert abs(counts[418] - total / 2) < 6 * math.sqrt(total / 4), counts
    begun = time.monotonic()
    assert shop.gateway.get(host, "/delay").status == 200
    assert time.monotonic() - begun >= 0.3


def _mirrored(seen: Counter[str], path: str) -> bool:
    return seen[path] == 1


def test_requests_are_mirrored(shop: World) -> None:
    v1, v2 = to("web", "v1"), to("web", "v2")["destination"]
    shop.routes(
        "web",
        route(v1, match=[{"uri": {"prefix": "/one"}}], mirror=v2),
        route(v1, match=[{"uri": {"prefix": "/many"}}], mirrors=[{"destination": v2}]),
        route(v1, match=[{"uri": {"prefix": "/none"}}], mirror=v2, mirrorPercentage={"value": 0}),
    )
    seen = shop.backends["web-v2"].seen
    eventually(lambda: answered_by(shop, "web", "/none") == "web-v1")
    for path in ("/one", "/many"):
        assert answered_by(shop, "web", path) == "web-v1"
        eventually(partial(_mirrored, seen, path))
    assert seen["/none"] == 0


def test_cross_origin_requests_are_answered(shop: World) -> None:
    policy = {
        "allowOrigins": [{"exact": "https://shop.example"}],
        "allowMethods": ["GET", "PUT"],
        "allowHeaders": ["x-a"],
        "maxAge": "24h",
        "allowCredentials": True,
    }
    shop.routes("web", route(to("web", "v1"), corsPolicy=policy))
    host = shop.host("web")
    eventually(lambda: answered_by(shop, "web") == "web-v1")
    asked = {"origin": "https://shop.example", "access_control_request_method": "PUT"}
    found = shop.gateway.get(host, "/preflight", method="OPTIONS", **asked)
    assert (found.status, found.content) == (200, b"")
    assert found.headers["access-control-allow-methods"] == "GET,PUT"
    assert found.headers["access-control-max-age"] == "86400"
    assert shop.backends["web-v1"].seen["/preflight"] == 0
    plain = shop.gateway.get(host, origin="https://shop.example")
    assert plain.headers["access-control-allow-origin"] == "https://shop.example"


def test_outliers_are_ejected_and_connections_limited(shop: World) -> None:
    outliers = {"consecutive5xxErrors": 3, "baseEjectionTime": "1h", "maxEjectionPercent": 100}
    pool = {"http": {"maxRequestsPerConnection": 1}, "tcp": {"connectTimeout": "2s"}}
    policy = {"outlierDetection": outliers, "connectionPool": pool, "tls": {"mode": "DISABLE"}}
    subsets = [{"name": "v1", "labels": {"version": "v1"}, "trafficPolicy": policy}]
    shop.apply("DestinationRule", "web", {"spec": {"host": "web", "subsets": subsets}})
    shop.routes("web", route(to("web", "v1")))
    host = shop.host("web")
    eventually(lambda: answered_by(shop, "web") == "web-v1")
    assert shop.gateway.get(host).status == 200
    for _ in range(3):
        assert shop.gateway.get(host, x_want_status="500").status == 500
    eventually(lambda: shop.gateway.get(host).content == b"no healthy upstream")
