"""Taking a version that carries nothing out of the routes."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from theseus_ci.mesh.routing import ServiceHost
from theseus_ci.mesh.shares import share
from theseus_ci.mesh.undo import SECTIONS
from theseus_ci.mesh.virtual_service import entries_of, namespace_of
from theseus_ci.model import Object, clone


def drop_subset_routes(vs: Object, service: ServiceHost, subsets: AbstractSet[str]) -> Object:
    """The object without destinations at these subsets that get no share.

    Destinations with a share stay: taking them out is for whoever moves traffic.
    """
    edited = clone(vs)
    written_in = namespace_of(vs)
    for section in SECTIONS:
        for entry in entries_of(edited, section):
            route = entry.get("route") or []
            kept = [
                one
                for index, one in enumerate(route)
                if share(route, index)
                or (one.get("destination") or {}).get("subset") not in subsets
                or not service.resolves(str(one["destination"].get("host", "")), written_in)
            ]
            if kept and len(kept) < len(route):
                entry["route"] = kept
    return edited
