"""Which DestinationRule a proxy uses for a service, by Istio's lookup.

A proxy looks into its own namespace, then into the service's, then into the root namespace, and
takes the first namespace that has any rule for the host; in it an exact host wins over a
wildcard, and a longer wildcard over a shorter one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from theseus_ci.mesh.destination_rule import is_for, subsets_of
from theseus_ci.mesh.exports import exported_to, visible_in
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
            rule for rule in usable if namespace_of(rule) == namespace and visible_in(rule, client)
        ]
        winning = _winning(service, visible)
        if winning:
            return winning
    return []


def _winning(service: ServiceHost, rules: Iterable[Object]) -> list[Object]:
    """Those with the most specific host for the service, oldest first."""
    ranked = [(_rank(rule, service), rule) for rule in rules]
    best = max((rank for rank, _ in ranked), default=0)
    return sorted((rule for rank, rule in ranked if best and rank == best), key=_age)


def shadowing_rules(
    service: ServiceHost,
    destination_rules: Iterable[Object],
    subsets: Mapping[str, Mapping[str, str]],
    root_namespace: str = ROOT_NAMESPACE,
) -> list[Object]:
    """Rules of other namespaces that keep these subsets, labels by name, from proxies there.

    Such a proxy never looks at the service's own rule: a route that names a subset which the rule
    lacks answers 503.
    """
    local: dict[str, list[Object]] = {}
    for rule in destination_rules:
        if namespace_of(rule) != service.namespace and _comes_first(rule, root_namespace):
            local.setdefault(namespace_of(rule), []).append(rule)
    return [
        rule for rules in local.values() for rule in _lacking(_winning(service, rules), subsets)
    ]


def _comes_first(rule: Object, root_namespace: str) -> bool:
    """Whether proxies of its own namespace look at it before they look into the service's.

    In the root namespace, where gateways often run, only a rule that is meant for them alone.
    """
    own = namespace_of(rule)
    if own == root_namespace:
        return exported_to(rule) == {own}
    return visible_in(rule, own)


def _lacking(rules: Sequence[Object], subsets: Mapping[str, Mapping[str, str]]) -> list[Object]:
    """Those of a namespace's rules for the service by which some proxy there lacks a subset.

    A rule with a workload selector is all that the selected pods see; where there is no other one,
    the pods that it does not select see none at all.
    """
    for_all = [rule for rule in rules if not rule["spec"].get("workloadSelector")]
    if rules and not _have(for_all, subsets):
        return list(rules)
    return [rule for rule in rules if rule not in for_all and not _have([rule], subsets)]


def _have(rules: Iterable[Object], subsets: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether the rules, merged, have all these subsets."""
    known = [
        (one.get("name"), one.get("labels") or {}) for rule in rules for one in subsets_of(rule)
    ]
    return all((name, dict(labels)) in known for name, labels in subsets.items())


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


def _age(rule: Object) -> tuple[str, str]:
    metadata = rule.get("metadata") or {}
    return str(metadata.get("creationTimestamp") or ""), str(metadata.get("name") or "")
