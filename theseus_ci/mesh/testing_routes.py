"""The rollout's test routes alone: what is needed to see a subset before production names it."""

from __future__ import annotations

from theseus_ci.mesh.headers import KEY
from theseus_ci.mesh.naming import is_own_route, is_rollout_route
from theseus_ci.mesh.routing import Routing, ServiceHost
from theseus_ci.mesh.undo import SECTIONS
from theseus_ci.mesh.virtual_service import edit_virtual_service, entries_of, original_routes
from theseus_ci.model import Object, clone


def edit_test_routes(vs: Object, routing: Routing) -> Object:
    """As `edit_virtual_service`, but production's entries keep the destinations users wrote."""
    edited = edit_virtual_service(vs, routing)
    original = original_routes(vs)
    for section in SECTIONS:
        users = [one for one in entries_of(original, section) if not is_rollout_route(one)]
        ours = [one for one in entries_of(edited, section) if not is_rollout_route(one)]
        for entry, written in zip(ours, users, strict=True):
            if "route" in written:
                entry["route"] = clone(written["route"])
    return edited


def secret_in(vs: Object, service: ServiceHost) -> str | None:
    """The value of the secret header in the test routes of this service's rollout, if any."""
    for entry in entries_of(vs, "http"):
        if not is_own_route(entry, service):
            continue
        for block in entry.get("match") or []:
            value = ((block.get("headers") or {}).get(KEY) or {}).get("exact")
            if value:
                return str(value)
    return None


def candidate_weight(vs: Object, service: ServiceHost, candidate: str) -> int | None:
    """Percent of the service's production requests that go to subset `candidate`: the largest
    share in any entry, None when no entry sends to the service."""
    written_in = (vs.get("metadata") or {}).get("namespace") or "default"
    shares: list[int] = []
    for section in SECTIONS:
        for entry in entries_of(vs, section):
            if is_rollout_route(entry):
                continue
            ours = [
                one
                for one in entry.get("route") or []
                if service.resolves(str((one.get("destination") or {}).get("host", "")), written_in)
            ]
            weights = [int(one.get("weight", 0)) for one in ours]
            if len(entry.get("route") or []) == 1:
                weights = [100 for _ in ours]
            total = sum(weights)
            if total:
                mine = sum(
                    weight
                    for one, weight in zip(ours, weights, strict=True)
                    if one["destination"].get("subset") == candidate
                )
                shares.append(round(100 * mine / total))
    return max(shares, default=None)
