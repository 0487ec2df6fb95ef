"""The application that tests release: its manifests, theseus.yaml and a short flow."""

from __future__ import annotations

import copy
from typing import Any

Object = dict[str, Any]
ISTIO = "networking.istio.io/v1"
PORT = 8079
QUICK = {"DEMO_SHUTDOWN_SERVE": "300ms"}


def service(name: str = "web", **spec: Any) -> Object:
    ports = [{"name": "http", "port": 80, "targetPort": PORT}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": ports, **spec},
    }


def gateway(host: str) -> Object:
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [host]}
    return {
        "apiVersion": ISTIO,
        "kind": "Gateway",
        "metadata": {"name": "front"},
        "spec": {"selector": {"istio": "ingressgateway"}, "servers": [server]},
    }


def virtual_service(host: str, *, http: list[Object] | None = None) -> Object:
    entries = http or [{"route": [{"destination": {"host": "web"}}]}]
    return {
        "apiVersion": ISTIO,
        "kind": "VirtualService",
        "metadata": {"name": "web"},
        "spec": {"hosts": [host], "gateways": ["front"], "http": entries},
    }


def deployment(
    name: str,
    version: str,
    *,
    replicas: int | None = 2,
    labels: dict[str, str] | None = None,
    env: dict[str, str] | None = None,
    image: str = "",
    grace: int = 5,
) -> Object:
    """A demo service; `env` stages its faults. Labels default to app and version."""
    chosen = {"app": "web", "version": version} if labels is None else labels
    container = {
        "name": "web",
        "image": image or f"theseus-ci/demo:{version}",
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": PORT}, "periodSeconds": 1},
        "env": [{"name": key, "value": value} for key, value in {**QUICK, **(env or {})}.items()],
        "resources": {"requests": {"cpu": "100m"}},  # an autoscaler's utilization is a share of it
    }
    spec: Object = {
        "selector": {"matchLabels": chosen},
        "template": {
            "metadata": {"labels": dict(chosen)},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": grace},
        },
    }
    if replicas is not None:
        spec["replicas"] = replicas
    made = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
    return copy.deepcopy(made)


def candidate(version: str = "v2", *, replicas: int = 2, **env: str) -> Object:
    return deployment(f"web-{version}", version, replicas=replicas, env=env)


def destination_rule(subsets: dict[str, dict[str, str]]) -> Object:
    listed = [{"name": name, "labels": labels} for name, labels in subsets.items()]
    return {
        "apiVersion": ISTIO,
        "kind": "DestinationRule",
        "metadata": {"name": "web"},
        "spec": {"host": "web", "subsets": listed},
    }


FOREIGN = (
    ("flagger.app", "v1beta1", "Canary", "canaries"),
    ("argoproj.io", "v1alpha1", "Rollout", "rollouts"),
)


def crd(group: str, version: str, kind: str, plural: str) -> Object:
    """A kind of another release tool, its fields unknown."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": anything},
                }
            ],
        },
    }


def custom(api_version: str, kind: str, spec: Object) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "web"}, "spec": spec}


def autoscaler(
    target: str, *, low: int = 2, high: int = 4, name: str = "", owners: list[Object] | None = None
) -> Object:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": name or target,
            **({"ownerReferences": owners} if owners else {}),
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "minReplicas": low,
            "maxReplicas": high,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 80},
                    },
                }
            ],
        },
    }


PERFORMANCE: Object = {
    "requests": [{"path": "/"}],
    "rate": 250,
    "preset": "quick",
    "tolerance": "900%",
    "anchorTolerance": "900%",
    "minDuration": "1s",
    "maxDuration": "3s",
    "maxSchedulingError": "2s",
    "minAchieved": "20%",
}


def config(namespace: str, host: str, entrypoint: str, /, **keys: Any) -> Object:
    """theseus.yaml for the service `web`; a key of None is left out."""
    whole: Object = {
        "service": "web",
        "namespace": namespace,
        "manifest": "candidate.yaml",
        "entrypoint": entrypoint,
        "host": host,
        "smoke": [
            {"name": "health", "http": {"path": "/health", "expect": {"within": "5s"}}},
            {"name": "answers", "http": {"path": "/", "expect": {"status": 200}}},
        ],
        "performance": PERFORMANCE,
        "flow": "flow.yaml",
        "bake": {"rate": 20},
        "waits": {
            "settle": "300ms",
            "poll": "50ms",
            "ready": "30s",
            "mesh": "20s",
            "request": "3s",
            "consecutive": 2,
        },
    }
    whole.update(keys)
    return {key: value for key, value in whole.items() if value is not None}


BAKE = "bake"  # stands for the duration that `flow` is given
STEPS: tuple[tuple[str, str, Any], ...] = (
    ("begin", "begin", None),
    ("base-route", "base-route", None),
    ("deploy", "deploy", None),
    ("dark-route", "dark-route", None),
    ("await-mesh", "await-mesh", None),
    ("smoke-dark", "smoke", None),
    ("autoscale", "autoscale", None),
    ("shift-first", "shift", 10),
    ("performance-baseline", "performance", "baseline"),
    ("bake-first", "bake", BAKE),
    ("shift-half", "shift", 50),
    ("smoke-half", "smoke", None),
    ("performance-half", "performance", "compare"),
    ("bake-half", "bake", BAKE),
    ("shift-full", "shift", 100),
    ("bake-full", "bake", BAKE),
    ("drain-previous", "drain-previous", None),
    ("scale-down-previous", "scale-down-previous", None),
    ("await-scale-down", "await-scale-down", None),
    ("smoke-alone", "smoke", None),
    ("bake-alone", "bake", BAKE),
    ("promote", "promote", None),
)
_ARGUMENT = {"shift": "weight", "performance": "mode", "bake": "for"}


def flow(
    *,
    without: tuple[str, ...] = (),
    weight: int = 50,
    bake: str = "300ms",
    steps: Object | None = None,
) -> Object:
    """The canary sequence, quickly; `weight` is that of its middle, `steps` holds more
    options by a step's id."""
    made: list[Object] = []
    for step_id, command, argument in STEPS:
        if command in without:
            continue
        body: Object = {"id": step_id, **(steps or {}).get(step_id, {})}
        if argument is not None:
            chosen = {50: weight, BAKE: bake}.get(argument, argument)
            body[_ARGUMENT[command]] = chosen
        made.append({command: body})
    return {"name": "short", "title": "Short", "onFailure": "rollback", "steps": made}


def command_of(step: Object) -> tuple[str, ...]:
    """A flow's step as a command line."""
    ((command, body),) = step.items()
    if command == "performance":
        return (command, f"--{body['mode']}")
    if command in _ARGUMENT:
        return (command, str(body[_ARGUMENT[command]]))
    return (command, "--step", body["id"]) if command == "smoke" else (command,)
