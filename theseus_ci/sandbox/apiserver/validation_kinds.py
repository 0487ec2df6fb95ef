"""Field validation of the kinds that carry no pods, and the dispatch over all kinds."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Callable, Iterator
from typing import Any

from theseus_ci.sandbox.apiserver import validation_pods
from theseus_ci.sandbox.apiserver.errors import (
    Cause,
    Object,
    invalid_value,
    required,
    unsupported,
)
from theseus_ci.sandbox.apiserver.kinds import Key, Resource
from theseus_ci.sandbox.apiserver.structural import violations
from theseus_ci.sandbox.apiserver.validation import (
    NameRule,
    dns_1035,
    dns_label,
    dns_subdomain,
    label_selector,
    labels,
    metadata,
    non_negative,
    one_of,
    path_segment,
    port_number,
    qualified_name,
    unique,
)

RBAC = "rbac.authorization.k8s.io"
DATA_LIMIT = 1024 * 1024


def _service(obj: Object) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
    yield from one_of(spec.get("type"), kinds, "spec.type")
    yield from one_of(spec.get("sessionAffinity"), ["ClientIP", "None"], "spec.sessionAffinity")
    ports = spec.get("ports") or []
    headless = spec.get("clusterIP") == "None"
    if spec.get("type") == "ExternalName":
        if not spec.get("externalName"):
            yield required("spec.externalName")
        return
    if not ports and not headless:
        yield required("spec.ports")
    yield from labels(spec.get("selector") or {}, "spec.selector")
    for index, port in enumerate(ports):
        yield from _service_port(port, f"spec.ports[{index}]", named=len(ports) > 1)
    yield from unique([port for port in ports if port.get("name")], "spec.ports", "name")
    seen: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        identity = (port.get("protocol"), port.get("port"))
        if identity in seen:
            value = {"protocol": identity[0], "port": identity[1]}
            yield Cause(
                "FieldValueDuplicate",
                f"spec.ports[{index}]",
                f"Duplicate value: {value!r}".replace("'", '"'),
            )
        seen.add(identity)


def _service_port(port: Object, path: str, *, named: bool) -> Iterator[Cause]:
    name = port.get("name")
    if named and not name:
        yield required(f"{path}.name")
    if name:
        yield from dns_label(name, f"{path}.name")
    if port.get("port") is None:
        yield required(f"{path}.port")
    yield from port_number(port.get("port"), f"{path}.port")
    yield from port_number(port.get("targetPort"), f"{path}.targetPort")
    yield from one_of(port.get("protocol"), ["SCTP", "TCP", "UDP"], f"{path}.protocol")
    node_port = port.get("nodePort")
    if node_port and not 30_000 <= node_port <= 32_767:
        detail = "provided port is not in the valid range. The range of valid ports is 30000-32767"
        yield invalid_value(f"{path}.nodePort", node_port, detail)


def _autoscaler(obj: Object) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    target = spec.get("scaleTargetRef") or {}
    for name in ("kind", "name"):
        if not target.get(name):
            yield required(f"spec.scaleTargetRef.{name}")
    low, high = spec.get("minReplicas", 1), spec.get("maxReplicas")
    if low < 1:
        yield invalid_value("spec.minReplicas", low, "must be greater than or equal to 1")
    if high is None or high < 1:
        yield invalid_value("spec.maxReplicas", high or 0, "must be greater than 0")
    elif high < low:
        detail = "must be greater than or equal to `minReplicas`"
        yield invalid_value("spec.maxReplicas", high, detail)
    for index, metric in enumerate(spec.get("metrics") or []):
        yield from _metric(metric, f"spec.metrics[{index}]")


def _metric(metric: Object, path: str) -> Iterator[Cause]:
    sources = {
        "Resource": "resource",
        "ContainerResource": "containerResource",
        "Pods": "pods",
        "Object": "object",
        "External": "external",
    }
    kind = metric.get("type")
    if not kind:
        yield required(f"{path}.type", "must specify a metric source type")
    elif kind not in sources:
        yield unsupported(f"{path}.type", kind, sorted(sources))
    elif sources[kind] not in metric:
        detail = f"must populate information for the given metric source {kind}"
        yield required(f"{path}.{sources[kind]}", detail)


def _budget(obj: Object) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    if "minAvailable" in spec and "maxUnavailable" in spec:
        detail = "minAvailable and maxUnavailable cannot be both set"
        yield invalid_value("spec", spec, detail)
    for name in ("minAvailable", "maxUnavailable"):
        yield from non_negative(spec.get(name), f"spec.{name}")
    yield from label_selector(spec.get("selector") or {}, "spec.selector")


def _endpoint_slice(obj: Object) -> Iterator[Cause]:
    kind = obj.get("addressType")
    if not kind:
        yield required("addressType")
    else:
        yield from one_of(kind, ["FQDN", "IPv4", "IPv6"], "addressType")
    for index, endpoint in enumerate(obj.get("endpoints") or []):
        path = f"endpoints[{index}].addresses"
        addresses = endpoint.get("addresses") or []
        if not addresses:
            yield required(path, "must contain at least 1 address")
        for position, address in enumerate(addresses):
            yield from _endpoint_address(address, f"{path}[{position}]")
    names: list[Object] = obj.get("ports") or []
    yield from unique(names, "ports", "name")
    for index, port in enumerate(names):
        yield from port_number(port.get("port"), f"ports[{index}].port")


def _endpoint_address(address: str, path: str) -> Iterator[Cause]:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        yield invalid_value(path, address, detail)
        return
    if ip.is_unspecified:
        yield invalid_value(path, address, "may not be unspecified (0.0.0.0 or ::)")
    if ip.is_loopback:
        yield invalid_value(
            path, address, "may not be in the loopback range (127.0.0.0/8, ::1/128)"
        )
    if ip.is_link_local:
        detail = "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
        yield invalid_value(path, address, detail)


def _lease(obj: Object) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    duration = spec.get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        yield invalid_value("spec.leaseDurationSeconds", duration, "must be greater than 0")
    transitions = spec.get("leaseTransitions")
    yield from non_negative(transitions, "spec.leaseTransitions")


def _config_data(obj: Object) -> Iterator[Cause]:
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    size = 0
    for section, values in (("data", data), ("binaryData", binary)):
        for key, value in values.items():
            if not key or len(key) > 253 or not all(c.isalnum() or c in "-_." for c in key):
                detail = (
                    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
                    "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation "
                    "is '[-._a-zA-Z0-9]+')"
                )
                yield invalid_value(f"{section}[{key}]", key, detail)
            size += len(value.encode())
    if size > DATA_LIMIT:
        yield Cause("FieldValueTooLong", "", f"Too long: may not be more than {DATA_LIMIT} bytes")


def _secret(obj: Object) -> Iterator[Cause]:
    yield from _config_data(obj)
    for key, value in (obj.get("data") or {}).items():
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error:
            yield invalid_value(f"data[{key}]", "<omitted>", "must be base64-encoded")


def _role(obj: Object) -> Iterator[Cause]:
    for index, rule in enumerate(obj.get("rules") or []):
        path = f"rules[{index}]"
        if not rule.get("verbs"):
            yield required(f"{path}.verbs", "verbs must contain at least one value")
        if rule.get("nonResourceURLs"):
            continue
        for name, detail in (
            ("apiGroups", "resource rules must supply at least one api group"),
            ("resources", "resource rules must supply at least one resource"),
        ):
            if not rule.get(name):
                yield required(f"{path}.{name}", detail)


def _role_binding(obj: Object) -> Iterator[Cause]:
    role = obj.get("roleRef") or {}
    if role.get("apiGroup") != RBAC:
        yield unsupported("roleRef.apiGroup", role.get("apiGroup", ""), [RBAC])
    yield from one_of(role.get("kind", ""), ["ClusterRole", "Role"], "roleRef.kind")
    if not role.get("name"):
        yield required("roleRef.name")
    for index, subject in enumerate(obj.get("subjects") or []):
        path, kind = f"subjects[{index}]", subject.get("kind")
        if not subject.get("name"):
            yield required(f"{path}.name")
        yield from one_of(kind, ["Group", "ServiceAccount", "User"], f"{path}.kind")


def _definition(obj: Object) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    names, group = spec.get("names") or {}, spec.get("group")
    for field, value in (("group", group), ("names.plural", names.get("plural"))):
        if not value:
            yield required(f"spec.{field}")
    if not names.get("kind"):
        yield required("spec.names.kind")
    wanted = f"{names.get('plural')}.{group}"
    if obj["metadata"].get("name") != wanted:
        detail = 'must be spec.names.plural+"."+spec.group'
        yield invalid_value("metadata.name", obj["metadata"].get("name"), detail)
    yield from one_of(spec.get("scope", ""), ["Cluster", "Namespaced"], "spec.scope")
    versions = spec.get("versions") or []
    if sum(bool(version.get("storage")) for version in versions) != 1:
        detail = "must have exactly one version marked as storage version"
        yield invalid_value("spec.versions", [version.get("name") for version in versions], detail)
    for index, version in enumerate(versions):
        path = f"spec.versions[{index}].schema.openAPIV3Schema"
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            yield required(path, "schemas are required")


def _namespace(obj: Object) -> Iterator[Cause]:
    for index, finalizer in enumerate((obj.get("spec") or {}).get("finalizers") or []):
        yield from qualified_name(finalizer, f"spec.finalizers[{index}]")


VALIDATORS: dict[Key, Callable[[Object], Iterator[Cause]]] = {
    ("", "pods"): validation_pods.pod,
    ("", "services"): _service,
    ("", "configmaps"): _config_data,
    ("", "secrets"): _secret,
    ("", "namespaces"): _namespace,
    ("apps", "deployments"): validation_pods.deployment,
    ("apps", "replicasets"): validation_pods.replicaset,
    ("autoscaling", "horizontalpodautoscalers"): _autoscaler,
    ("batch", "jobs"): validation_pods.job,
    ("policy", "poddisruptionbudgets"): _budget,
    ("discovery.k8s.io", "endpointslices"): _endpoint_slice,
    ("coordination.k8s.io", "leases"): _lease,
    (RBAC, "roles"): _role,
    (RBAC, "clusterroles"): _role,
    (RBAC, "rolebindings"): _role_binding,
    (RBAC, "clusterrolebindings"): _role_binding,
    ("apiextensions.k8s.io", "customresourcedefinitions"): _definition,
}
NAME_RULES: dict[Key, NameRule] = {
    ("", "services"): dns_1035,
    ("", "namespaces"): dns_label,
    **{(RBAC, plural): path_segment for plural in ("roles", "clusterroles")},
    **{(RBAC, plural): path_segment for plural in ("rolebindings", "clusterrolebindings")},
}


def problems(resource: Resource, version: str, obj: Object) -> list[Cause]:
    """Everything wrong with a whole object, defaults applied."""
    rule = NAME_RULES.get(resource.key, dns_subdomain)
    found = list(metadata(obj, namespaced=resource.namespaced, rule=rule))
    if resource.custom:
        found += violations(
            {name: value for name, value in obj.items() if name != "metadata"},
            resource.schema(version),
            "",
        )
    elif resource.key in VALIDATORS:
        found += VALIDATORS[resource.key](obj)
    return found
