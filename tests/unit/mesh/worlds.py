"""Generated VirtualServices and requests, of the kinds people write."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.unit.mesh.interpreter import Request
from theseus_ci.config.types import Matcher, NamedMatch, StringMatch
from theseus_ci.mesh.routing import Routing, ServiceHost, Side

widely = settings(
    max_examples=40,
    deadline=None,  # no test may depend on how busy the machine is
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
"""How every property of this folder is tried."""

NAMESPACE = "shop"
REVIEWS = ServiceHost("reviews", NAMESPACE)
RATINGS = ServiceHost("ratings", NAMESPACE)
SECRET = "s3cret"

Object = dict[str, Any]

paths = st.sampled_from(["/", "/a", "/a/b", "/b", "/API/x", "/static/1.css"])
uri = st.one_of(
    st.fixed_dictionaries({"prefix": st.sampled_from(["/", "/a", "/b", "/API"])}),
    st.fixed_dictionaries({"exact": paths}),
    st.fixed_dictionaries({"regex": st.sampled_from(["/a.*", ".*", "/[ab]/?.*"])}),
)
condition: st.SearchStrategy[Object] = st.one_of(
    st.fixed_dictionaries({"exact": st.sampled_from(["alice", "bob", "candidate", "beta-1"])}),
    st.fixed_dictionaries({"prefix": st.sampled_from(["a", "beta-", "cand"])}),
    st.fixed_dictionaries({"regex": st.sampled_from(["alice|bob", "beta-[0-9]+", "*", ".*"])}),
    st.just({}),
)
user_headers = st.dictionaries(
    st.sampled_from(["end-user", "x-tenant", "X-Region"]), condition, min_size=1, max_size=2
)
match_block = st.fixed_dictionaries(
    {},
    optional={
        "uri": uri,
        "headers": user_headers,
        "withoutHeaders": user_headers,
        "method": st.fixed_dictionaries({"exact": st.sampled_from(["GET", "POST"])}),
        "authority": st.fixed_dictionaries({"prefix": st.just("shop.")}),
        "scheme": st.fixed_dictionaries({"exact": st.sampled_from(["http", "https"])}),
        "queryParams": st.fixed_dictionaries({"debug": st.just({"exact": "1"})}),
        "port": st.sampled_from([80, 443]),
        "gateways": st.lists(st.sampled_from(["mesh", "shop-gateway"]), min_size=1, max_size=2),
        "sourceLabels": st.just({"app": "front"}),
        "sourceNamespace": st.sampled_from([NAMESPACE, "other"]),
        "ignoreUriCase": st.booleans(),
        "name": st.sampled_from(["first", "second"]),
        "statPrefix": st.just("shop"),
        "futureCondition": st.just({"kept": [1, {"deep": True}]}),
    },
)
hosts_of_reviews = st.sampled_from(["reviews", "reviews.shop.svc.cluster.local"])
other_hosts = st.sampled_from(["details", "ratings", "reviews.other.svc.cluster.local", "x.com"])
port = st.just({"number": 9080})


def destinations(host: st.SearchStrategy[str], subset: st.SearchStrategy[str]) -> Any:
    return st.fixed_dictionaries({"host": host}, optional={"subset": subset, "port": port})


previous_destination = destinations(hosts_of_reviews, st.sampled_from(["v1", "stable"]))
other_destination = st.one_of(
    destinations(other_hosts, st.sampled_from(["v1", "blue"])),
    st.fixed_dictionaries({"host": hosts_of_reviews, "subset": st.sampled_from(["v0", "v9"])}),
)
destination_headers = st.just(
    {"request": {"set": {"x-hop": "1"}}, "response": {"set": {"x-from": "mesh"}}}
)


def weighted(destination: Any, weight: Any) -> Any:
    return st.fixed_dictionaries(
        {"destination": destination},
        optional={"weight": weight, "headers": destination_headers, "futureField": st.just("kept")},
    )


@st.composite
def routes(draw: st.DrawFn, *, headers: bool = True) -> list[Object]:
    """One to four destinations whose weights Istio would take."""
    kinds = draw(st.lists(st.booleans(), min_size=1, max_size=4))
    weight = st.sampled_from([0, 1, 5, 10, 33, 50, 67, 90, 100])
    made = [
        draw(weighted(previous_destination if previous else other_destination, weight))
        for previous in kinds
    ]
    if len(made) > 1 and not sum(one.get("weight", 0) for one in made):
        made[draw(st.integers(0, len(made) - 1))]["weight"] = 100
    if not headers:
        for one in made:
            one.pop("headers", None)
    return made


extras = st.fixed_dictionaries(
    {},
    optional={
        "timeout": st.just("5s"),
        "retries": st.just({"attempts": 3, "perTryTimeout": "2s"}),
        "rewrite": st.just({"uri": "/v2"}),
        "fault": st.just({"delay": {"percentage": {"value": 0.1}, "fixedDelay": "5s"}}),
        "mirror": st.just({"host": "reviews-shadow"}),
        "mirrorPercentage": st.just({"value": 1.5}),
        "corsPolicy": st.just({"allowOrigins": [{"exact": "https://shop.example.com"}]}),
        "headers": st.just({"response": {"set": {"x-served-by": "shop"}}}),
        "futureField": st.just({"nested": [1, 2.5, None, True]}),
    },
)
no_route: st.SearchStrategy[Object] = st.sampled_from(
    [
        {"redirect": {"uri": "/new", "redirectCode": 302}},
        {"directResponse": {"status": 503, "body": {"string": "closed"}}},
        {"delegate": {"name": "deep", "namespace": "other"}},
    ]
)


@st.composite
def entries(draw: st.DrawFn) -> Object:
    made: Object = {}
    if draw(st.booleans()):
        made["name"] = draw(st.sampled_from(["main", "api", "beta"]))
    if draw(st.integers(0, 3)):
        made["match"] = draw(st.lists(match_block, min_size=1, max_size=3))
    if draw(st.integers(0, 5)) == 0:
        return {**made, **draw(no_route)}
    return {**made, "route": draw(routes()), **draw(extras)}


@st.composite
def virtual_services(draw: st.DrawFn) -> Object:
    metadata: Object = {"name": "shop", "namespace": NAMESPACE, "resourceVersion": "17"}
    if draw(st.booleans()):
        metadata["annotations"] = draw(st.sampled_from([{}, {"team": "shop"}]))
    spec: Object = {"hosts": ["shop.example.com"], "futureSpec": {"kept": 1}}
    if draw(st.booleans()):
        spec["gateways"] = ["shop-gateway", "mesh"]
    spec["http"] = draw(st.lists(entries(), min_size=1, max_size=5))
    if draw(st.integers(0, 3)) == 0:
        spec["tcp"] = [{"match": [{"port": 3306}], "route": draw(routes(headers=False))}]
    if draw(st.integers(0, 3)) == 0:
        sni = {"port": 443, "sniHosts": ["shop.example.com"]}
        spec["tls"] = [{"match": [sni], "route": draw(routes(headers=False))}]
    made = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": metadata,
        "spec": spec,
    }
    return copy.deepcopy(made)  # no example shares a part with another


PREVIOUS_SIDES = [
    Side("v1", {"version": "v1"}, owned=False),
    Side("theseus-v1-aaaaaaaa", {"version": "v1"}, owned=True),
]
CANDIDATE_SIDES = [
    Side("v2", {"version": "v2"}, owned=False),
    Side("theseus-v2-bbbbbbbb", {"version": "v2"}, owned=True),
]
MATCHERS = (
    Matcher(header=NamedMatch(name="X-Release", exact="candidate")),
    Matcher(header=NamedMatch(name="x-ring", prefix="inner"), user_agent=StringMatch(prefix="t/")),
    Matcher(cookie=NamedMatch(name="tester", regex="^(alice|bob)$")),
)


@st.composite
def routings(draw: st.DrawFn, service: ServiceHost = REVIEWS, *, live: bool = False) -> Routing:
    """Any state of a rollout; `live` for those in which both versions are routed."""
    candidate_routed = live or draw(st.integers(0, 3)) > 0
    previous_routed = live or not candidate_routed or draw(st.integers(0, 3)) > 0
    return Routing(
        service=service,
        rollout=f"rollout-{service.name}",
        edit=draw(st.integers(1, 99)),
        previous=draw(st.sampled_from(PREVIOUS_SIDES)),
        candidate=draw(st.sampled_from(CANDIDATE_SIDES)),
        weight=draw(st.sampled_from([0, 1, 10, 33, 50, 99, 100])) if candidate_routed else 0,
        previous_routed=previous_routed,
        candidate_routed=candidate_routed,
        matchers=draw(st.sampled_from([(), MATCHERS, MATCHERS[:1]])),
        secret=f"{SECRET}-{service.name}",
        replaces=draw(st.sampled_from([frozenset[str](), frozenset({"stable"})])),
    )


@st.composite
def courses(draw: st.DrawFn, service: ServiceHost = REVIEWS) -> list[Routing]:
    """A rollout: some routings of the same sides."""
    first = draw(routings(service))
    later = draw(st.lists(routings(service), max_size=4))
    return [
        first,
        *(
            replace(
                one,
                previous=first.previous,
                candidate=first.candidate,
                replaces=first.replaces,
            )
            for one in later
        ),
    ]


requests = st.builds(
    Request,
    path=paths,
    method=st.sampled_from(["GET", "POST"]),
    authority=st.sampled_from(["shop.example.com", "other.example.com"]),
    scheme=st.sampled_from(["http", "https"]),
    headers=st.dictionaries(
        st.sampled_from(["end-user", "x-tenant", "x-region", "accept"]),
        st.sampled_from(["alice", "bob", "beta-1", "candidate", "nobody"]),
        max_size=3,
    ),
    query=st.sampled_from([{}, {"debug": "1"}]),
    port=st.sampled_from([80, 443]),
    gateway=st.sampled_from(["mesh", "shop-gateway"]),
    source_labels=st.sampled_from([{}, {"app": "front"}]),
    source_namespace=st.sampled_from([NAMESPACE, "other"]),
)
