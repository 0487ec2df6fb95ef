"""The manifest to release: which Deployment is the candidate, and what belongs to it."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from theseus_ci.config.names import name_problem
from theseus_ci.errors import ManifestError
from theseus_ci.manifest_source import Found, read_objects
from theseus_ci.model import Object, clone

VERSION_LABEL = "version"
MAX_NAME = 63  # pods are named after it, and label values end here

_GONE = re.compile(r"extensions/v1beta1|apps/v1beta[12]")
_GONE_HPA = re.compile(r"autoscaling/v2beta[12]")
_LEFT_OVER = re.compile(r"\{\{|\$\{|\$\(")
_SERVER_FIELDS = (
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "managedFields",
    "ownerReferences",
    "selfLink",
)
_SERVER_ANNOTATIONS = (
    "deployment.kubernetes.io/revision",
    "kubectl.kubernetes.io/last-applied-configuration",
)


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be released; the objects are copies, free of what the API server adds."""

    deployment: Object
    hpa: Object | None = None  # the manifest's own for this Deployment
    companions: tuple[Object, ...] = ()  # all else in the manifest, as written
    source: str = ""  # file, line and column of the Deployment

    @property
    def name(self) -> str:
        """The Deployment's name."""
        return str(self.deployment["metadata"]["name"])


def read_manifest(
    path: Path | str,
    *,
    namespace: str,
    deployment: str | None = None,
    version: str | None = None,
) -> Release:
    """The one Deployment in a file, a folder or (`-`) the standard input, with what comes with it.

    `deployment` picks one of several, and then nothing else is taken. The Deployment and its HPA
    come out with `namespace` filled in. A `version` after which nothing could be named is refused
    here, not first at the release that needs it. Raises ManifestError with file, line and what to
    do.
    """
    if version is not None:
        label_value(version)
        name_suffix(version)
    found = read_objects(path)
    _refuse_doubles(found)
    candidates = [one for one in found if _is_deployment(one)]
    chosen = _choose(candidates, found, str(path), deployment)
    _check_deployment(chosen, namespace)
    others = [] if deployment else [one for one in found if one is not chosen]
    own = [one for one in others if _scales(one.object, chosen.object["metadata"]["name"])]
    if len(own) > 1:
        raise ManifestError(f"{own[1].where}: a second HorizontalPodAutoscaler for {chosen.title}")
    for hpa in own:
        _check_hpa(hpa, namespace)
    return Release(
        deployment=_clean(chosen.object, namespace),
        hpa=_clean(own[0].object, namespace) if own else None,
        companions=tuple(_clean(one.object, None) for one in others if one not in own),
        source=chosen.where,
    )


def rename(release: Release, version: str) -> Release:
    """The same release as a Deployment of its own beside the running one of the same name.

    It is called `<name>-<version>` and its pods carry the label `version`, in the selector too,
    so that they are told from the others'. Raises ManifestError.
    """
    value = label_value(version)
    suffix = name_suffix(version)
    name = _with_suffix(release.name, suffix, release.source)
    deployment = clone(release.deployment)
    spec = deployment["spec"]
    for at, holder in (
        ("metadata.labels", _labels(deployment["metadata"], "labels")),
        ("spec.selector.matchLabels", _labels(spec["selector"], "matchLabels")),
        ("spec.template.metadata.labels", _labels(spec["template"]["metadata"], "labels")),
    ):
        if holder.get(VERSION_LABEL, value) != value:
            raise ManifestError(
                f"{release.source}: {at}.{VERSION_LABEL} is {holder[VERSION_LABEL]!r}, and the "
                f"version to release is {version!r}",
                remedy="make them the same, or take the label out of the manifest",
            )
        holder[VERSION_LABEL] = value
    deployment["metadata"]["name"] = name
    hpa = clone(release.hpa)
    if hpa is not None:
        hpa["metadata"]["name"] = _with_suffix(hpa["metadata"]["name"], suffix, release.source)
        hpa["spec"]["scaleTargetRef"]["name"] = name
    return msgspec.structs.replace(release, deployment=deployment, hpa=hpa)


