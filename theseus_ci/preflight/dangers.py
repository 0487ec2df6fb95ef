"""What begin refuses: each danger is one function that yields what is wrong and how to go on.

All of them are asked, so that people mend everything at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from theseus_ci.config.types import Config
from theseus_ci.errors import Refused, UnknownKind
from theseus_ci.model import Object
from theseus_ci.ports import Cluster
from theseus_ci.rollout.editor import ref_of

ARGO_TRACKING = "argocd.argoproj.io/tracking-id"
FLUX_LABELS = ("kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name")
ARGO_SERVICES = ("stableService", "canaryService", "activeService", "previewService")
FINISHED = "mend them, then run theseus-ci begin again; nothing has been touched"


class Found(msgspec.Struct, frozen=True):
    """What begin has found in the cluster."""

    service: Object
    previous: Object | None
    previous_hpa: Object | None
    virtual_services: tuple[Object, ...]
    destination_rules: tuple[Object, ...]

    @property
    def touched(self) -> tuple[Object, ...]:
        """Existing objects that the rollout will edit."""
        own = [self.previous, self.previous_hpa]
        return tuple(
            obj
            for obj in (*self.virtual_services, *self.destination_rules, *own)
            if obj is not None
        )


def refuse_dangers(cluster: Cluster, config: Config, found: Found) -> None:
    """Raise one Refused that names every danger; nothing when there is none."""
    problems = [
        *bypassing_the_mesh(config, found),
        *reverted_by_gitops(config, found),
        *owned_by_keda(found),
        *owned_by_flagger(cluster, found),
        *owned_by_argo(cluster, found),
        *being_deleted(found),
    ]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise Refused(f"releasing {config.service} now is refused:\n{listed}", remedy=FINISHED)


def bypassing_the_mesh(config: Config, found: Found) -> Iterator[str]:
    """NodePort, LoadBalancer, external addresses and headless Services reach pods directly."""
    spec = found.service["spec"]
    name = found.service["metadata"]["name"]
    if config.allow_unmeshed:
        return
    kind = spec.get("type", "ClusterIP")
    how = ""
    if kind in ("NodePort", "LoadBalancer"):
        ports = ", ".join(str(p["nodePort"]) for p in spec.get("ports", []) if p.get("nodePort"))
        how = f"is of type {kind}" + (f" (node port {ports})" if ports else "")
    elif spec.get("clusterIP") == "None":
        how = "is headless"
    elif spec.get("externalIPs"):
        how = f"has external addresses ({', '.join(spec['externalIPs'])})"
    if how:
        yield (
            f"Service {name} {how}: requests that come in that way bypass the mesh, no route can "
            "keep them from the candidate's pods. Bring users in through a Gateway and make the "
            "Service ClusterIP, or accept it with\n    allowUnmeshed: true"
        )


def reverted_by_gitops(config: Config, found: Found) -> Iterator[str]:
    """A GitOps controller would undo our edits within minutes."""
    if config.allow_gitops:
        return
    for obj in found.touched:
        metadata = obj["metadata"]
        labels = metadata.get("labels") or {}
        ref = ref_of(obj)
        if ARGO_TRACKING in (metadata.get("annotations") or {}):
            yield (
                f"{ref} is tracked by Argo CD, which would revert the rollout's edits. Add to the "
                f"Application:\n{_argo_ignore(obj)}\n    and then set allowGitops: true"
            )
        flux = next((label for label in FLUX_LABELS if label in labels), None)
        if flux is not None:
            yield (
                f"{ref} is managed by Flux ({flux}={labels[flux]}), which would revert the "
                "rollout's edits. Annotate it with\n    kustomize.toolkit.fluxcd.io/reconcile: "
                "disabled\n    for the time of the rollout and set allowGitops: true"
            )


def _argo_ignore(obj: Object) -> str:
    group = obj["apiVersion"].rpartition("/")[0]
    pointers = {
        "VirtualService": ["/spec/http", "/spec/tcp", "/spec/tls"],
        "DestinationRule": ["/spec/subsets"],
        "Deployment": ["/spec/replicas", "/spec/paused"],
        "HorizontalPodAutoscaler": ["/spec/minReplicas", "/spec/maxReplicas"],
    }[obj["kind"]]
    lines = [
        "    ignoreDifferences:",
        f"    - group: {group}",
        f"      kind: {obj['kind']}",
        f"      name: {obj['metadata']['name']}",
        f"      jsonPointers: [{', '.join([*pointers, '/metadata/annotations'])}]",
    ]
    return "\n".join([*lines, "    syncOptions: [RespectIgnoreDifferences=true]"])


def owned_by_keda(found: Found) -> Iterator[str]:
    """KEDA rewrites the HPA it owns."""
    hpa = found.previous_hpa
    for owner in (hpa or {"metadata": {}})["metadata"].get("ownerReferences") or []:
        if owner.get("kind") == "ScaledObject":
            replicas = (found.previous or {"spec": {}})["spec"].get("replicas", 1)
            yield (
                f"the autoscaler of the previous version belongs to KEDA's ScaledObject "
                f"{owner['name']}, which would revert the rollout's edits. Pause it for the time "
                f'of the rollout:\n    autoscaling.keda.sh/paused-replicas: "{replicas}"'
            )


def owned_by_flagger(cluster: Cluster, found: Found) -> Iterator[str]:
    """A Flagger Canary moves the traffic of its target itself."""
    namespace = found.service["metadata"]["namespace"]
    try:
        canaries = cluster.list("Canary", namespace)
    except UnknownKind:  # Flagger is not installed
        return
    names = {found.service["metadata"]["name"]}
    if found.previous is not None:
        names.add(found.previous["metadata"]["name"])
    for canary in canaries:
        spec = canary.get("spec") or {}
        target = (spec.get("targetRef") or {}).get("name")
        service = (spec.get("service") or {}).get("name")
        if {target, service} & names or f"{target}-primary" in names:
            yield (
                f"Flagger's Canary {canary['metadata']['name']} owns this service and would "
                "replace its routes. Delete the Canary (it restores the Deployment), or release "
                "with Flagger"
            )


def owned_by_argo(cluster: Cluster, found: Found) -> Iterator[str]:
    """An Argo Rollout scales the Deployment it refers to and edits the routes of its Services."""
    try:
        rollouts = cluster.list("Rollout", found.service["metadata"]["namespace"])
    except UnknownKind:  # Argo Rollouts is not installed
        return
    workload = found.previous["metadata"]["name"] if found.previous is not None else None
    for rollout in rollouts:
        spec = rollout.get("spec") or {}
        refers = (spec.get("workloadRef") or {}).get("name")
        services = {
            (strategy or {}).get(key)
            for strategy in (spec.get("strategy") or {}).values()
            for key in ARGO_SERVICES
        }
        if (refers and refers == workload) or found.service["metadata"]["name"] in services:
            yield (
                f"Argo Rollout {rollout['metadata']['name']} owns this service and moves its "
                "traffic itself. Release with Argo Rollouts, or delete the Rollout"
            )


def being_deleted(found: Found) -> Iterator[str]:
    """Objects that are on their way out."""
    for obj in (found.service, *found.touched):
        if obj["metadata"].get("deletionTimestamp"):
            yield f"{ref_of(obj)} is being deleted"
