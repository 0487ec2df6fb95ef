"""The Job of a load from many workers, and the Secret with their order. Pure functions."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from theseus_ci.config.workers import Load
from theseus_ci.errors import ConfigError
from theseus_ci.model import Object, clone
from theseus_ci.rollout.stamp import DOMAIN
from theseus_ci.workers.order import AUTHORITY_FILE, FOLDER, ORDER_FILE, Order, encode

CONTAINER = "load"
INDEX = "batch.kubernetes.io/job-completion-index"
CONTROLLER = "batch.kubernetes.io/controller-uid"
LEASH_SECONDS = 120  # how long workers go on when whoever gathers their samples shows no life
FORGET_SECONDS = 600  # a Job that nobody could delete goes by itself so long after its end
_MANAGED = {"app.kubernetes.io/managed-by": "theseus-ci"}
_LOAD = f"{DOMAIN}/load"  # label: which service's load a pod belongs to
_RESOURCES = {"requests": {"cpu": "500m", "memory": "128Mi"}}
_LONGEST_JOB = 52  # characters: its pods are named after it, with index and five more
_LARGEST_ORDER = 900_000  # bytes; a Secret must stay under 1 MiB


def name_of(service: str) -> str:
    """The name of Job and Secret: always the same, so that a Role can name them."""
    name = f"theseus-{service}-load"
    if len(name) > _LONGEST_JOB:
        name = f"theseus-{hashlib.sha256(service.encode()).hexdigest()[:16]}-load"
    return name


def job(namespace: str, service: str, load: Load) -> Object:
    """Suspended: nothing runs before its Secret is there and a conditioned write lets it."""
    name = name_of(service)
    labels = {**_MANAGED, _LOAD: name}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "suspend": True,
            "completionMode": "Indexed",
            "completions": load.workers,
            "parallelism": load.workers,
            "backoffLimit": 0,  # a share that begins anew is no part of the same measurement
            "activeDeadlineSeconds": LEASH_SECONDS,
            "ttlSecondsAfterFinished": FORGET_SECONDS,
            "template": _laid_over(_template(name, load), load.pod),
        },
    }


def resumed(found: Object, seconds: float) -> Object:
    """The Job allowed to run until LEASH_SECONDS after now, which is `seconds` after its start."""
    wanted = clone(found)
    wanted["spec"]["suspend"] = False
    wanted["spec"]["activeDeadlineSeconds"] = int(seconds) + LEASH_SECONDS
    return wanted


def secret(owner: Object, order: Order, authority: str) -> Object:
    """What the workers are told: goes with its Job at the latest. Raises ConfigError when the
    requests are too large for it."""
    data = encode(order)
    if len(data) + len(authority) > _LARGEST_ORDER:
        raise ConfigError(
            f"the requests take {len(data)} bytes, and workers get them in a Secret of at most 1 "
            "MiB",
            where="theseus.yaml: performance.requests",
            remedy="send smaller bodies, or measure from this process (performance.load.workers: "
            "0)",
        )
    files = {ORDER_FILE: data, **({AUTHORITY_FILE: authority.encode()} if authority else {})}
    metadata = owner["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": dict(metadata["labels"]),
            "ownerReferences": [
                {
                    "apiVersion": owner["apiVersion"],
                    "kind": owner["kind"],
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                }
            ],
        },
        "type": "Opaque",
        "immutable": True,
        "data": {file: base64.b64encode(content).decode() for file, content in files.items()},
    }


def _template(name: str, load: Load) -> Object:
    """Pods that may do nothing in the cluster, fit the restricted Pod Security Standard, and stand
    on as many nodes as there are."""
    container = {
        "name": CONTAINER,
        "image": load.image,
        "command": ["theseus-ci", "load-worker"],
        "resources": load.resources or _RESOURCES,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "order", "mountPath": FOLDER, "readOnly": True}],
    }
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {_LOAD: name}},
    }
    return {
        "metadata": {"labels": {**_MANAGED, _LOAD: name, "sidecar.istio.io/inject": "false"}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 5,
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "topologySpreadConstraints": [spread],
            "containers": [container],
            "volumes": [{"name": "order", "secret": {"secretName": name}}],
        },
    }


def _laid_over(base: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return clone(patch)
    merged = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _laid_over(merged.get(key), value)
    return merged
