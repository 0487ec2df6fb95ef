"""Objects that exist only for a rollout, and how they are known when it ends."""

from __future__ import annotations

from collections.abc import Sequence

from theseus_ci.mesh.naming import annotation_name, digest
from theseus_ci.mesh.routing import ServiceHost
from theseus_ci.model import Object

API_VERSION = "networking.istio.io/v1"
MESH_GATEWAY = "mesh"


def mark_created(obj: Object, service: ServiceHost, spec: Object) -> Object:
    """The object with a note that it was made for the rollout, and of what then was in it."""
    metadata = obj.setdefault("metadata", {})
    annotations = metadata.setdefault("annotations", {})
    annotations[annotation_name("created", service)] = digest(spec)
    return obj


def was_created(obj: Object, service: ServiceHost) -> bool:
    """Whether the object was made for a rollout of the service."""
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    return annotation_name("created", service) in annotations


def as_created(obj: Object, service: ServiceHost, spec: Object) -> bool:
    """Whether the object was made for the rollout and nobody has put anything into it since."""
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    return bool(annotations.get(annotation_name("created", service)) == digest(spec))


def unmark_created(obj: Object, service: ServiceHost) -> None:
    """Take the note off: the object stays, since somebody has put something into it."""
    metadata = obj.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    if annotations.pop(annotation_name("created", service), None) is not None and not annotations:
        del metadata["annotations"]


def new_virtual_service(
    service: ServiceHost,
    *,
    hosts: Sequence[str] = (),
    gateways: Sequence[str] = (),
    http: bool = True,
    tcp_ports: Sequence[int] = (),
    name: str = "",
) -> Object:
    """A VirtualService that sends everything to the service, as the mesh does without one.

    By default it is for the service's own host in the sidecars. It is then edited like any other,
    and restoring it tells that it is to be deleted. Ports that do not speak HTTP go to
    `tcp_ports`; `http=False` when none does.
    """
    spec: Object = {"hosts": list(hosts) or [service.fqdn]}
    if gateways:
        spec["gateways"] = list(gateways)
    if http:
        spec["http"] = [{"route": [{"destination": {"host": service.fqdn}}]}]
    if tcp_ports:
        spec["tcp"] = [_tcp_entry(service, port) for port in tcp_ports]
    made: Object = {
        "apiVersion": API_VERSION,
        "kind": "VirtualService",
        "metadata": {"name": name or f"{service.name}-theseus", "namespace": service.namespace},
        "spec": spec,
    }
    return mark_created(made, service, spec)


def _tcp_entry(service: ServiceHost, port: int) -> Object:
    destination = {"host": service.fqdn, "port": {"number": port}}
    return {"match": [{"port": port}], "route": [{"destination": destination}]}
