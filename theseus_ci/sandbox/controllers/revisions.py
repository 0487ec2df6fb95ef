"""The ReplicaSets of a Deployment as revisions: which is the new one, how it is named and numbered.

A ReplicaSet is found again by its template, not by its name: so a rollback to an earlier template
takes the ReplicaSet that is still there, and gives it the next revision number.
"""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

from theseus_ci.sandbox.client import Object
from theseus_ci.sandbox.controllers.ownership import controller_reference
from theseus_ci.sandbox.controllers.rollout import DESIRED, MAXIMUM, fenceposts, wanted

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
NOT_COPIED = frozenset({REVISION, HISTORY, DESIRED, MAXIMUM, LAST_APPLIED})
HISTORY_CHARACTERS = 2000
HASH_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
HASH_LENGTH = 10
NAME_LENGTH = 253


def find_new(deployment: Object, replica_sets: list[Object]) -> Object | None:
    """The ReplicaSet (of those given eldest first) that has the Deployment's template."""
    template = _comparable(deployment["spec"]["template"])
    for replica_set in replica_sets:
        if _comparable(replica_set["spec"]["template"]) == template:
            return replica_set
    return None


def template_hash(deployment: Object) -> str:
    """A label value for the template; after a collision the count in the status changes it."""
    collisions = deployment.get("status", {}).get("collisionCount", 0)
    text = json.dumps([deployment["spec"]["template"], collisions], sort_keys=True)
    number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    digits = []
    for _ in range(HASH_LENGTH):
        number, digit = divmod(number, len(HASH_ALPHABET))
        digits.append(HASH_ALPHABET[digit])
    return "".join(digits)


def new_replica_set(deployment: Object, old: list[Object]) -> Object:
    """The ReplicaSet to create for the Deployment's template, with no replicas yet."""
    meta, spec = deployment["metadata"], deployment["spec"]
    value = template_hash(deployment)
    template = copy.deepcopy(spec["template"])
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    labels[HASH_LABEL] = value
    selector = copy.deepcopy(spec["selector"])
    selector.setdefault("matchLabels", {})[HASH_LABEL] = value
    replica_set: Object = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "namespace": meta["namespace"],
            "name": f"{meta['name'][: NAME_LENGTH - HASH_LENGTH - 1]}-{value}",
            "labels": dict(labels),
            "ownerReferences": [controller_reference(deployment)],
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
    }
    if spec.get("minReadySeconds"):
        replica_set["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    annotate_revision(deployment, replica_set, old)
    annotate_size(deployment, replica_set)
    return replica_set


def annotate_revision(deployment: Object, new: Object, old: list[Object]) -> None:
    """Number the new ReplicaSet above all old ones, and copy the Deployment's annotations to it."""
    annotations = dict(new["metadata"].get("annotations") or {})
    for key, value in (deployment["metadata"].get("annotations") or {}).items():
        if key not in NOT_COPIED:
            annotations[key] = value
    number = 1 + max((revision(rs) for rs in old), default=0)
    before = revision(new)
    if before < number:
        if before:
            annotations[HISTORY] = _history(annotations.get(HISTORY, ""), before)
        annotations[REVISION] = str(number)
    new["metadata"]["annotations"] = annotations


def annotate_size(deployment: Object, replica_set: Object) -> None:
    """Note the Deployment's size: a ReplicaSet that knows another one shows a scaling event."""
    surge, _ = fenceposts(deployment)
    annotations = dict(replica_set["metadata"].get("annotations") or {})
    annotations[DESIRED] = str(wanted(deployment))
    annotations[MAXIMUM] = str(wanted(deployment) + surge)
    replica_set["metadata"]["annotations"] = annotations


def revision(obj: Object) -> int:
    text = (obj["metadata"].get("annotations") or {}).get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def same_template(left: Object, right: Object) -> bool:
    """Whether two workloads have the same pod template, but for the hash label."""
    return bool(_comparable(left["spec"]["template"]) == _comparable(right["spec"]["template"]))


def _comparable(template: Object) -> Any:
    """The template without the hash label, and with absent and null or empty lists alike."""
    template = _without_nothing(template)
    labels = template.get("metadata", {}).get("labels", {})
    labels.pop(HASH_LABEL, None)
    return template


def _without_nothing(value: Any) -> Any:
    if isinstance(value, dict):
        cleaned = {key: _without_nothing(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if item is not None and item != []}
    if isinstance(value, list):
        return [_without_nothing(item) for item in value]
    return value


def _history(known: str, before: int) -> str:
    entries = [*(known.split(",") if known else []), str(before)]
    while len(",".join(entries)) > HISTORY_CHARACTERS:
        entries.pop(0)
    return ",".join(entries)
