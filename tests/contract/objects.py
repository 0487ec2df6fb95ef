"""Objects for the contract tests."""

from __future__ import annotations

from typing import Any

from tests.contract.given import NODE

Object = dict[str, Any]


def config_map(namespace: str, name: str = "one", **metadata: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "data": {"colour": "red"},
    }


def deployment(namespace: str, name: str = "web", replicas: int = 0) -> Object:
    """A demo service that ends half a second after it was told to."""
    labels = {"app": name}
    container = {
        "name": "web",
        "image": "theseus-ci/demo:v1",
        "ports": [{"containerPort": 8079}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8079}, "periodSeconds": 1},
        "env": [{"name": "DEMO_SHUTDOWN_SERVE", "value": "500ms"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], **({"nodeName": NODE} if NODE else {})},
            },
        },
    }


def virtual_service(namespace: str, name: str = "web", **spec: Any) -> Object:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "hosts": ["web.example.com"],
            "http": [{"route": [{"destination": {"host": name}}]}],
            **spec,
        },
    }


def destination_rule(namespace: str, *subsets: str) -> Object:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "host": "web",
            "subsets": [{"name": name, "labels": {"version": "v1"}} for name in subsets],
        },
    }


def lease(namespace: str, holder: str) -> Object:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "rollout", "namespace": namespace},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": 30,
            "renewTime": "2026-01-02T03:04:05.678901Z",
        },
    }


def grant(namespace: str, user: str, *rules: Object) -> list[Object]:
    """A Role of these rules, and its binding to a user."""
    group = "rbac.authorization.k8s.io"
    metadata = {"name": "granted", "namespace": namespace}
    return [
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": list(rules)},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "granted"},
            "subjects": [{"kind": "User", "apiGroup": group, "name": user}],
        },
    ]
