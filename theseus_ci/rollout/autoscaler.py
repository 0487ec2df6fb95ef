"""The autoscaler that the candidate is to have, and what any of them says of itself."""

from __future__ import annotations

from theseus_ci.model import Object, clone
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.release import load_release

_OF_THE_SERVER = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "ownerReferences",
    "selfLink",
)
_ABLE = frozenset({"AbleToScale", "ScalingActive"})  # conditions without which nothing is scaled
_NO_REPLICAS = "ScalingDisabled"  # reason where the Deployment was scaled to 0: by intention
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def candidate_autoscaler(rollout: Rollout) -> Object | None:
    """The manifest's own, else a copy of the previous version's; None when there is neither."""
    state = rollout.state
    release = load_release(rollout.config, state)
    state.candidate_hpa_copied = release.hpa is None
    if release.hpa is not None:
        own = clone(release.hpa)
        own["metadata"]["namespace"] = state.namespace
        return own
    if state.previous is None or state.previous.hpa is None:
        return None
    previous = rollout.editor.read(rollout.autoscaler(state.previous.hpa))
    if previous is None:
        return None
    made = portable(previous)
    made["metadata"]["name"] = state.candidate.deployment
    made["spec"]["scaleTargetRef"]["name"] = state.candidate.deployment
    if state.before is not None and state.before.hpa_min and state.before.hpa_max:
        made["spec"]["minReplicas"] = state.before.hpa_min
        made["spec"]["maxReplicas"] = state.before.hpa_max
    return made


def portable(obj: Object) -> Object:
    """A copy that can be applied again: without what the server or a rollout has written."""
    made = clone(obj)
    made.pop("status", None)
    metadata = made["metadata"]
    for key in _OF_THE_SERVER:
        metadata.pop(key, None)
    annotations = metadata.get("annotations") or {}
    for key in list(annotations):
        if key == LAST_APPLIED or key.startswith("theseus-ci.io/"):
            del annotations[key]
    if not annotations:
        metadata.pop("annotations", None)
    return made


def idle_because(hpa: Object) -> str:
    """Why an autoscaler scales nothing now, in the words of its controller; empty when it does."""
    for condition in (hpa.get("status") or {}).get("conditions") or []:
        disabled = condition.get("reason") == _NO_REPLICAS
        if condition["type"] in _ABLE and condition["status"] == "False" and not disabled:
            return str(condition.get("message") or condition.get("reason") or condition["type"])
    return ""
