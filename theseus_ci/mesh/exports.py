"""Which proxies an Istio object counts for: those it is exported to, and whose routes it holds."""

from __future__ import annotations

from theseus_ci.mesh.created import MESH_GATEWAY
from theseus_ci.mesh.virtual_service import namespace_of
from theseus_ci.model import Object

EVERYWHERE = frozenset({"*"})
NOWHERE = "~"


def exported_to(obj: Object) -> frozenset[str]:
    """The namespaces whose proxies see the object; `EVERYWHERE` for all of them."""
    targets = (obj.get("spec") or {}).get("exportTo") or ["*"]
    if "*" in targets:
        return EVERYWHERE
    own = namespace_of(obj)
    return frozenset(own if one == "." else str(one) for one in targets if one != NOWHERE)


def visible_in(obj: Object, namespace: str) -> bool:
    """Whether proxies of the namespace see the object."""
    targets = exported_to(obj)
    return targets == EVERYWHERE or namespace in targets


def for_callers(virtual_service: Object) -> bool:
    """Whether callers' sidecars take its routes. So they may those of a delegate, which has no
    gateways of its own: it serves wherever the one that delegates to it does."""
    return MESH_GATEWAY in _gateways(virtual_service)


def gateway_namespaces(virtual_service: Object) -> frozenset[str]:
    """The namespaces in which it names gateways. Their pods may run in others."""
    parts = (one.rpartition("/")[0] for one in _gateways(virtual_service) if one != MESH_GATEWAY)
    return frozenset(one or namespace_of(virtual_service) for one in parts)


def _gateways(virtual_service: Object) -> list[str]:
    return (virtual_service.get("spec") or {}).get("gateways") or [MESH_GATEWAY]
