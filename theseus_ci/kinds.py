"""The kinds this program reads or writes, and where the API server keeps them."""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """One resource: its API group ("" for core), version, plural and scope."""

    group: str
    version: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str = "") -> str:
        """URL path of the collection, or of one object; `namespace=None` is all namespaces."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{scope}/{self.plural}" + (f"/{name}" if name else "")


KINDS: dict[str, Kind] = {
    "Namespace": Kind("", "v1", "namespaces", namespaced=False),
    "Pod": Kind("", "v1", "pods"),
    "Service": Kind("", "v1", "services"),
    "ConfigMap": Kind("", "v1", "configmaps"),
    "Secret": Kind("", "v1", "secrets"),
    "ServiceAccount": Kind("", "v1", "serviceaccounts"),
    "PodLog": Kind("", "v1", "pods/log"),  # a subresource, by this name in RBAC rules
    "Job": Kind("batch", "v1", "jobs"),
    "Deployment": Kind("apps", "v1", "deployments"),
    "ReplicaSet": Kind("apps", "v1", "replicasets"),
    "HorizontalPodAutoscaler": Kind("autoscaling", "v2", "horizontalpodautoscalers"),
    "PodDisruptionBudget": Kind("policy", "v1", "poddisruptionbudgets"),
    "EndpointSlice": Kind("discovery.k8s.io", "v1", "endpointslices"),
    "Lease": Kind("coordination.k8s.io", "v1", "leases"),
    "NetworkPolicy": Kind("networking.k8s.io", "v1", "networkpolicies"),
    "Ingress": Kind("networking.k8s.io", "v1", "ingresses"),
    "Role": Kind("rbac.authorization.k8s.io", "v1", "roles"),
    "RoleBinding": Kind("rbac.authorization.k8s.io", "v1", "rolebindings"),
    "VirtualService": Kind("networking.istio.io", "v1", "virtualservices"),
    "DestinationRule": Kind("networking.istio.io", "v1", "destinationrules"),
    "Gateway": Kind("networking.istio.io", "v1", "gateways"),
    "ServiceEntry": Kind("networking.istio.io", "v1", "serviceentries"),
    "AuthorizationPolicy": Kind("security.istio.io", "v1", "authorizationpolicies"),
    "PeerAuthentication": Kind("security.istio.io", "v1", "peerauthentications"),
    "Canary": Kind("flagger.app", "v1beta1", "canaries"),
    "Rollout": Kind("argoproj.io", "v1alpha1", "rollouts"),
    "ScaledObject": Kind("keda.sh", "v1alpha1", "scaledobjects"),
    "SelfSubjectAccessReview": Kind(
        "authorization.k8s.io", "v1", "selfsubjectaccessreviews", namespaced=False
    ),
    "SelfSubjectReview": Kind(
        "authentication.k8s.io", "v1", "selfsubjectreviews", namespaced=False
    ),
}

OURS_ALONE = frozenset({"PodLog", "Job"})
"""Kinds that a manifest cannot bring along: a Job that runs at a release is no part of it."""
