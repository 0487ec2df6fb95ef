"""What the server adds or refuses beyond a kind's own rules.

Addresses and node ports for Services, tolerations and priority for pods, namespaces that are gone,
Istio's own refusals, and everything in a pod that the sandbox could only pretend to run.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from theseus_ci.sandbox.apiserver.errors import (
    ApiError,
    Cause,
    Object,
    forbidden,
    forbidden_field,
    internal,
    invalid,
    invalid_value,
    not_found,
)
from theseus_ci.sandbox.apiserver.istio_rules import refusal
from theseus_ci.sandbox.apiserver.kinds import NAMESPACES, Resource
from theseus_ci.sandbox.apiserver.store import Store

SERVICE_NETWORK = ipaddress.IPv4Network("10.96.0.0/16")
NODE_PORTS = range(30_000, 32_768)
VOLUME_SOURCES = frozenset({"emptyDir", "configMap", "secret", "downwardAPI", "projected"})
REFUSED_IN_POD = {
    "hostNetwork": "host networking",
    "hostPID": "the host's process namespace",
    "hostIPC": "the host's IPC namespace",
    "shareProcessNamespace": "a shared process namespace",
    "ephemeralContainers": "ephemeral containers",
    "hostAliases": "entries in /etc/hosts",
    "resourceClaims": "resource claims",
    "runtimeClassName": "a runtime class",
}
REFUSED_IN_CONTAINER = {
    "volumeDevices": "block devices",
    "restartPolicy": "restart policies of single containers",
    "restartPolicyRules": "restart rules of single containers",
}
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def _refusal(path: str, what: str) -> Cause:
    return forbidden_field(path, f"the sandbox cannot run pods with {what}")


def _unrunnable(spec: Object, path: str) -> Iterator[Cause]:
    for name, what in REFUSED_IN_POD.items():
        if spec.get(name):
            yield _refusal(f"{path}.{name}", what)
    for index, volume in enumerate(spec.get("volumes") or []):
        for source in sorted(volume.keys() - VOLUME_SOURCES - {"name"}):
            yield _refusal(f"{path}.volumes[{index}].{source}", f"{source} volumes")
    for index, container in enumerate(spec.get("containers") or []):
        here = f"{path}.containers[{index}]"
        for name, what in REFUSED_IN_CONTAINER.items():
            if container.get(name):
                yield _refusal(f"{here}.{name}", what)
        for position, port in enumerate(container.get("ports") or []):
            if port.get("hostPort"):
                yield _refusal(f"{here}.ports[{position}].hostPort", "host ports")
        for name in PROBES:
            if "grpc" in (container.get(name) or {}):
                yield _refusal(f"{here}.{name}.grpc", "gRPC probes")


def unrunnable(resource: Resource, obj: Object) -> list[Cause]:
    """Causes for what the sandbox's kubelet cannot do, in a pod or a pod template."""
    spec = obj.get("spec") or {}
    if resource.key == ("", "pods"):
        return list(_unrunnable(spec, "spec"))
    if resource.key in (("apps", "deployments"), ("apps", "replicasets")):
        return list(
            _unrunnable((spec.get("template") or {}).get("spec") or {}, "spec.template.spec")
        )
    return []


def check_namespace(store: Store, resource: Resource, namespace: str, name: str) -> None:
    """ApiError 404 or 403 when nothing can be created in `namespace`."""
    stored = store.get(NAMESPACES.key, ("", namespace))
    if stored is None:
        raise not_found("", "namespaces", namespace)
    if stored.obj["metadata"].get("deletionTimestamp"):
        why = (
            f"unable to create new content in namespace {namespace} because it is being terminated"
        )
        refusal = forbidden(resource.group, resource.plural, name, why)
        refusal.status["details"]["causes"] = [
            {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
        ]
        raise refusal


def admit(store: Store, resource: Resource, obj: Object, old: Object | None) -> None:
    """Complete `obj` (defaulted, valid but for this) in place; ApiError when it is refused."""
    if resource.key == ("", "pods") and old is None:
        _pod(obj["spec"])
    elif resource.key == ("", "services"):
        _service(store, obj, old)
    elif resource.group == "networking.istio.io":
        why = refusal(resource.plural, obj.get("spec") or {})
        if why:
            raise ApiError(
                400,
                "BadRequest",
                'admission webhook "validation.istio.io" denied the request: configuration is '
                f"invalid: {why}",
            )


def _pod(spec: Object) -> None:
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    tolerations = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(item.get("key") in (key, None) for item in tolerations):
            tolerations.append(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            )


def _used(store: Store) -> tuple[set[str], set[int]]:
    addresses, ports = set(), set()
    for stored in store.collection(("", "services")).objects.values():
        spec = stored.obj["spec"]
        addresses.add(spec.get("clusterIP"))
        ports |= {port["nodePort"] for port in spec.get("ports") or [] if port.get("nodePort")}
    return addresses, ports


def _service(store: Store, obj: Object, old: Object | None) -> None:
    spec, before = obj["spec"], (old or {}).get("spec") or {}
    addresses, ports = _used(store)
    if spec["type"] != "ExternalName":
        wanted = spec.get("clusterIP") or before.get("clusterIP") or _free_address(addresses)
        if wanted not in ("None", before.get("clusterIP")):
            _check_address(obj, wanted, addresses)
        spec["clusterIP"], spec["clusterIPs"] = wanted, [wanted]
    own = {port.get("nodePort") for port in before.get("ports") or []}
    exposed = spec["type"] in ("NodePort", "LoadBalancer")
    for index, port in enumerate(spec.get("ports") or []):
        given = port.get("nodePort")
        if not exposed:
            if given and old is not None:
                del port["nodePort"]
            elif given:
                detail = "may not be used when `type` is 'ClusterIP'"
                raise _bad_service(obj, forbidden_field(f"spec.ports[{index}].nodePort", detail))
        elif not given:
            same = [
                other["nodePort"]
                for other in before.get("ports") or []
                if other.get("nodePort") and other["port"] == port["port"]
            ]
            port["nodePort"] = same[0] if same else _free_port(ports)
            ports.add(port["nodePort"])
        elif given in ports - own:
            detail = "provided port is already allocated"
            raise _bad_service(obj, invalid_value(f"spec.ports[{index}].nodePort", given, detail))


def _bad_service(obj: Object, cause: Cause) -> ApiError:
    return invalid("", "Service", obj["metadata"].get("name", ""), [cause])


def _free_address(used: set[str]) -> str:
    for address in SERVICE_NETWORK.hosts():
        text = str(address)
        if text not in used and text != "10.96.0.1":
            return text
    raise internal("failed to allocate a serviceIP: range is full")


def _check_address(obj: Object, address: str, used: set[str]) -> None:
    try:
        inside = ipaddress.IPv4Address(address) in SERVICE_NETWORK
    except ValueError:
        detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        raise _bad_service(obj, invalid_value("spec.clusterIPs[0]", address, detail)) from None
    if not inside:
        detail = (
            f"failed to allocate IP {address}: the provided IP ({address}) is not in the valid "
            f"range. The range of valid IPs is {SERVICE_NETWORK}"
        )
        raise _bad_service(obj, invalid_value("spec.clusterIPs", [address], detail))
    if address in used:
        detail = f"failed to allocate IP {address}: provided IP is already allocated"
        raise _bad_service(obj, invalid_value("spec.clusterIPs", [address], detail))


def _free_port(used: set[int]) -> int:
    for port in NODE_PORTS:
        if port not in used:
            return port
    raise internal("failed to allocate a nodePort: range is full")
