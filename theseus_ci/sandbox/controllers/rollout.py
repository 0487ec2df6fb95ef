"""The arithmetic of a rollout: how large each ReplicaSet of a Deployment may be. Pure functions.

Sizes are of `spec.replicas`, what was asked for; only availability is taken from a status.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from theseus_ci.sandbox.client import Object

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"


def wanted(obj: Object) -> int:
    """spec.replicas, by default 1."""
    return int(obj["spec"].get("replicas", 1))


def available(replica_set: Object) -> int:
    return int(replica_set.get("status", {}).get("availableReplicas", 0))


def total(replica_sets: Iterable[Object]) -> int:
    return sum(wanted(replica_set) for replica_set in replica_sets)


def is_recreate(deployment: Object) -> bool:
    return bool((deployment["spec"].get("strategy") or {}).get("type") == "Recreate")


def fenceposts(deployment: Object) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) in pods: surge rounds up, unavailable down, never both zero."""
    replicas = wanted(deployment)
    if is_recreate(deployment):
        return 0, 0
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    surge = _scaled(rolling.get("maxSurge", "25%"), replicas, round_up=True)
    unavailable = _scaled(rolling.get("maxUnavailable", "25%"), replicas, round_up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1  # or nothing could ever move
    return surge, min(unavailable, replicas)


def new_size(deployment: Object, new: Object, everyone: Iterable[Object]) -> int:
    """How large the new ReplicaSet of a rolling update may be now."""
    replicas, current = wanted(deployment), wanted(new)
    if current >= replicas:
        return replicas
    surge, _ = fenceposts(deployment)
    room = replicas + surge - total(everyone)
    return current + max(0, min(room, replicas - current))


def old_sizes(deployment: Object, new: Object, old: list[Object]) -> dict[str, int]:
    """Sizes by name to which old ReplicaSets (eldest first) may shrink now in a rolling update.

    Pods that are not available go first, since they serve nobody; then as many available ones as
    maxUnavailable allows. What the new ReplicaSet still lacks counts as unavailable.
    """
    sizes = {rs["metadata"]["name"]: wanted(rs) for rs in old}
    before = dict(sizes)
    _, max_unavailable = fenceposts(deployment)
    least = wanted(deployment) - max_unavailable
    spare = total([*old, new]) - least - (wanted(new) - available(new))
    if spare <= 0:
        return {}
    for rs in old:
        name = rs["metadata"]["name"]
        gone = min(spare, max(0, sizes[name] - available(rs)))
        sizes[name] -= gone
        spare -= gone
    spare_available = available(new) + sum(available(rs) for rs in old) - least
    for rs in old:
        name = rs["metadata"]["name"]
        gone = max(0, min(sizes[name], spare_available))
        sizes[name] -= gone
        spare_available -= gone
    return {name: size for name, size in sizes.items() if size != before[name]}


def proportional_sizes(deployment: Object, active: list[Object]) -> dict[str, int]:
    """Sizes by name when a Deployment is scaled in the middle of a rollout.

    All active ReplicaSets grow or shrink in proportion, so that the rollout neither gains nor
    loses ground; the largest takes what rounding leaves over. `active` is eldest first.
    """
    replicas = wanted(deployment)
    surge, _ = fenceposts(deployment)
    allowed = replicas + surge if replicas else 0
    to_add = allowed - total(active)
    newest_first = to_add > 0
    numbered = sorted(
        enumerate(active),
        key=lambda item: (-wanted(item[1]), -item[0] if newest_first else item[0]),
    )
    sizes: dict[str, int] = {}
    added = 0
    for _, rs in numbered:
        share = _share(deployment, rs, to_add, added, replicas + surge)
        sizes[rs["metadata"]["name"]] = wanted(rs) + share
        added += share
    if numbered and to_add != added:
        largest = numbered[0][1]["metadata"]["name"]
        sizes[largest] = max(0, sizes[largest] + to_add - added)
    return sizes


def is_saturated(deployment: Object, new: Object) -> bool:
    """The new ReplicaSet has, and was told to have, all the replicas, and all are available."""
    replicas = wanted(deployment)
    told = annotated(new, DESIRED)
    return wanted(new) == replicas and told == replicas and available(new) == replicas


def annotated(replica_set: Object, key: str) -> int | None:
    """A count kept in an annotation; None when absent or not a count."""
    text = (replica_set["metadata"].get("annotations") or {}).get(key, "")
    return int(text) if text.isdecimal() else None


def _share(deployment: Object, rs: Object, to_add: int, added: int, maximum: int) -> int:
    if wanted(rs) == 0 or to_add == added:
        return 0
    if wanted(deployment) == 0:
        fraction = -wanted(rs)
    else:
        status = deployment.get("status", {})
        before = annotated(rs, MAXIMUM) or int(status.get("replicas", 0))
        if before == 0:
            return 0
        fraction = math.floor(wanted(rs) * maximum / before + 0.5) - wanted(rs)
    left = to_add - added
    return min(fraction, left) if to_add > 0 else max(fraction, left)


def _scaled(value: int | str, replicas: int, *, round_up: bool) -> int:
    """A number of pods, or a percentage such as "25%" of `replicas`."""
    if isinstance(value, int):
        return value
    hundredths = int(value.removesuffix("%")) * replicas
    return -(-hundredths // 100) if round_up else hundredths // 100
