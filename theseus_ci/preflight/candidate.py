"""The candidate as it will be, checked against the cluster without creating anything."""

from __future__ import annotations

from collections.abc import Iterator

from theseus_ci.config.types import Config
from theseus_ci.errors import ConfigError, ManifestError, Refused, UnknownKind
from theseus_ci.kinds import KINDS, OURS_ALONE
from theseus_ci.manifest import Release, descends, rename
from theseus_ci.model import Object, clone
from theseus_ci.ports import Cluster
from theseus_ci.preflight.running import Running

_SERVERS_OWN = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")


def settle_name(release: Release, config: Config, previous: Running | None) -> Release:
    """The release under the name its Deployment will have.

    A manifest of the running version's own name is renamed by `version`. Raises ManifestError
    when there is none.
    """
    if previous is None or not descends(previous.deployment, release):
        return release
    if config.version is None:
        if _images(release.deployment) == _images(previous.deployment):
            raise ManifestError(
                f"{release.source}: Deployment {release.name} runs already, with these very images "
                f"({', '.join(_images(release.deployment))}): there is nothing to release",
                remedy="build a new image and name it in the manifest; for another setting of the "
                "same image give a --version, under which the candidate is created beside it",
            )
        raise ManifestError(
            f"{release.source}: Deployment {release.name} is the one that runs now: replacing it "
            "in place would leave no way back",
            remedy="set `version:` in theseus.yaml (or --version 1.4.2): the candidate is then "
            f"created beside it as {release.name}-<version>",
        )
    renamed = rename(release, config.version)
    if renamed.name == previous.name:
        raise ManifestError(
            f"version {config.version} is the one that runs now ({previous.name})",
            remedy="give the version to release with --version",
        )
    return renamed


def check_candidate(
    cluster: Cluster, config: Config, release: Release, service: Object, previous: Running | None
) -> Object:
    """The candidate's Deployment as the server would store it. Raises ManifestError, Refused,
    Rejected."""
    namespace = service["metadata"]["namespace"]
    existing = cluster.get("Deployment", namespace, release.name)
    if existing is not None:
        raise Refused(
            f"Deployment {namespace}/{release.name} exists already and is not the previous version",
            remedy=f"remove it (theseus-ci delete {release.name}) or give another name or version",
        )
    labels = release.deployment["spec"]["template"]["metadata"].get("labels") or {}
    selector = service["spec"]["selector"]
    missing = {key: value for key, value in selector.items() if labels.get(key) != value}
    if missing:
        wanted = ", ".join(f"{key}={value}" for key, value in missing.items())
        raise ManifestError(
            f"{release.source}: Service {service['metadata']['name']} would not select these pods: "
            f"their labels lack {wanted}",
            remedy="add the labels to spec.template.metadata.labels",
        )
    planned = cluster.create(_dark(release.deployment, namespace), dry_run=True)
    if previous is not None and not config.allow_equal:
        _refuse_equal(release, planned, previous)
    return planned


def check_companions(cluster: Cluster, config: Config, release: Release, namespace: str) -> None:
    """Refuse what would change objects that the previous version uses. Raises Refused."""
    if config.allow_companions:
        return
    differing = list(_differing(cluster, release, namespace))
    if differing:
        raise Refused(
            "the manifest changes objects that exist, and the previous version uses them too: "
            + "; ".join(differing),
            remedy="give the new ones names of their own (checkout-config-v2), apply the change "
            "beforehand, take only the Deployment with `deployment: "
            f"{release.name}`, or leave them as they are with allowCompanions: true",
        )


def _differing(cluster: Cluster, release: Release, namespace: str) -> Iterator[str]:
    for companion in release.companions:
        metadata = companion["metadata"]
        kind = None if companion["kind"] in OURS_ALONE else KINDS.get(companion["kind"])
        if kind is None or kind.api_version != companion["apiVersion"]:
            raise Refused(
                f"{release.source}: theseus-ci cannot take {companion['apiVersion']} "
                f"{companion['kind']} {metadata['name']} along",
                remedy="apply it beforehand and take it out of the manifest, or name the "
                f"Deployment alone with `deployment: {release.name}`",
            )
        where = (metadata.get("namespace") or namespace) if kind.namespaced else ""
        found = cluster.get(companion["kind"], where, metadata["name"])
        if found is None:
            continue
        change = {key: value for key, value in companion.items() if key != "status"}
        after = cluster.patch(found, change, dry_run=True)
        if _content(after) != _content(found):
            yield f"{companion['kind']} {metadata['name']} ({_first_difference(found, after)})"


def _dark(deployment: Object, namespace: str) -> Object:
    made = clone(deployment)
    made["metadata"]["namespace"] = namespace
    made["spec"]["replicas"] = 0
    return made


def _refuse_equal(release: Release, planned: Object, previous: Running) -> None:
    running = previous.deployment["spec"]["template"]["spec"]
    if planned["spec"]["template"]["spec"] == running:
        images = ", ".join(container["image"] for container in running["containers"])
        raise Refused(
            f"{release.name} would run the very pods that {previous.name} runs ({images})",
            remedy="release a new image or setting, or accept it with allowEqual: true",
        )


def _images(deployment: Object) -> list[str]:
    return [one["image"] for one in deployment["spec"]["template"]["spec"]["containers"]]


def _content(obj: Object) -> Object:
    content = clone(obj)
    content.pop("status", None)
    for key in _SERVERS_OWN:
        content["metadata"].pop(key, None)
    return content


def _first_difference(before: Object, after: Object, path: str = "") -> str:
    for key in sorted({*before, *after} - {"status"}):
        if key in _SERVERS_OWN or before.get(key) == after.get(key):
            continue
        inner = (before.get(key), after.get(key))
        here = f"{path}.{key}" if path else key
        if isinstance(inner[0], dict) and isinstance(inner[1], dict):
            deeper = _first_difference(inner[0], inner[1], here)
            if deeper:
                return deeper
            continue
        return here
    return ""


def find_autoscaler(cluster: Cluster, namespace: str, deployment: str) -> Object | None:
    """The HorizontalPodAutoscaler that scales the Deployment. Raises Refused for several."""
    try:
        found = [
            hpa
            for hpa in cluster.list("HorizontalPodAutoscaler", namespace)
            if hpa["spec"]["scaleTargetRef"].get("kind") == "Deployment"
            and hpa["spec"]["scaleTargetRef"]["name"] == deployment
        ]
    except UnknownKind:
        return None
    if len(found) > 1:
        names = ", ".join(hpa["metadata"]["name"] for hpa in found)
        raise Refused(
            f"several autoscalers scale {deployment}: {names}; Kubernetes then follows neither",
            remedy="keep one of them",
        )
    return found[0] if found else None


def selectors_overlap(one: Object, other: Object) -> bool:
    """Whether either Deployment's selector matches the other's pods."""
    return _matches(one, other) or _matches(other, one)


def _matches(selecting: Object, selected: Object) -> bool:
    selector = selecting["spec"]["selector"]
    labels = selected["spec"]["template"]["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(rule, labels) for rule in selector.get("matchExpressions") or [])


def _holds(rule: Object, labels: dict[str, str]) -> bool:
    key, values = rule["key"], rule.get("values") or []
    operator = rule["operator"]
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    raise ConfigError(f"selector operator {operator!r} is unknown")
