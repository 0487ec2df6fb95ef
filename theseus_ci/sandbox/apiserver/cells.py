"""The cells of each kind's row, as the real server prints them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

import msgspec

from theseus_ci.sandbox.apiserver import selectors
from theseus_ci.sandbox.apiserver.errors import Object

Row = list[Any]
NONE, UNKNOWN, UNSET = "<none>", "<unknown>", "<unset>"
MINUTE, HOUR, DAY, YEAR = 60, 3600, 86_400, 86_400 * 365


def compact(value: Any) -> str:
    """A list or map as JSON text."""
    return msgspec.json.encode(value).decode()


def duration(seconds: int) -> str:
    """A duration as ages are printed: 5s, 3m20s, 4h2m, 5d, 2y30d."""
    steps = (
        (2 * MINUTE, "s", 1, "", 0),
        (10 * MINUTE, "m", MINUTE, "s", 1),
        (3 * HOUR, "m", MINUTE, "", 0),
        (8 * HOUR, "h", HOUR, "m", MINUTE),
        (2 * DAY, "h", HOUR, "", 0),
        (8 * DAY, "d", DAY, "h", HOUR),
        (2 * YEAR, "d", DAY, "", 0),
        (8 * YEAR, "y", YEAR, "d", DAY),
    )
    if seconds < -1:
        return "<invalid>"
    seconds = max(seconds, 0)
    for limit, unit, size, small_unit, small in steps:
        if seconds < limit:
            rest = seconds % size // small if small else 0
            return f"{seconds // size}{unit}" + (f"{rest}{small_unit}" if rest else "")
    return f"{seconds // YEAR}y"


def _instant(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None


def since(text: str | None) -> str:
    """The age of an RFC 3339 time."""
    instant = _instant(text) if text else None
    if instant is None:
        return UNKNOWN
    return duration(int((datetime.now(timezone.utc) - instant).total_seconds()))


def name(obj: Object) -> str:
    return str(obj["metadata"].get("name", ""))


def age(obj: Object) -> str:
    return since(obj["metadata"].get("creationTimestamp"))


def _joined(values: Iterable[Any]) -> str:
    return ",".join(str(value) for value in values)


def _labels(labels: Object | None) -> str:
    return _joined(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def _template(obj: Object) -> Row:
    spec = obj.get("spec") or {}
    containers = ((spec.get("template") or {}).get("spec") or {}).get("containers") or []
    return [
        _joined(container.get("name") for container in containers),
        _joined(container.get("image") for container in containers),
        selectors.to_text(spec.get("selector")) or NONE,
    ]


def _pod_reason(pod: Object) -> str:
    status = pod.get("status") or {}
    reason = str(status.get("reason") or status.get("phase") or UNKNOWN)
    running = False
    for container in reversed(status.get("containerStatuses") or []):
        state = container.get("state") or {}
        waiting, terminated = state.get("waiting") or {}, state.get("terminated")
        if waiting.get("reason"):
            reason = waiting["reason"]
        elif terminated is not None and terminated.get("reason"):
            reason = terminated["reason"]
        elif terminated is not None:
            signal = terminated.get("signal")
            reason = f"Signal:{signal}" if signal else f"ExitCode:{terminated.get('exitCode', 0)}"
        elif container.get("ready") and "running" in state:
            running = True
    if reason == "Completed" and running:
        ready = any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in status.get("conditions") or []
        )
        reason = "Running" if ready else "NotReady"
    if pod["metadata"].get("deletionTimestamp"):
        return UNKNOWN.strip("<>").title() if status.get("reason") == "NodeLost" else "Terminating"
    return reason


def _restarts(statuses: list[Object]) -> str:
    count = sum(status.get("restartCount", 0) for status in statuses)
    ends = [
        ((status.get("lastState") or {}).get("terminated") or {}).get("finishedAt")
        for status in statuses
    ]
    last = max((end for end in ends if end), default="")
    return f"{count} ({since(last)} ago)" if count and last else str(count)


def pod(obj: Object) -> Row:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    statuses = status.get("containerStatuses") or []
    ready = sum(
        bool(container.get("ready") and "running" in (container.get("state") or {}))
        for container in statuses
    )
    gates = spec.get("readinessGates") or []
    true = {c["type"] for c in status.get("conditions") or [] if c.get("status") == "True"}
    met = sum(gate.get("conditionType") in true for gate in gates)
    return [
        name(obj),
        f"{ready}/{len(spec.get('containers') or [])}",
        _pod_reason(obj),
        _restarts(statuses),
        age(obj),
        status.get("podIP") or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        f"{met}/{len(gates)}" if gates else NONE,
    ]


def deployment(obj: Object) -> Row:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    return [
        name(obj),
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        age(obj),
        *_template(obj),
    ]


def replicaset(obj: Object) -> Row:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    return [
        name(obj),
        spec.get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        age(obj),
        *_template(obj),
    ]


def job(obj: Object) -> Row:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    true = {c["type"] for c in status.get("conditions") or [] if c.get("status") == "True"}
    state = next((kind for kind in ("Complete", "Failed", "Suspended") if kind in true), "Running")
    start, end = status.get("startTime"), status.get("completionTime")
    took = ""
    begun, ended = _instant(start or ""), _instant(end or "")
    if begun is not None:
        took = duration(int((ended - begun).total_seconds())) if ended else since(start)
    done = f"{status.get('succeeded', 0)}/{spec.get('completions') or 1}"
    return [name(obj), state, done, took, age(obj), *_template(obj)]


def _external(spec: Object, status: Object) -> str:
    kind = spec.get("type")
    fixed = _joined(spec.get("externalIPs") or [])
    if kind == "ExternalName":
        return str(spec.get("externalName", ""))
    if kind == "LoadBalancer":
        ingress = (status.get("loadBalancer") or {}).get("ingress") or []
        given = _joined(entry.get("ip") or entry.get("hostname") for entry in ingress)
        return ",".join(filter(None, (given, fixed))) or "<pending>"
    return fixed or NONE


def service(obj: Object) -> Row:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    ports = [
        f"{port['port']}:{port['nodePort']}/{port.get('protocol')}"
        if port.get("nodePort")
        else f"{port['port']}/{port.get('protocol')}"
        for port in spec.get("ports") or []
    ]
    return [
        name(obj),
        spec.get("type"),
        spec.get("clusterIP") or NONE,
        _external(spec, status),
        ",".join(ports) or NONE,
        age(obj),
        _labels(spec.get("selector")),
    ]


def _target(metric: Object, current: Object) -> str:
    kind = metric.get("type", "")
    field = kind[:1].lower() + kind[1:]
    source, seen = metric.get(field) or {}, (current.get(field) or {}).get("current") or {}
    target = source.get("target") or {}
    label = f"{source.get('name')}: " if field == "resource" else ""
    if target.get("averageUtilization") is not None:
        now = seen.get("averageUtilization")
        return f"{label}{UNKNOWN if now is None else f'{now}%'}/{target['averageUtilization']}%"
    if target.get("averageValue") is not None:
        average = "" if field == "resource" else " (avg)"
        return f"{label}{seen.get('averageValue', UNKNOWN)}/{target['averageValue']}{average}"
    return f"{label}{seen.get('value', UNKNOWN)}/{target.get('value', UNKNOWN)}"


def autoscaler(obj: Object) -> Row:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    reference = spec.get("scaleTargetRef") or {}
    metrics, current = spec.get("metrics") or [], status.get("currentMetrics") or []
    shown = [
        _target(metric, current[index] if index < len(current) else {})
        for index, metric in enumerate(metrics)
    ]
    targets = ", ".join(shown[:2]) + (f" + {len(shown) - 2} more..." if len(shown) > 2 else "")
    return [
        name(obj),
        f"{reference.get('kind')}/{reference.get('name')}",
        targets or NONE,
        str(spec.get("minReplicas", UNSET)),
        str(spec.get("maxReplicas")),
        status.get("currentReplicas", 0),
        age(obj),
    ]


def _few(values: list[str]) -> str:
    shown = ",".join(values[:3])
    return f"{shown} + {len(values) - 3} more..." if len(values) > 3 else shown


def endpoint_slice(obj: Object) -> Row:
    ports = [str(port.get("port", "*")) for port in obj.get("ports") or []]
    addresses = [a for endpoint in obj.get("endpoints") or [] for a in endpoint["addresses"]]
    return [
        name(obj),
        obj.get("addressType"),
        _few(ports) or UNSET,
        _few(addresses) or UNSET,
        age(obj),
    ]


def endpoints(obj: Object) -> Row:
    pairs = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or []
        for port in subset.get("ports") or []
        for address in subset.get("addresses") or []
    ]
    return [name(obj), _few(pairs) or NONE, age(obj)]


def lease(obj: Object) -> Row:
    return [name(obj), (obj.get("spec") or {}).get("holderIdentity", ""), age(obj)]


def configmap(obj: Object) -> Row:
    size = len(obj.get("data") or {}) + len(obj.get("binaryData") or {})
    return [name(obj), size, age(obj)]


def secret(obj: Object) -> Row:
    return [name(obj), obj.get("type"), len(obj.get("data") or {}), age(obj)]


def service_account(obj: Object) -> Row:
    return [name(obj), len(obj.get("secrets") or []), age(obj)]


def namespace(obj: Object) -> Row:
    return [name(obj), (obj.get("status") or {}).get("phase", ""), age(obj)]


def budget(obj: Object) -> Row:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    bounds = [str(spec.get(field, "N/A")) for field in ("minAvailable", "maxUnavailable")]
    return [name(obj), *bounds, status.get("disruptionsAllowed", 0), age(obj)]


def role(obj: Object) -> Row:
    return [name(obj), obj["metadata"].get("creationTimestamp")]


def role_binding(obj: Object) -> Row:
    reference = obj.get("roleRef") or {}
    return [name(obj), f"{reference.get('kind')}/{reference.get('name')}", age(obj)]


def node(obj: Object) -> Row:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    info = status.get("nodeInfo") or {}
    ready = [c["status"] for c in status.get("conditions") or [] if c["type"] == "Ready"]
    state = {"True": "Ready"}.get(ready[0], "NotReady") if ready else "Unknown"
    if spec.get("unschedulable"):
        state += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    labels = obj["metadata"].get("labels") or {}
    roles = sorted(key.removeprefix(prefix) for key in labels if key.startswith(prefix))
    addresses = {entry["type"]: entry["address"] for entry in status.get("addresses") or []}
    return [
        name(obj),
        state,
        ",".join(roles) or NONE,
        age(obj),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE),
        info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def event(obj: Object) -> Row:
    involved, source = obj.get("involvedObject") or {}, obj.get("source") or {}
    series = obj.get("series") or {}
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    last = series.get("lastObservedTime") or obj.get("lastTimestamp") or first
    origin = source.get("component") or obj.get("reportingComponent") or ""
    if source.get("host"):
        origin += f", {source['host']}"
    return [
        since(last),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{involved.get('kind', '').lower()}/{involved.get('name', '')}",
        involved.get("fieldPath", ""),
        origin,
        (obj.get("message") or "").strip(),
        since(first),
        series.get("count") or obj.get("count") or 1,
        name(obj),
    ]
