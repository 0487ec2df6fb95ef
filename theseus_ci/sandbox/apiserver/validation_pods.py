"""Field validation of pod specs and of what carries a pod template."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from theseus_ci.sandbox.apiserver.errors import (
    Cause,
    Object,
    duplicate,
    forbidden_field,
    invalid_value,
    required,
    unsupported,
)
from theseus_ci.sandbox.apiserver.selectors import from_object
from theseus_ci.sandbox.apiserver.validation import (
    ENV_NAME,
    dns_label,
    label_selector,
    labels,
    non_negative,
    one_of,
    port_number,
    unique,
)

HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def pod_spec(spec: Object, path: str) -> Iterator[Cause]:
    """Causes for a pod spec, defaults applied."""
    containers = spec.get("containers") or []
    if not containers:
        yield required(f"{path}.containers")
    volumes = spec.get("volumes") or []
    yield from unique(volumes, f"{path}.volumes", "name")
    for index, volume in enumerate(volumes):
        here = f"{path}.volumes[{index}]"
        yield from _name(volume, here)
        if len(volume) > 2:
            yield forbidden_field(here, "may not specify more than 1 volume type")
    names = {volume.get("name") for volume in volumes}
    yield from unique(containers, f"{path}.containers", "name")
    for index, container in enumerate(containers):
        yield from _container(container, f"{path}.containers[{index}]", names)
    options = ["Always", "OnFailure", "Never"]
    yield from one_of(spec.get("restartPolicy"), options, f"{path}.restartPolicy")
    policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]
    yield from one_of(spec.get("dnsPolicy"), policies, f"{path}.dnsPolicy")
    grace = spec.get("terminationGracePeriodSeconds")
    yield from non_negative(grace, f"{path}.terminationGracePeriodSeconds")
    yield from labels(spec.get("nodeSelector") or {}, f"{path}.nodeSelector")


def _name(item: Object, path: str) -> Iterator[Cause]:
    if item.get("name"):
        yield from dns_label(item["name"], f"{path}.name")
    else:
        yield required(f"{path}.name")


def _container(container: Object, path: str, volumes: set[Any]) -> Iterator[Cause]:
    yield from _name(container, path)
    if not container.get("image"):
        yield required(f"{path}.image")
    elif container["image"] != container["image"].strip():
        detail = "must not have leading or trailing whitespace"
        yield invalid_value(f"{path}.image", container["image"], detail)
    policies = ["Always", "IfNotPresent", "Never"]
    yield from one_of(container.get("imagePullPolicy"), policies, f"{path}.imagePullPolicy")
    yield from _ports(container.get("ports") or [], f"{path}.ports")
    yield from _environment(container.get("env") or [], f"{path}.env")
    mounts: list[Object] = container.get("volumeMounts") or []
    for index, mount in enumerate(mounts):
        here = f"{path}.volumeMounts[{index}]"
        if not mount.get("name"):
            yield required(f"{here}.name")
        elif mount["name"] not in volumes:
            yield Cause("FieldValueNotFound", f"{here}.name", f'Not found: "{mount["name"]}"')
        if not mount.get("mountPath"):
            yield required(f"{here}.mountPath")
    for index, mount in enumerate(mounts):
        if mount.get("mountPath") in {other.get("mountPath") for other in mounts[:index]}:
            detail = "must be unique"
            here = f"{path}.volumeMounts[{index}].mountPath"
            yield invalid_value(here, mount.get("mountPath"), detail)
    for name in PROBES:
        if name in container:
            yield from _probe(container[name], f"{path}.{name}", name)
    for name, handler in (container.get("lifecycle") or {}).items():
        if isinstance(handler, dict):
            yield from _handler(handler, f"{path}.lifecycle.{name}")


def _ports(ports: list[Object], path: str) -> Iterator[Cause]:
    names: set[str] = set()
    for index, port in enumerate(ports):
        here = f"{path}[{index}]"
        number, name = port.get("containerPort"), port.get("name")
        if number is None:
            yield required(f"{here}.containerPort")
        yield from port_number(number, f"{here}.containerPort")
        yield from one_of(port.get("protocol"), ["SCTP", "TCP", "UDP"], f"{here}.protocol")
        if name:
            if len(name) > 15:
                yield invalid_value(f"{here}.name", name, "must be no more than 15 characters")
            yield from dns_label(name, f"{here}.name")
            if name in names:
                yield duplicate(f"{here}.name", name)
            names.add(name)


def _environment(variables: list[Object], path: str) -> Iterator[Cause]:
    for index, variable in enumerate(variables):
        here, name = f"{path}[{index}]", variable.get("name", "")
        if not name:
            yield required(f"{here}.name")
        elif not ENV_NAME.match(name):
            detail = "a valid environment variable name must consist only of printable ASCII"
            yield invalid_value(f"{here}.name", name, f"{detail} characters other than '='")
        source = variable.get("valueFrom")
        if source is not None:
            if variable.get("value"):
                detail = "may not be specified when `value` is not empty"
                yield invalid_value(f"{here}.valueFrom", "", detail)
            if len(source) != 1:
                detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`"
                yield invalid_value(f"{here}.valueFrom", "", f"{detail} or `secretKeyRef`")


def _probe(probe: Object, path: str, name: str) -> Iterator[Cause]:
    yield from _handler(probe, path)
    fields = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds")
    for field in (*fields, "successThreshold", "failureThreshold"):
        yield from non_negative(probe.get(field), f"{path}.{field}")
    if name != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        yield invalid_value(f"{path}.successThreshold", probe["successThreshold"], "must be 1")


def _handler(handler: Object, path: str) -> Iterator[Cause]:
    given = [name for name in HANDLERS if name in handler]
    if not given:
        yield required(path, "must specify a handler type")
    for name in given[1:]:
        yield forbidden_field(f"{path}.{name}", "may not specify more than 1 handler type")
    for name in ("httpGet", "tcpSocket", "grpc"):
        if name in handler:
            yield from port_number(handler[name].get("port"), f"{path}.{name}.port")
    if "httpGet" in handler:
        schemes = ["HTTP", "HTTPS"]
        yield from one_of(handler["httpGet"].get("scheme"), schemes, f"{path}.httpGet.scheme")
    if "exec" in handler and not handler["exec"].get("command"):
        yield required(f"{path}.exec.command")


def pod(obj: Object) -> Iterator[Cause]:
    yield from pod_spec(obj.get("spec") or {}, "spec")


def templated(obj: Object, kind: str) -> Iterator[Cause]:
    """Causes for a Deployment or ReplicaSet."""
    spec = obj.get("spec") or {}
    yield from non_negative(spec.get("replicas"), "spec.replicas")
    yield from non_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")
    selector, template = spec.get("selector"), spec.get("template") or {}
    if selector is None:
        yield required("spec.selector")
    else:
        yield from label_selector(selector, "spec.selector")
        if not selector:
            detail = f"empty selector is invalid for {kind.lower()}"
            yield invalid_value("spec.selector", selector, detail)
    template_labels = (template.get("metadata") or {}).get("labels") or {}
    problems = list(label_selector(selector or {}, "spec.selector"))
    if selector and not problems and not from_object(selector).matches(template_labels):
        detail = "`selector` does not match template `labels`"
        yield invalid_value("spec.template.metadata.labels", template_labels, detail)
    yield from labels(template_labels, "spec.template.metadata.labels")
    template_spec = template.get("spec") or {}
    yield from pod_spec(template_spec, "spec.template.spec")
    if template_spec.get("restartPolicy") in ("OnFailure", "Never"):
        path = "spec.template.spec.restartPolicy"
        yield unsupported(path, template_spec["restartPolicy"], ["Always"])
    for index, owner in enumerate(template_spec.get("hostAliases") or []):
        if not owner.get("ip"):
            yield required(f"spec.template.spec.hostAliases[{index}].ip")


def deployment(obj: Object) -> Iterator[Cause]:
    yield from templated(obj, "Deployment")
    spec = obj.get("spec") or {}
    strategy = spec.get("strategy") or {}
    kinds = ["Recreate", "RollingUpdate"]
    yield from one_of(strategy.get("type"), kinds, "spec.strategy.type")
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") == "Recreate" and rolling is not None:
        detail = "may not be specified when strategy `type` is 'Recreate'"
        yield forbidden_field("spec.strategy.rollingUpdate", detail)
    elif rolling is not None:
        yield from _rolling(rolling)
    yield from non_negative(spec.get("revisionHistoryLimit"), "spec.revisionHistoryLimit")
    deadline, ready = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds", 0)
    yield from non_negative(deadline, "spec.progressDeadlineSeconds")
    if isinstance(deadline, int) and deadline <= ready:
        detail = "must be greater than minReadySeconds"
        yield invalid_value("spec.progressDeadlineSeconds", deadline, detail)


def _rolling(rolling: Object) -> Iterator[Cause]:
    zero = True
    for name in ("maxUnavailable", "maxSurge"):
        value, path = rolling.get(name), f"spec.strategy.rollingUpdate.{name}"
        if isinstance(value, str):
            if not (value.endswith("%") and value[:-1].isdigit()):
                detail = "a valid percent string must be a numeric string followed by an ending '%'"
                yield invalid_value(path, value, detail)
            elif int(value[:-1]) > 100 and name == "maxUnavailable":
                yield invalid_value(path, value, "must not be greater than 100%")
            zero = zero and value in ("0%", "%")
        else:
            yield from non_negative(value, path)
            zero = zero and value == 0
    if zero:
        detail = "may not be 0 when `maxSurge` is 0"
        path = "spec.strategy.rollingUpdate.maxUnavailable"
        yield invalid_value(path, rolling.get("maxUnavailable"), detail)


def replicaset(obj: Object) -> Iterator[Cause]:
    yield from templated(obj, "ReplicaSet")


def job(obj: Object) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    template = (spec.get("template") or {}).get("spec") or {}
    yield from pod_spec(template, "spec.template.spec")
    if template.get("restartPolicy") == "Always":
        path = "spec.template.spec.restartPolicy"
        yield unsupported(path, "Always", ["OnFailure", "Never"])
    for name in ("parallelism", "completions", "backoffLimit"):
        yield from non_negative(spec.get(name), f"spec.{name}")
