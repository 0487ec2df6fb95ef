"""Which DestinationRule a proxy uses for a service, by Istio's lookup.

A proxy looks into its own namespace, then into the service's, then into the root namespace, and
takes the first namespace that has any rule for the host; in it an exact host wins over a
wildcard, and a longer wildcard over a shorter one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from theseus_ci.mesh.destination_rule import is_for
from theseus_ci.mesh.routing import ServiceHost
from theseus_ci.mesh.virtual_service import namespace_of
from theseus_ci.model import Object, clone

ROOT_NAMESPACE = "istio-system"


def effective_traffic_policy(
    service: ServiceHost,
    destination_rules: Iterable[Object],
    root_namespace: str = ROOT_NAMESPACE,
    client_namespace: str | None = None,
) -> Object | None:
    """A copy of the traffic policy in effect for the service as seen from `client_namespace`
    (default: the service's own); None when there is none."""
    rules = effective_rules(service, destination_rules, root_namespace, client_namespace)
    policies = (rule["spec"].get("trafficPolicy") for rule in rules)
    return clone(next((policy for policy in policies if policy is not None), None))


def effective_rules(
    service: ServiceHost,
    destination_rules: Iterable[Object],
    root_namespace: str = ROOT_NAMESPACE,
    client_namespace: str | None = None,
) -> list[Object]:
    """The rules a proxy merges for the service, oldest first: those of the winning host.

    Rules with a workload selector are left out: they are for some proxies only.
    """
    client = client_namespace or service.namespace
    usable = [rule for rule in destination_rules if not rule["spec"].get("workloadSelector")]
    for namespace in dict.fromkeys((client, service.namespace, root_namespace)):
        visible = [
            rule
            for rule in usable
            if namespace_of(rule) == namespace and _exported(rule, namespace, client)
        ]
        ranked = [(_rank(rule, service), rule) for rule in visible]
        best = max((rank for rank, _ in ranked), default=0)
        if best:
            return sorted((rule for rank, rule in ranked if rank == best), key=_age)
    return []


def shadowing_rules(
    service: ServiceHost,
    destination_rules: Iterable[Object],
    root_namespace: str = ROOT_NAMESPACE,
) -> list[Object]:
    """Rules in other namespaces that hide the service's own rule from the proxies there.

    Those proxies would not know our subsets: a route that names one answers 503.
    """
    return [
        rule
        for rule in destination_rules
        if namespace_of(rule) not in (service.namespace, root_namespace) and _rank(rule, service)
    ]


def rule_to_edit(
    service: ServiceHost, destination_rules: Sequence[Object], subset: str = ""
) -> Object | None:
    """The service's own rule, in its namespace, that is to hold our subsets; None to make one.

    Of several (Istio merges them) the one that has `subset`, else the oldest.
    """
    own = [
        rule
        for rule in destination_rules
        if namespace_of(rule) == service.namespace
        and is_for(rule, service)
        and not rule["spec"].get("workloadSelector")
    ]
    named = [
        rule
        for rule in own
        if subset and any(one.get("name") == subset for one in rule["spec"].get("subsets") or [])
    ]
    return min(named or own, key=_age, default=None)


def _rank(rule: Object, service: ServiceHost) -> int:
    """0 when the rule is not for the service; the more specific its host, the higher."""
    host = str(rule["spec"].get("host", ""))
    if is_for(rule, service):
        return len(service.fqdn) + 1
    if host.startswith("*") and service.fqdn.endswith(host[1:]) and len(host) <= len(service.fqdn):
        return len(host)
    return 0


def _exported(rule: Object, namespace: str, client: str) -> bool:
    targets = rule["spec"].get("exportTo") or ["*"]
    return "*" in targets or client in targets or ("." in targets and namespace == client)


def _age(rule: Object) -> tuple[str, str]:
    metadata = rule.get("metadata") or {}
    return str(metadata.get("creationTimestamp") or ""), str(metadata.get("name") or "")
