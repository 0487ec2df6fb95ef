"""Routes to compare translations by, written and generated, and the requests to send at them."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import strategies as st

Json = dict[str, Any]


class Request(NamedTuple):
    """One request; `path` may have a query."""

    path: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()


REQUESTS = [
    Request("/"),
    Request("/api"),
    Request("/api/"),
    Request("/api/v1/things?x=1&debug=true"),
    Request("/apis"),
    Request("/API/v1"),
    Request("/other%20path?x="),
    Request("/", headers=(("x-release", "candidate"),)),
    Request("/api", headers=(("x-release", "candidates"),)),
    Request("/api", headers=(("X-Release", "Candidate"),)),
    Request("/", headers=(("x-release", ""),)),
    Request("/", headers=(("cookie", "a=b; tester=alice; c=d"),)),
    Request("/", headers=(("cookie", "tester=bob2"),)),
    Request("/", headers=(("user-agent", "theseus/1.0"),)),
    Request("/api", "POST"),
    Request("/", "HEAD"),
    Request("/", "OPTIONS", (("origin", "https://a.example.com"),
                             ("access-control-request-method", "GET"))),
    Request("/", headers=(("origin", "https://a.example.com"),)),
]  # fmt: skip


def to(version: str, **more: Any) -> Json:
    return {"route": [{"destination": {"host": "web", "subset": version}}], **more}


def when(*matches: Json, version: str = "v2", **more: Any) -> list[Json]:
    """To `version` when one matches, else to v1."""
    return [to(version, match=list(matches), **more), to("v1")]


COOKIE = r"^(.*?;\s*)?(tester=(alice|bob))(;.*)?$"

WRITTEN: dict[str, list[Json]] = {
    "nothing else": [to("v1")],
    "the whole service": [{"route": [{"destination": {"host": "web"}, "weight": 100}],
                           "match": [{"uri": {"exact": "/none"}}]}, to("v2")],
    "no catch-all": [to("v2", match=[{"uri": {"exact": "/api"}}])],
    "uri exact": when({"uri": {"exact": "/api"}}),
    "uri prefix": when({"uri": {"prefix": "/api"}}),
    "uri prefix with slash": when({"uri": {"prefix": "/api/"}}),
    "uri regex": when({"uri": {"regex": "/api(/.*)?"}}),
    "uri ignoring case": when({"uri": {"prefix": "/api"}, "ignoreUriCase": True}),
    "uri exact ignoring case": when({"uri": {"exact": "/api/V1"}, "ignoreUriCase": True}),
    "header exact": when({"headers": {"x-release": {"exact": "candidate"}}}),
    "header prefix": when({"headers": {"x-release": {"prefix": "cand"}}}),
    "header regex": when({"headers": {"x-release": {"regex": "cand.*s"}}}),
    "header present": when({"headers": {"x-release": {}}}),
    "header absent": when({"withoutHeaders": {"x-release": {}}}),
    "header not exact": when({"withoutHeaders": {"x-release": {"exact": "candidate"}}}),
    "cookie": when({"headers": {"cookie": {"regex": COOKIE}}}),
    "user agent": when({"headers": {"user-agent": {"prefix": "theseus/"}}}),
    "method": when({"method": {"exact": "POST"}}),
    "query exact": when({"queryParams": {"debug": {"exact": "true"}}}),
    "query regex": when({"queryParams": {"x": {"regex": "[0-9]+"}}}),
    "query prefix": when({"queryParams": {"x": {"prefix": "1"}}}),
    "query present": when({"queryParams": {"x": {}}}),
    "scheme": when({"scheme": {"exact": "http"}}),
    "authority": when({"authority": {"prefix": "case-"}}),
    "several in one": when({"uri": {"prefix": "/api"}, "method": {"exact": "POST"}}),
    "any of several": when(
        {"uri": {"exact": "/api"}}, {"headers": {"x-release": {"exact": "candidate"}}}),
    "rewrite prefix": when({"uri": {"prefix": "/api"}}, rewrite={"uri": "/"}),
    "rewrite prefix deeper": when({"uri": {"prefix": "/api/"}}, rewrite={"uri": "/new/"}),
    "rewrite exact": when({"uri": {"exact": "/api"}}, rewrite={"uri": "/new"}),
    "rewrite authority": [to("v1", rewrite={"authority": "inner.example.com"})],
    "rewrite regex": [to("v1", rewrite={
        "uriRegexRewrite": {"match": "/api/v([0-9]+)", "rewrite": r"/version/\1"}})],
    "rewrite without match": [to("v1", rewrite={"uri": "/always"})],
    "redirect": [{"redirect": {"uri": "/new", "authority": "else.example.com"}}],
    "redirect code": [{"redirect": {"uri": "/new", "redirectCode": 308}}],
    "redirect scheme and port": [{"redirect": {"scheme": "https", "port": 8443}}],
    "direct response": [{"directResponse": {"status": 418, "body": {"string": "short"}}}],
    "direct response of some": [
        {"match": [{"uri": {"prefix": "/api"}}], "directResponse": {"status": 503}}, to("v1")],
    "headers of requests": [to("v1", headers={"request": {
        "set": {"x-release": "set", "x-new": "1"}, "add": {"x-more": "2"}, "remove": ["cookie"]}})],
    "headers of responses": [to("v1", headers={"response": {
        "set": {"x-theseus": "id 7"}, "add": {"x-more": "2"}, "remove": ["x-demo-version"]}})],
    "headers of a destination": [{"route": [{
        "destination": {"host": "web", "subset": "v2"},
        "headers": {"request": {"set": {"x-a": "b"}}, "response": {"set": {"x-marker": "v2"}}}}]}],
    "headers of both": [{"headers": {"response": {"set": {"x-outer": "1"}}}, "route": [{
        "destination": {"host": "web", "subset": "v2"},
        "headers": {"response": {"set": {"x-inner": "2"}}}}]}],
    "all weight on one": [{"route": [
        {"destination": {"host": "web", "subset": "v1"}, "weight": 0},
        {"destination": {"host": "web", "subset": "v2"}, "weight": 100}]}],
    "an unknown subset": [to("v3")],
    "an unknown host": [{"route": [{"destination": {"host": "nobody"}}]}],
    "a named port": [{"route": [
        {"destination": {"host": "web", "subset": "v1", "port": {"number": 80}}}]}],
    "an unknown port": [{"route": [{"destination": {"host": "web", "port": {"number": 81}}}]}],
    "a timeout": [to("v1", timeout="2s")],
    "retries": [to("v1", retries={"attempts": 3, "perTryTimeout": "1s", "retryOn": "5xx"})],
    "no retries": [to("v1", retries={"attempts": 0})],
    "abort": [to("v1", fault={"abort": {"httpStatus": 429, "percentage": {"value": 100}}})],
    "abort of none": [to("v1", fault={"abort": {"httpStatus": 429, "percentage": {"value": 0}}})],
    "cors": [to("v1", corsPolicy={
        "allowOrigins": [{"prefix": "https://a."}], "allowMethods": ["GET"],
        "allowHeaders": ["x-b"], "exposeHeaders": ["x-c"], "maxAge": "1h",
        "allowCredentials": True})],
    "mirror": [to("v1", mirror={"host": "web", "subset": "v2"}, mirrorPercentage={"value": 0})],
    "order decides": [
        to("v2", match=[{"uri": {"prefix": "/api/v1"}}]),
        to("v1", match=[{"uri": {"prefix": "/api"}}]),
        to("v2")],
    "a catch-all first": [to("v2"), to("v1", match=[{"uri": {"exact": "/api"}}])],
    "a catch-all prefix first": [
        to("v2", match=[{"uri": {"prefix": "/"}}]), to("v1", match=[{"uri": {"exact": "/api"}}])],
    "names": [to("v2", name="first", match=[{"name": "m", "uri": {"exact": "/api"}}]),
              to("v1", name="second")],
}  # fmt: skip

_TEXTS = st.sampled_from(["candidate", "Candidate", "cand", "1", "true", "alice"])
_PATHS = st.sampled_from(["/", "/api", "/api/", "/api/v1", "/API", "/other"])
_REGEXES = st.sampled_from([".*", "cand.*", "[a-z]+", "[0-9]+", "(candidate|alice)", ".+s"])


def _strings(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Json]:
    return st.one_of(
        st.builds(lambda text: {"exact": text}, texts),
        st.builds(lambda text: {"prefix": text}, texts),
        st.builds(lambda text: {"regex": text}, _REGEXES),
    )


def _matches() -> st.SearchStrategy[Json]:
    names = st.sampled_from(["x-release", "cookie", "user-agent"])
    uris = st.one_of(
        st.builds(lambda path: {"exact": path}, _PATHS),
        st.builds(lambda path: {"prefix": path}, _PATHS),
        st.sampled_from([{"regex": "/api.*"}, {"regex": "/[a-z]*"}]),
    )
    return (
        st.fixed_dictionaries(
            {},
            optional={
                "uri": uris,
                "ignoreUriCase": st.booleans(),
                "headers": st.dictionaries(names, _strings(_TEXTS), min_size=1, max_size=2),
                "withoutHeaders": st.dictionaries(names, _strings(_TEXTS), min_size=1, max_size=1),
                "method": st.sampled_from(
                    [{"exact": "GET"}, {"prefix": "P"}, {"regex": "GET|POST"}]
                ),
                "queryParams": st.dictionaries(
                    st.sampled_from(["x", "debug"]), _strings(_TEXTS), min_size=1, max_size=1
                ),
            },
        )
        .filter(bool)
        .filter(lambda match: match.keys() != {"ignoreUriCase"})
    )


def _acts() -> st.SearchStrategy[Json]:
    changes = st.fixed_dictionaries(
        {},
        optional={
            "set": st.just({"x-set": "1", "x-release": "set"}),
            "add": st.just({"x-added": "2"}),
            "remove": st.sampled_from([["cookie"], ["x-demo-version"], ["user-agent"]]),
        },
    )
    routed = st.builds(
        lambda version, more: to(version, **more),
        st.sampled_from(["v1", "v2"]),
        st.fixed_dictionaries(
            {},
            optional={
                "rewrite": st.sampled_from([{"uri": "/new"}, {"uri": "/"}, {"authority": "in.it"}]),
                "headers": st.fixed_dictionaries(
                    {}, optional={"request": changes, "response": changes}
                ),
                "timeout": st.sampled_from(["2s", "1500ms"]),
                "retries": st.sampled_from([{"attempts": 0}, {"attempts": 2, "retryOn": "5xx"}]),
            },
        ),
    )
    answered = st.sampled_from(
        [
            {"redirect": {"uri": "/new"}},
            {"redirect": {"authority": "else.example.com", "redirectCode": 307}},
            {"directResponse": {"status": 403, "body": {"string": "no"}}},
        ]
    )
    return st.one_of(routed, routed, answered)


def generated() -> st.SearchStrategy[list[Json]]:
    """Up to four entries; the last one may take everything."""
    entry = st.builds(
        lambda act, matches: {**act, "match": matches},
        _acts(),
        st.lists(_matches(), min_size=1, max_size=2),
    )
    last = st.lists(_acts(), max_size=1)
    return st.builds(
        lambda entries, end: [*entries, *end], st.lists(entry, max_size=3), last
    ).filter(bool)