def descends(running: Object, release: Release) -> bool:
    """Whether the running Deployment came from the same manifest: it bears the manifest's name, or
    the one that `rename` made of it for the version in its label."""
    metadata = running["metadata"]
    if metadata["name"] == release.name:
        return True
    version: str = (metadata.get("labels") or {}).get(VERSION_LABEL) or ""
    return bool(version) and metadata["name"] == f"{release.name}-{name_suffix(version)}"


def wanted_replicas(deployment: Object) -> int:
    """How many pods the Deployment asks for; Kubernetes' default is 1."""
    replicas = deployment["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def label_value(version: str) -> str:
    """The version as a label's value: `1.4.2+build 7` is `1.4.2-build-7`. Raises ManifestError."""
    value = re.sub(r"[^A-Za-z0-9._-]+", "-", version).strip("-._")
    return _bounded(value, version)


def name_suffix(version: str) -> str:
    """The version as part of a name: `1.4.2+B7` is `1.4.2-b7`. Raises ManifestError."""
    parts = re.sub(r"[^a-z0-9.]+", "-", version.lower()).split(".")
    return _bounded(".".join(filter(None, (part.strip("-") for part in parts))), version)


def _bounded(value: str, version: str) -> str:
    if not value:
        raise ManifestError(f"version: nothing can be named after {version!r}")
    if len(value) > MAX_NAME:
        raise ManifestError(
            f"version: {version!r} is {len(value)} characters long, and a label holds {MAX_NAME}",
            remedy="give a shorter version, such as the first 12 characters of the commit",
        )
    return value


def _with_suffix(name: str, suffix: str, source: str) -> str:
    if name.endswith(f"-{suffix}"):
        return name
    full = f"{name}-{suffix}"
    if len(full) > MAX_NAME:
        raise ManifestError(
            f"{source}: the name {full} is {len(full)} characters long; {MAX_NAME} are allowed",
            remedy=f"give a version of at most {max(MAX_NAME - len(name) - 1, 0)} characters, or "
            "shorten the name",
        )
    return full


def _labels(parent: Any, key: str) -> dict[str, Any]:
    if not parent.get(key):
        parent[key] = {}
    labels: dict[str, Any] = parent[key]
    return labels


def _choose(candidates: list[Found], found: list[Found], path: str, wanted: str | None) -> Found:
    names = [one.object["metadata"]["name"] for one in candidates]
    if wanted is not None:
        if wanted in names:
            return candidates[names.index(wanted)]
        near = difflib.get_close_matches(wanted, names, 3, cutoff=0.4) or names
        known = f"; it has {', '.join(near)}" if near else ""
        raise ManifestError(f"{path}: there is no Deployment {wanted}{known}")
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        listed = "\n".join(f"  {one.title} ({one.where})" for one in candidates)
        count = len(candidates)
        raise ManifestError(
            f"{path}: there are {count} Deployments, and one release moves one:\n{listed}",
            remedy=f"say which: `deployment: {names[0]}` in theseus.yaml, or --deployment",
        )
    kinds = ", ".join(dict.fromkeys(one.object["kind"] for one in found))
    raise ManifestError(f"{path}: there is no Deployment; it has {kinds or 'no object at all'}")


def _is_deployment(found: Found) -> bool:
    kind, version = found.object["kind"], found.object["apiVersion"]
    if kind != "Deployment":
        return False
    if _GONE.fullmatch(version):
        raise ManifestError(
            f"{found.where}: {found.title}: apiVersion {version} is gone since Kubernetes 1.16",
            remedy="write apps/v1; `kubectl convert -f FILE --output-version apps/v1` does it",
        )
    return bool(version == "apps/v1")


def _refuse_doubles(found: list[Found]) -> None:
    seen: dict[tuple[str, ...], Found] = {}
    for one in found:
        group = one.object["apiVersion"].rpartition("/")[0]
        metadata = one.object["metadata"]
        key = (group, one.object["kind"], str(metadata.get("namespace", "")), metadata["name"])
        if key in seen:
            raise ManifestError(f"{one.where}: {one.title} is here again, after {seen[key].where}")
        seen[key] = one


def _check_deployment(found: Found, namespace: str) -> None:
    _check_metadata(found, namespace)
    for path, message in _deployment_problems(found.object):
        raise ManifestError(f"{found.at(path)}: {found.title}: {message}")


def _check_metadata(found: Found, namespace: str) -> None:
    metadata = found.object["metadata"]
    message = name_problem(metadata["name"])
    if message:
        raise ManifestError(f"{found.at(('metadata', 'name'))}: {message}")
    given = metadata.get("namespace")
    if given not in (None, "", namespace):
        raise ManifestError(
            f"{found.at(('metadata', 'namespace'))}: {found.title} is for namespace {given}, and "
            f"the release is in {namespace}",
            remedy=f"set `namespace: {given}` in theseus.yaml, or take it out of the manifest",
        )


def _deployment_problems(deployment: Object) -> Iterator[tuple[tuple[str | int, ...], str]]:
    spec = deployment.get("spec")
    template = spec.get("template") if isinstance(spec, dict) else None
    pod = template.get("spec") if isinstance(template, dict) else None
    containers = pod.get("containers") if isinstance(pod, dict) else None
    if not isinstance(spec, dict) or not isinstance(template, dict) or not isinstance(pod, dict):
        yield ("spec",), "needs spec.template.spec"
        return
    if not isinstance(containers, list) or not all(isinstance(c, dict) for c in containers or [0]):
        yield ("spec", "template", "spec", "containers"), "needs a list of containers"
        return
    for index, container in enumerate(containers):
        image = container.get("image")
        path = ("spec", "template", "spec", "containers", index, "image")
        if not isinstance(image, str) or not image:
            yield path, f"container {container.get('name', index)} has no image"
        elif _LEFT_OVER.search(image):
            yield path, f"the image {image!r} still holds a placeholder: render the manifest first"
    replicas = spec.get("replicas")
    if replicas is not None and (type(replicas) is not int or replicas < 0):
        yield ("spec", "replicas"), f"must be a whole number, not {replicas!r}"
    yield from _selector_problems(spec, template)


def _selector_problems(spec: Any, template: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    selector = spec.get("selector")
    if not isinstance(selector, dict) or not selector:
        yield ("spec",), "needs spec.selector"
        return
    metadata = template.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    wanted = selector.get("matchLabels") or {}
    if not isinstance(labels, dict) or not isinstance(wanted, dict):
        yield ("spec", "template", "metadata"), "needs spec.template.metadata.labels"
        return
    for at, one in (("template.metadata.labels", labels), ("selector.matchLabels", wanted)):
        for key, value in one.items():
            if not isinstance(value, str):
                yield ("spec", *at.split("."), key), f"must be text: write it in quotes ({value})"
    for key, value in wanted.items():
        if labels.get(key) != value:
            path = ("spec", "selector", "matchLabels", key)
            yield path, f"selects {key}={value}, which the template's labels do not have"


def _check_hpa(found: Found, namespace: str) -> None:
    _check_metadata(found, namespace)
    if _GONE_HPA.fullmatch(found.object["apiVersion"]):
        raise ManifestError(
            f"{found.where}: {found.title}: apiVersion {found.object['apiVersion']} is gone since "
            "Kubernetes 1.26",
            remedy="write autoscaling/v2",
        )


def _scales(obj: Object, name: str) -> bool:
    if obj["kind"] != "HorizontalPodAutoscaler":
        return False
    spec = obj.get("spec")
    target = spec.get("scaleTargetRef") if isinstance(spec, dict) else None
    return isinstance(target, dict) and (target.get("kind"), target.get("name")) == (
        "Deployment",
        name,
    )


def _clean(obj: Object, namespace: str | None) -> Object:
    """A copy without what the API server wrote, should the manifest be an export.

    By way of JSON: a deep copy would keep YAML's aliases as one value in two places.
    """
    cleaned: Object = json.loads(json.dumps(obj))
    cleaned.pop("status", None)
    metadata = cleaned["metadata"]
    for key in _SERVER_FIELDS:
        metadata.pop(key, None)
    annotations = metadata.get("annotations")
    if isinstance(annotations, dict):
        for key in _SERVER_ANNOTATIONS:
            annotations.pop(key, None)
        if not annotations:
            del metadata["annotations"]
    if namespace is not None:
        metadata["namespace"] = namespace
    return cleaned
