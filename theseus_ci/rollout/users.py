"""Replicas and autoscaler bounds that users change while a rollout runs: kept, and told.

A rollout writes these fields too. What it wrote goes back to the user's value at the end; a value
that is neither the user's nor one of ours was set by somebody meanwhile: it is the user's from then
on, and neither rollback nor promote undoes it.
"""

from __future__ import annotations

import hashlib

import msgspec

from theseus_ci.model import Object
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.state import Before, Ref, State

LOW, HIGH, REPLICAS = "minReplicas", "maxReplicas", "replicas"
_BOUNDS_AND_TARGET = (LOW, HIGH, "scaleTargetRef")


def wrote(state: State, ref: Ref, field: str, value: int) -> None:
    """Remember, before it is done, that the rollout writes `value`."""
    values = state.written.setdefault(_key(ref, field), [])
    if value not in values:
        values.append(value)


def users_value(rollout: Rollout, ref: Ref, field: str, found: int, users: int) -> int:
    """The user's value of a field that holds `found`: `users` so far, or what they set since."""
    ours = rollout.state.written.get(_key(ref, field), [])
    if found == users or found in ours:
        return users
    rollout.note(
        f"somebody has changed {ref}: {field} is {found} instead of "
        f"{' or '.join(map(str, dict.fromkeys([users, *ours])))}; it is kept"
    )
    return found


def follow_previous_bounds(rollout: Rollout, ref: Ref, hpa: Object) -> Before:
    """What the previous version's autoscaler is to go back to, as users want it now."""
    state = rollout.state
    before = state.before
    assert before is not None
    if before.hpa_min is None or before.hpa_max is None:
        return before
    low, high = _bounds(hpa)
    followed = msgspec.structs.replace(
        before,
        hpa_min=users_value(rollout, ref, LOW, low, before.hpa_min),
        hpa_max=users_value(rollout, ref, HIGH, high, before.hpa_max),
    )
    if before.hpa_rest and before.hpa_rest != rest_digest(hpa):
        rollout.note(f"somebody has changed {ref}: its metrics or behaviour; it is kept")
    if state.candidate_hpa_copied and followed != before:
        state.candidate_hpa_min, state.candidate_hpa_max = followed.hpa_min, followed.hpa_max
    state.before = followed
    return followed


def follow_previous_replicas(rollout: Rollout, ref: Ref, deployment: Object) -> Before:
    """How many replicas the previous version is to go back to, as users want it now.

    Where it has an autoscaler, that decides, and no user. Nobody goes back to no pods at all: they
    could not carry the traffic.
    """
    state = rollout.state
    before = state.before
    assert before is not None
    assert state.previous is not None
    found = int(deployment["spec"].get("replicas", 1))
    if state.previous.hpa is not None:
        return before
    if found == 0:
        rollout.note(f"somebody has scaled {ref} to 0: without pods it can carry no traffic")
        return before
    replicas = users_value(rollout, ref, REPLICAS, found, before.replicas)
    state.before = msgspec.structs.replace(before, replicas=replicas)
    return state.before


def follow_candidate_bounds(rollout: Rollout, ref: Ref, hpa: Object) -> None:
    """Keep in the state what the candidate's autoscaler is to have at the end."""
    state = rollout.state
    if state.candidate_hpa_min is None or state.candidate_hpa_max is None:
        return
    low, high = _bounds(hpa)
    state.candidate_hpa_min = users_value(rollout, ref, LOW, low, state.candidate_hpa_min)
    state.candidate_hpa_max = users_value(rollout, ref, HIGH, high, state.candidate_hpa_max)


def rest_digest(hpa: Object) -> str:
    """Identifies what an autoscaler says besides its bounds and its target."""
    rest = {key: value for key, value in hpa["spec"].items() if key not in _BOUNDS_AND_TARGET}
    encoded = msgspec.json.encode(rest, order="deterministic")
    return hashlib.sha256(encoded).hexdigest()[:16]


def with_rest_of(hpa: Object, model: Object) -> Object:
    """A copy of `hpa` that says what `model` does, but for its own bounds and target."""
    own = {key: value for key, value in hpa["spec"].items() if key in _BOUNDS_AND_TARGET}
    rest = {key: value for key, value in model["spec"].items() if key not in _BOUNDS_AND_TARGET}
    return {**hpa, "spec": {**rest, **own}}


def _bounds(hpa: Object) -> tuple[int, int]:
    return int(hpa["spec"].get(LOW, 1)), int(hpa["spec"][HIGH])


def _key(ref: Ref, field: str) -> str:
    return f"{ref.kind}/{ref.name} {field}"
