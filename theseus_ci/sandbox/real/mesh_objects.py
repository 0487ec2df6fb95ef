"""What the mesh of a real control plane needs in its API server, and what its Envoys start with."""

from __future__ import annotations

from typing import Any

from theseus_ci.sandbox.settings import LOOPBACK

Json = dict[str, Any]

SYSTEM = "istio-system"
NETWORKING = "networking.istio.io/v1"
GATEWAY_ADDRESS, CLIENT_ADDRESS = "127.0.0.40", "127.0.0.41"
"""By these Istio tells the two apart; nothing listens there."""
GATEWAY_LABELS = {"app": "istio-ingressgateway", "istio": "ingressgateway"}
CLIENT_LABELS = {"app": "theseus-sandbox-client"}
CLUSTER_DOMAIN = "svc.cluster.local"
ISTIO_VERSION = "1.30.3"
SERVER_CLUSTER = "xds-grpc"

MESH_CONFIG = """\
enableAutoMtls: false
outboundTrafficPolicy: {mode: REGISTRY_ONLY}
defaultProviders: {}
"""
"""No certificates: Envoy would wait for who issues them. Nothing leaves the machine."""


def objects(client_namespace: str, gateway_port: int, sidecar_port: int) -> list[tuple[str, Json]]:
    """(path of the collection, object) for each, in the order in which they are to be created."""
    core = f"/api/v1/namespaces/{SYSTEM}"
    return [
        ("/api/v1/namespaces", _object("v1", "Namespace", client_namespace)),
        (f"{core}/configmaps", {
            **_object("v1", "ConfigMap", "istio", SYSTEM), "data": {"mesh": MESH_CONFIG},
        }),
        (f"{core}/services", _gateway_service(gateway_port)),
        (f"/apis/{NETWORKING}/namespaces/{SYSTEM}/workloadentries", _gateway_workload()),
        (f"/apis/{NETWORKING}/namespaces/{SYSTEM}/gateways", _first_gateway()),
        (
            f"/apis/{NETWORKING}/namespaces/{client_namespace}/sidecars",
            _client_sidecar(client_namespace, sidecar_port),
        ),
    ]  # fmt: skip


def _gateway_service(port: int) -> Json:
    """Gateways say port 80; the Service tells Istio on which port of this machine that is."""
    return {
        **_object("v1", "Service", "istio-ingressgateway", SYSTEM),
        "spec": {
            "selector": GATEWAY_LABELS,
            "ports": [{"name": "http2", "port": 80, "targetPort": port}],
        },
    }


def _gateway_workload() -> Json:
    """Ties the gateway's Envoy to its Service: it is no pod of this cluster."""
    return {
        **_object(NETWORKING, "WorkloadEntry", "istio-ingressgateway", SYSTEM),
        "spec": {"address": GATEWAY_ADDRESS, "labels": GATEWAY_LABELS},
    }


def _first_gateway() -> Json:
    """Makes the gateway listen, and answer 404, before there is any Gateway of the user's."""
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}}
    return {
        **_object(NETWORKING, "Gateway", "sandbox", SYSTEM),
        "spec": {
            "selector": GATEWAY_LABELS,
            "servers": [{**server, "hosts": ["sandbox.invalid"]}],
        },
    }


def _client_sidecar(namespace: str, port: int) -> Json:
    """One listener for all services, since nothing redirects a client's connections here."""
    return {
        **_object(NETWORKING, "Sidecar", "sandbox-client", namespace),
        "spec": {
            "workloadSelector": {"labels": CLIENT_LABELS},
            "egress": [
                {
                    "port": {"number": port, "name": "http-proxy", "protocol": "HTTP_PROXY"},
                    "bind": LOOPBACK,
                    "captureMode": "NONE",
                    "hosts": ["*/*"],
                }
            ],
        },
    }


def _object(version: str, kind: str, name: str, namespace: str = "") -> Json:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def node(kind: str, client_namespace: str) -> tuple[str, Json]:
    """(id, metadata) under which a proxy asks Istio for its configuration."""
    if kind == "gateway":
        role, address, name, namespace = "router", GATEWAY_ADDRESS, "istio-ingressgateway", SYSTEM
        labels = GATEWAY_LABELS
    else:
        role, address, name, namespace = "sidecar", CLIENT_ADDRESS, "client", client_namespace
        labels = CLIENT_LABELS
    metadata: Json = {
        "CLUSTER_ID": "Kubernetes",
        "NAMESPACE": namespace,
        "LABELS": labels,
        "ISTIO_VERSION": ISTIO_VERSION,
        "INTERCEPTION_MODE": "NONE",
    }
    return f"{role}~{address}~{name}.{namespace}~{namespace}.{CLUSTER_DOMAIN}", metadata


def bootstrap(metadata: Json, server_port: int, admin_port: int) -> Json:
    """An Envoy's static configuration: where the rest comes from."""
    ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    http2 = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    server = {
        "name": SERVER_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2
        },
        "load_assignment": {
            "cluster_name": SERVER_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(server_port)}}]}],
        },
    }
    return {
        "node": {"metadata": metadata},
        "admin": {"address": _address(admin_port)},
        "dynamic_resources": {
            "lds_config": ads,
            "cds_config": ads,
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": SERVER_CLUSTER}}],
            },
        },
        "static_resources": {"clusters": [server]},
    }


def _address(port: int) -> Json:
    return {"socket_address": {"address": LOOPBACK, "port_value": port}}
