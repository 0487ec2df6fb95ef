"""Istio's and Kubernetes' objects as Python values, and hypothesis strategies for them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Object = dict[str, Any]
Key = tuple[str, str]
Collection = dict[Key, Object]


def named(name: str, spec: Object, namespace: str = "shop", **metadata: Any) -> Collection:
    """One object, keyed as in a snapshot."""
    described = {"name": name, "namespace": namespace, **metadata}
    return {(namespace, name): {"metadata": described, "spec": spec}}


def service(name: str, *ports: int, namespace: str = "shop", **spec: Any) -> Collection:
    listed = [{"name": f"http-{number}", "port": number} for number in ports or (80,)]
    return named(name, {"ports": listed, **spec}, namespace)


def pod(name: str, namespace: str = "shop", **labels: str) -> Collection:
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {(namespace, name): {"metadata": metadata}}


def endpoint_slice(
    owner: str, *addresses: str, port: int = 8080, port_name: str = "http-80", **endpoint: Any
) -> Collection:
    """A slice whose endpoints refer to pods named as their address."""
    endpoints = [
        {"addresses": [address], "targetRef": {"kind": "Pod", "name": address}, **endpoint}
        for address in addresses
    ]
    name = f"{owner}-{'-'.join(addresses)}"
    labels = {"kubernetes.io/service-name": owner}
    described = {"name": name, "namespace": "shop", "labels": labels}
    ports = [{"name": port_name, "port": port}]
    return {("shop", name): {"metadata": described, "ports": ports, "endpoints": endpoints}}


def gateway(
    name: str = "entry", *wanted: str, namespace: str = "shop", port: int = 80
) -> Collection:
    servers = [
        {"hosts": list(wanted) or ["*"], "port": {"number": port, "name": "h", "protocol": "HTTP"}}
    ]
    return named(name, {"selector": {"istio": "ingressgateway"}, "servers": servers}, namespace)


def virtual_service(
    name: str, *http: Object, namespace: str = "shop", created: str = "", **spec: Any
) -> Collection:
    content = {"hosts": [name], "http": list(http) or [{"route": [to(name)]}], **spec}
    return named(name, content, namespace, creationTimestamp=created)


def destination_rule(
    name: str, *subsets: str, namespace: str = "shop", created: str = "", **spec: Any
) -> Collection:
    listed = [{"name": subset, "labels": {"version": subset}} for subset in subsets]
    content = {"host": name, "subsets": listed, **spec}
    return named(name, content, namespace, creationTimestamp=created)


def to(host: str, subset: str | None = None, weight: int | None = None, **more: Any) -> Object:
    destination = {"host": host} if subset is None else {"host": host, "subset": subset}
    entry: Object = {"destination": destination, **more}
    return entry if weight is None else {**entry, "weight": weight}


# Strategies

NAMES = st.sampled_from(["web", "api", "cart"])
SUBSETS = st.sampled_from(["v1", "v2", "gone"])
PATHS = st.sampled_from(["/", "/a", "/a/b", "/A", "/static/"])
TOKENS = st.sampled_from(["x", "blue", "42", "a.b"])
REGEXES = st.sampled_from([".*", "a|b", "[0-9]+", "^(.*; )?user=ann$", "*", "/api/.*"])
DURATIONS = st.sampled_from(["1s", "250ms", "1.5s", "1m", "1h"])
HEADER_NAMES = st.sampled_from(["x-user", "cookie", "user-agent", "x-release", "Host"])


def _optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Object]:
    return st.fixed_dictionaries({}, optional=dict(fields))


def string_matches(values: st.SearchStrategy[str]) -> st.SearchStrategy[Object]:
    kinds = {"exact": values, "prefix": values, "regex": REGEXES}
    single = [st.fixed_dictionaries({kind: inner}) for kind, inner in kinds.items()]
    return st.one_of(st.just({}), *single)


MATCHES = _optional(
    name=TOKENS,
    uri=string_matches(PATHS),
    scheme=string_matches(st.sampled_from(["http", "https"])),
    method=string_matches(st.sampled_from(["GET", "PUT"])),
    authority=string_matches(TOKENS),
    headers=st.dictionaries(HEADER_NAMES, string_matches(TOKENS), max_size=2),
    withoutHeaders=st.dictionaries(HEADER_NAMES, string_matches(TOKENS), max_size=2),
    queryParams=st.dictionaries(TOKENS, string_matches(TOKENS), max_size=2),
    ignoreUriCase=st.booleans(),
    port=st.sampled_from([80, 9080]),
    gateways=st.lists(st.sampled_from(["mesh", "entry", "shop/entry"]), max_size=2),
    sourceLabels=st.dictionaries(st.just("app"), st.sampled_from(["caller", "other"]), max_size=1),
)
HEADERS = _optional(
    request=_optional(
        add=st.dictionaries(HEADER_NAMES, TOKENS, max_size=2),
        set=st.dictionaries(HEADER_NAMES, TOKENS, max_size=2),
        remove=st.lists(HEADER_NAMES, max_size=2),
    ),
    response=_optional(
        add=st.dictionaries(HEADER_NAMES, TOKENS, max_size=2),
        set=st.dictionaries(HEADER_NAMES, TOKENS, max_size=2),
        remove=st.lists(HEADER_NAMES, max_size=2),
    ),
)
DESTINATIONS = st.fixed_dictionaries(
    {"host": NAMES},
    optional={"subset": SUBSETS, "port": st.fixed_dictionaries({"number": st.just(80)})},
)
PERCENTAGES = st.fixed_dictionaries({"value": st.sampled_from([0, 0.01, 12.5, 100])})
ROUTES = st.lists(
    st.fixed_dictionaries(
        {"destination": DESTINATIONS, "weight": st.integers(1, 100)}, optional={"headers": HEADERS}
    ),
    min_size=1,
    max_size=3,
)
BESIDE = {
    "name": TOKENS,
    "match": st.lists(MATCHES, max_size=3),
    "timeout": DURATIONS,
    "headers": HEADERS,
    "retries": _optional(
        attempts=st.integers(0, 5),
        perTryTimeout=DURATIONS,
        retryOn=st.sampled_from(["5xx", "503,reset", "gateway-error", "429"]),
        retryIgnorePreviousHosts=st.booleans(),
    ),
    "rewrite": st.one_of(
        _optional(uri=PATHS, authority=TOKENS),
        st.just({"uriRegexRewrite": {"match": "^/(.*)$", "rewrite": r"/x/\1"}}),
    ),
    "fault": _optional(
        delay=st.fixed_dictionaries(
            {"fixedDelay": DURATIONS}, optional={"percentage": PERCENTAGES}
        ),
        abort=st.fixed_dictionaries(
            {"httpStatus": st.sampled_from([400, 503])}, optional={"percentage": PERCENTAGES}
        ),
    ),
    "mirror": DESTINATIONS,
    "mirrorPercentage": PERCENTAGES,
    "mirrors": st.lists(
        st.fixed_dictionaries({"destination": DESTINATIONS}, optional={"percentage": PERCENTAGES}),
        max_size=2,
    ),
    "corsPolicy": _optional(
        allowOrigins=st.lists(string_matches(TOKENS), max_size=2),
        allowMethods=st.lists(st.sampled_from(["GET", "PUT"]), max_size=2),
        maxAge=DURATIONS,
        allowCredentials=st.booleans(),
    ),
}
REDIRECTS = _optional(
    uri=PATHS,
    authority=TOKENS,
    scheme=st.sampled_from(["http", "https"]),
    redirectCode=st.sampled_from([301, 302, 303, 307, 308]),
).filter(bool)
HTTP = st.one_of(
    st.fixed_dictionaries({"route": ROUTES}, optional=BESIDE),
    st.fixed_dictionaries({"redirect": REDIRECTS}, optional={"match": BESIDE["match"]}),
    st.fixed_dictionaries(
        {"directResponse": st.fixed_dictionaries({"status": st.sampled_from([200, 503])})},
        optional={"match": BESIDE["match"], "headers": HEADERS},
    ),
)
VIRTUAL_SERVICES = st.fixed_dictionaries(
    {
        "hosts": st.lists(
            st.sampled_from(["web", "api", "*", "*.example.com", "a.example.com"]),
            min_size=1,
            max_size=2,
            unique=True,
        ),
        "http": st.lists(HTTP, max_size=3),
    },
    optional={"gateways": st.lists(st.sampled_from(["mesh", "entry"]), max_size=2, unique=True)},
)
POLICIES = _optional(
    loadBalancer=_optional(simple=st.sampled_from(["ROUND_ROBIN", "RANDOM", "LEAST_REQUEST"])),
    connectionPool=_optional(
        tcp=_optional(maxConnections=st.integers(0, 9), connectTimeout=DURATIONS),
        http=_optional(
            http1MaxPendingRequests=st.integers(0, 9),
            maxRequestsPerConnection=st.integers(0, 9),
            idleTimeout=DURATIONS,
        ),
    ),
    outlierDetection=_optional(
        consecutive5xxErrors=st.integers(0, 9),
        interval=DURATIONS,
        baseEjectionTime=DURATIONS,
        maxEjectionPercent=st.integers(0, 100),
        minHealthPercent=st.integers(0, 100),
    ),
    tls=st.just({"mode": "DISABLE"}),
)
DESTINATION_RULES = st.fixed_dictionaries(
    {"host": NAMES},
    optional={
        "trafficPolicy": POLICIES,
        "subsets": st.lists(
            st.fixed_dictionaries(
                {"name": SUBSETS, "labels": st.just({"version": "v1"})},
                optional={"trafficPolicy": POLICIES},
            ),
            max_size=2,
        ),
    },
)
FIELDS = [
    "hosts",
    "http",
    "match",
    "uri",
    "exact",
    "route",
    "destination",
    "host",
    "weight",
    "subsets",
    "name",
    "labels",
    "selector",
    "servers",
    "port",
    "number",
    "protocol",
]
VALUES = st.sampled_from(["", "x", "1s", "*", "mesh"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 700) | VALUES,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4)
    ),
    max_leaves=12,
)
