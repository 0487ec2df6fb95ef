"""What runs behind a Service now: which Deployments own its pods.

Pods are asked for by the Service's own selector and their owners by name, so that the cost does
not depend on what else lives in the namespace.
"""

from __future__ import annotations

import msgspec

from theseus_ci.errors import ConfigError, Refused
from theseus_ci.model import Object
from theseus_ci.ports import Cluster
from theseus_ci.rollout.readiness import selector_text


class Running(msgspec.Struct, frozen=True):
    """A Deployment with pods behind the Service."""

    deployment: Object
    template_hash: str  # pod-template-hash of its pods; "" while two templates are running
    pods: int

    @property
    def name(self) -> str:
        return str(self.deployment["metadata"]["name"])

    @property
    def labels(self) -> dict[str, str]:
        """Labels of its pods, as its template has them."""
        return dict(self.deployment["spec"]["template"]["metadata"].get("labels") or {})


def find_service(cluster: Cluster, namespace: str, name: str) -> Object:
    """The Service. Raises ConfigError when it is absent, Refused when it selects no pods."""
    service = cluster.get("Service", namespace, name)
    if service is None:
        raise ConfigError(
            f"there is no Service {namespace}/{name}",
            where="theseus.yaml: service",
            remedy=f"see what is there: kubectl -n {namespace} get services",
        )
    if not service["spec"].get("selector"):
        raise Refused(
            f"Service {namespace}/{name} has no selector: its pods are chosen by something that "
            "theseus-ci cannot see",
            remedy="release services that select pods by label",
        )
    return service


def find_running(cluster: Cluster, service: Object) -> list[Running]:
    """The Deployments with pods behind the Service, by name. Raises Refused for other owners."""
    namespace = service["metadata"]["namespace"]
    pods = cluster.list("Pod", namespace, labels=selector_text(service["spec"]["selector"]))
    hashes: dict[str, list[str]] = {}
    replica_sets: dict[str, str] = {}
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp"):
            continue
        owner = _controller(pod)
        if owner.get("kind") != "ReplicaSet":
            kind = owner.get("kind", "nothing")
            raise Refused(
                f"pod {namespace}/{pod['metadata']['name']} behind Service "
                f"{service['metadata']['name']} belongs to {kind} {owner.get('name', '')}".rstrip()
                + ": theseus-ci replaces Deployments only",
                remedy="take such pods out of the Service's selector, or release them otherwise",
            )
        name = owner["name"]
        if name not in replica_sets:
            replica_sets[name] = _deployment_of(cluster, namespace, name)
        deployment = replica_sets[name]
        label = (pod["metadata"].get("labels") or {}).get("pod-template-hash", "")
        hashes.setdefault(deployment, []).append(label)
    return [_running(cluster, namespace, name, hashes[name]) for name in sorted(hashes)]


def running_of(cluster: Cluster, namespace: str, name: str) -> Running | None:
    """The Deployment of that name as `find_running` would give it; None when it is absent."""
    deployment = cluster.get("Deployment", namespace, name)
    if deployment is None:
        return None
    selector = deployment["spec"]["selector"].get("matchLabels") or {}
    pods = cluster.list("Pod", namespace, labels=selector_text(selector))
    own = [
        (pod["metadata"].get("labels") or {}).get("pod-template-hash", "")
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp")
        and str(_controller(pod).get("name", "")).startswith(f"{name}-")
    ]
    return Running(deployment, own[0] if len(set(own)) == 1 else "", len(own))


def _running(cluster: Cluster, namespace: str, name: str, hashes: list[str]) -> Running:
    deployment = cluster.get("Deployment", namespace, name)
    if deployment is None:
        raise Refused(
            f"Deployment {namespace}/{name} is being deleted while its pods still serve",
            remedy="wait until they are gone, then begin again",
        )
    distinct = set(hashes)
    return Running(deployment, hashes[0] if len(distinct) == 1 else "", len(hashes))


def _controller(obj: Object) -> Object:
    owners = obj["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), {})


def _deployment_of(cluster: Cluster, namespace: str, replica_set: str) -> str:
    found = cluster.get("ReplicaSet", namespace, replica_set)
    owner = _controller(found) if found is not None else {}
    if owner.get("kind") == "Rollout":
        raise Refused(
            f"the pods of ReplicaSet {namespace}/{replica_set} belong to Argo Rollout "
            f"{owner['name']}, which moves their traffic itself",
            remedy="release this service with Argo Rollouts, or turn the Rollout into a Deployment",
        )
    if owner.get("kind") != "Deployment":
        raise Refused(
            f"ReplicaSet {namespace}/{replica_set} behind the service belongs to no Deployment",
            remedy="theseus-ci replaces Deployments only",
        )
    return str(owner["name"])
