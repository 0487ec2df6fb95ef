"""The values that the API server fills in, for the builtin kinds.

Every function changes the object it is given. Sections that have the wrong type never get here:
decoding has refused them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from theseus_ci.sandbox.apiserver.kinds import Key, Object

PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
DEFAULT_MODE = 0o644


def _fill(obj: Object, **values: Any) -> None:
    for name, value in values.items():
        if obj.get(name) is None:
            obj[name] = value


def pull_policy(image: str) -> str:
    """Always for an image without tag or with :latest, IfNotPresent otherwise."""
    if "@" in image:
        return "IfNotPresent"
    tag = image.rsplit("/", 1)[-1].partition(":")[2]
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def _http_get(action: Object) -> None:
    _fill(action, path="/", scheme="HTTP")


def _probe(probe: Object) -> None:
    _fill(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
    if "httpGet" in probe:
        _http_get(probe["httpGet"])
    if "grpc" in probe:
        _fill(probe["grpc"], service="")


def _container(container: Object) -> None:
    _fill(
        container,
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        imagePullPolicy=pull_policy(container.get("image", "")),
        resources={},
    )
    for port in container.get("ports") or []:
        _fill(port, protocol="TCP")
    for variable in container.get("env") or []:
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference is not None:
            _fill(reference, apiVersion="v1")
    for name in PROBES:
        if name in container:
            _probe(container[name])
    for handler in (container.get("lifecycle") or {}).values():
        if isinstance(handler, dict) and "httpGet" in handler:
            _http_get(handler["httpGet"])


def _volume(volume: Object) -> None:
    if set(volume) == {"name"}:
        volume["emptyDir"] = {}
    for source in ("configMap", "secret", "downwardAPI", "projected"):
        if source in volume:
            _fill(volume[source], defaultMode=DEFAULT_MODE)
    items = list((volume.get("downwardAPI") or {}).get("items") or [])
    for projection in (volume.get("projected") or {}).get("sources") or []:
        items += (projection.get("downwardAPI") or {}).get("items") or []
    for item in items:
        if "fieldRef" in item:
            _fill(item["fieldRef"], apiVersion="v1")


def pod_spec(spec: Object) -> None:
    """Defaults that pod templates and pods share."""
    _fill(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        schedulerName="default-scheduler",
        securityContext={},
    )
    if spec.get("serviceAccountName"):
        spec["serviceAccount"] = spec["serviceAccountName"]
    elif spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"]
    for container in (spec.get("containers") or []) + (spec.get("initContainers") or []):
        _container(container)
    for volume in spec.get("volumes") or []:
        _volume(volume)


def _template(spec: Object) -> None:
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    pod_spec(template.setdefault("spec", {}))


def _pod(pod: Object) -> None:
    spec = pod.setdefault("spec", {})
    pod_spec(spec)
    _fill(spec, enableServiceLinks=True)
    for container in spec.get("containers") or []:
        limits = container["resources"].get("limits")
        if limits:
            container["resources"]["requests"] = {
                **limits,
                **(container["resources"].get("requests") or {}),
            }
    status = pod.get("status") or {}
    if status.get("podIP"):
        _fill(status, podIPs=[{"ip": status["podIP"]}])
    for container in status.get("containerStatuses") or []:
        _fill(container, lastState={})


def _deployment(deployment: Object) -> None:
    spec = deployment.setdefault("spec", {})
    _fill(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = spec.setdefault("strategy", {})
    _fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _fill(strategy.setdefault("rollingUpdate", {}), maxUnavailable="25%", maxSurge="25%")
    _template(spec)


def _replicaset(replicaset: Object) -> None:
    spec = replicaset.setdefault("spec", {})
    _fill(spec, replicas=1)
    _template(spec)
    labels = (spec.get("template") or {}).get("metadata", {}).get("labels")
    if labels:
        _fill(replicaset["metadata"], labels=dict(labels))


def _job(job: Object) -> None:
    spec = job.setdefault("spec", {})
    _fill(spec, completionMode="NonIndexed", suspend=False, backoffLimit=6, manualSelector=False)
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    _fill(spec, parallelism=1, podReplacementPolicy="TerminatingOrFailed")
    _template(spec)


def _service(service: Object) -> None:
    spec = service.setdefault("spec", {})
    _fill(spec, sessionAffinity="None", type="ClusterIP")
    if spec["sessionAffinity"] == "ClientIP":
        config = spec.setdefault("sessionAffinityConfig", {})
        _fill(config.setdefault("clientIP", {}), timeoutSeconds=10_800)
    for port in spec.get("ports") or []:
        _fill(port, protocol="TCP")
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port")
    if spec["type"] == "ExternalName":
        return
    _fill(spec, internalTrafficPolicy="Cluster")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _fill(spec, externalTrafficPolicy="Cluster")
    else:
        spec.pop("externalTrafficPolicy", None)
    if spec["type"] == "LoadBalancer":
        _fill(spec, allocateLoadBalancerNodePorts=True)
    if spec.get("selector") or spec.get("clusterIP") != "None":
        _fill(spec, ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    else:
        _fill(spec, ipFamilies=["IPv4", "IPv6"], ipFamilyPolicy="RequireDualStack")


def _scaling_rules(rules: Object, policies: list[Object]) -> None:
    _fill(rules, selectPolicy="Max", policies=policies)


def _autoscaler(autoscaler: Object) -> None:
    spec = autoscaler.setdefault("spec", {})
    _fill(spec, minReplicas=1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if behavior:
        by_percent = {"type": "Percent", "value": 100, "periodSeconds": 15}
        by_pods = {"type": "Pods", "value": 4, "periodSeconds": 15}
        up, down = behavior.setdefault("scaleUp", {}), behavior.setdefault("scaleDown", {})
        _scaling_rules(up, [by_pods, by_percent])
        _fill(up, stabilizationWindowSeconds=0)
        _scaling_rules(down, [dict(by_percent)])


def _secret(secret: Object) -> None:
    _fill(secret, type="Opaque")
    plain = secret.pop("stringData", None)
    if plain:
        data = secret.setdefault("data", {})
        for name, text in plain.items():
            data[name] = base64.b64encode(text.encode()).decode()


def _lease(lease: Object) -> None:
    _fill(lease, spec={})


def _endpoint_slice(endpoint_slice: Object) -> None:
    for port in endpoint_slice.get("ports") or []:
        _fill(port, name="", protocol="TCP")


def _endpoints(endpoints: Object) -> None:
    for subset in endpoints.get("subsets") or []:
        for port in subset.get("ports") or []:
            _fill(port, protocol="TCP")


def _binding(binding: Object) -> None:
    role = binding.get("roleRef")
    if isinstance(role, dict):
        _fill(role, apiGroup="rbac.authorization.k8s.io")
    for subject in binding.get("subjects") or []:
        if subject.get("kind") in ("User", "Group"):
            _fill(subject, apiGroup="rbac.authorization.k8s.io")


def _event(event: Object) -> None:
    _fill(event, source={}, reportingComponent="", reportingInstance="")
    for name in ("firstTimestamp", "lastTimestamp", "eventTime"):
        event.setdefault(name, None)


def _crd(crd: Object) -> None:
    spec = crd.setdefault("spec", {})
    names = spec.get("names") or {}
    if names.get("kind"):
        _fill(names, singular=names["kind"].lower(), listKind=f"{names['kind']}List")
    _fill(spec, conversion={"strategy": "None"})


DEFAULTS: dict[Key, Callable[[Object], None]] = {
    ("", "pods"): _pod,
    ("", "services"): _service,
    ("", "secrets"): _secret,
    ("", "endpoints"): _endpoints,
    ("", "events"): _event,
    ("apps", "deployments"): _deployment,
    ("apps", "replicasets"): _replicaset,
    ("autoscaling", "horizontalpodautoscalers"): _autoscaler,
    ("batch", "jobs"): _job,
    ("coordination.k8s.io", "leases"): _lease,
    ("discovery.k8s.io", "endpointslices"): _endpoint_slice,
    ("rbac.authorization.k8s.io", "rolebindings"): _binding,
    ("rbac.authorization.k8s.io", "clusterrolebindings"): _binding,
    ("apiextensions.k8s.io", "customresourcedefinitions"): _crd,
}


def apply_defaults(key: Key, obj: Object) -> None:
    """Fill in what the real server fills in; `obj` is changed."""
    default = DEFAULTS.get(key)
    if default:
        default(obj)
