"""What the API server holds, in the form the translation asks for.

A snapshot is built from plain Kubernetes objects and never changed. Only objects that passed
`fields.refusals` may be in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from theseus_ci.sandbox.mesh.translate import hosts
from theseus_ci.sandbox.mesh.translate.delegates import merge_delegates

Object = dict[str, Any]
Key = tuple[str, str]
Collection = Mapping[Key, Object]

ROOT_NAMESPACE = "istio-system"
HTTP2_PROTOCOLS = frozenset({"http2", "grpc", "grpc-web"})
HTTP_PROTOCOLS = HTTP2_PROTOCOLS | {"http", "http_proxy"}
OTHER_PROTOCOLS = frozenset({"tcp", "udp", "https", "tls", "mongo", "redis", "mysql"})
PORTS_NEVER_HTTP = frozenset({25, 53, 3306, 27017})
"""Ports whose protocol Istio does not guess from the first bytes: there the server speaks first."""


@dataclass(frozen=True)
class Proxy:
    """For whom to translate. `labels` are its pod's: Gateways select by them, routes match them."""

    kind: Literal["gateway", "sidecar"]
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)


GATEWAY_PROXY = Proxy(
    "gateway", ROOT_NAMESPACE, {"app": "istio-ingressgateway", "istio": "ingressgateway"}
)


@dataclass(frozen=True)
class Port:
    number: int
    name: str
    protocol: str
    """In Istio's words: http, http2, grpc, tcp…; "" when it is to be guessed, which may be HTTP."""

    @property
    def http(self) -> bool:
        return self.protocol in HTTP_PROTOCOLS or not self.protocol

    @property
    def http2(self) -> bool:
        return self.protocol in HTTP2_PROTOCOLS


@dataclass(frozen=True)
class Service:
    namespace: str
    name: str
    ports: tuple[Port, ...]
    addresses: tuple[str, ...]

    @cached_property
    def host(self) -> str:
        return hosts.service_host(self.name, self.namespace)


@dataclass(frozen=True)
class Endpoint:
    """A ready address of a service's port, as the API has it, with its pod's labels."""

    address: str
    port: int
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Snapshot:
    services: Collection = field(default_factory=dict)
    endpoint_slices: Collection = field(default_factory=dict)
    pods: Collection = field(default_factory=dict)
    virtual_services: Collection = field(default_factory=dict)
    destination_rules: Collection = field(default_factory=dict)
    gateways: Collection = field(default_factory=dict)

    @cached_property
    def registry(self) -> dict[str, Service]:
        """Services by their full host name, in order of that name."""
        found = (_service(obj) for obj in self.services.values())
        return {each.host: each for each in sorted(found, key=lambda each: each.host)}

    @cached_property
    def routing(self) -> dict[Key, Object]:
        """The VirtualServices that have hosts, with what they delegate in place."""
        return merge_delegates(self.virtual_services)

    @cached_property
    def endpoints(self) -> dict[tuple[str, str], list[Endpoint]]:
        """(service host, port name) to its ready endpoints, each once, in order of address."""
        found: dict[tuple[str, str], dict[tuple[str, int], Endpoint]] = {}
        for (namespace, _), piece in self.endpoint_slices.items():
            labels = piece["metadata"].get("labels") or {}
            owner = labels.get("kubernetes.io/service-name")
            if not owner:
                continue
            host = hosts.service_host(owner, namespace)
            for port in piece.get("ports") or []:
                if port.get("port") is None or port.get("protocol", "TCP") != "TCP":
                    continue
                known = found.setdefault((host, port.get("name") or ""), {})
                for each in self._ready(piece, namespace, port["port"]):
                    known[each.address, each.port] = each
        return {key: [known[each] for each in sorted(known)] for key, known in found.items()}

    def visible(self, collection: Collection, namespace: str) -> list[Object]:
        """The objects exported to `namespace`, oldest first; its own private ones before others."""
        private, exported, public = [], [], []
        for (owner, _), obj in sorted(collection.items(), key=_age):
            targets = (obj.get("spec") or {}).get("exportTo") or ["*"]
            if "*" in targets:
                public.append(obj)
            elif owner == namespace and ("." in targets or namespace in targets):
                private.append(obj)
            elif namespace in targets:
                exported.append(obj)
        return private + exported + public

    def _ready(self, piece: Object, namespace: str, port: int) -> Iterable[Endpoint]:
        for each in piece.get("endpoints") or []:
            if (each.get("conditions") or {}).get("ready") is False:
                continue
            reference = {"namespace": namespace, "name": "", **(each.get("targetRef") or {})}
            pod = self.pods.get((reference["namespace"], reference["name"]))
            labels = (pod["metadata"].get("labels") or {}) if pod else {}
            for address in each.get("addresses") or []:
                yield Endpoint(address, port, labels)


def _age(item: tuple[Key, Object]) -> tuple[str, str, str]:
    (namespace, name), obj = item
    return obj["metadata"].get("creationTimestamp") or "", name, namespace


def _service(obj: Object) -> Service:
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    given = spec.get("clusterIPs") or [spec.get("clusterIP")]
    ports = [
        Port(each["port"], each.get("name") or "", _protocol(each))
        for each in spec.get("ports") or []
        if each.get("protocol", "TCP") in ("TCP", "UDP")
    ]
    external = spec.get("type") == "ExternalName"
    return Service(
        metadata["namespace"],
        metadata["name"],
        () if external else tuple(ports),
        tuple(address for address in given if address and address != "None"),
    )


def _protocol(port: Object) -> str:
    """What is spoken on a service's port: from appProtocol, else from the port's name."""
    if port.get("protocol") == "UDP":
        return "udp"
    application = port.get("appProtocol")
    known = {"kubernetes.io/h2c": "http2", "kubernetes.io/ws": "http", "kubernetes.io/wss": "https"}
    if application in known:
        return known[application]
    name = str(application if application is not None else port.get("name") or "").lower()
    if name.startswith("grpc-web"):
        return "grpc-web"
    prefix = name.partition("-")[0]
    if prefix in HTTP_PROTOCOLS | OTHER_PROTOCOLS:
        return prefix
    return "tcp" if port["port"] in PORTS_NEVER_HTTP else ""
