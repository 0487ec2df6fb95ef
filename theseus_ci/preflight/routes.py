"""The mesh objects that take part in a rollout, and what is refused of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from theseus_ci.config.types import Config
from theseus_ci.errors import ConfigError, Forbidden, Refused, UnknownKind
from theseus_ci.mesh.choose import Choice
from theseus_ci.mesh.destination_rule import subsets_of
from theseus_ci.mesh.exports import (
    EVERYWHERE,
    exported_to,
    for_callers,
    gateway_namespaces,
    visible_in,
)
from theseus_ci.mesh.policy import (
    ROOT_NAMESPACE,
    effective_rules,
    rule_to_edit,
    shadowing_rules,
)
from theseus_ci.mesh.routing import ServiceHost
from theseus_ci.mesh.survey import Survey, identity, reaching, survey
from theseus_ci.mesh.virtual_service import namespace_of
from theseus_ci.model import Object
from theseus_ci.ports import Cluster
from theseus_ci.rights.needed import ROUTES


def find_virtual_services(cluster: Cluster, config: Config, service: ServiceHost) -> list[Object]:
    """Those that route to the service: as configured, else all there are.

    Raises ConfigError for a configured one that is absent, Refused where Istio is not installed,
    Forbidden where they may not be looked for everywhere: one that is not seen would go on sending
    users to all pods, the candidate's among them.
    """
    if config.virtual_services:
        return [_named(cluster, name, service) for name in config.virtual_services]
    try:
        found = cluster.list("VirtualService", None)
    except Forbidden as error:
        raise Forbidden(
            str(error),
            rule=error.rule,
            remedy=f"name all that route to {service.name} in theseus.yaml, as `virtualServices: "
            f"[NAME, NAMESPACE/NAME]`, or {error.remedy}",
        ) from error
    except UnknownKind:
        raise Refused(
            "the cluster has no VirtualServices: Istio is not installed",
            remedy="install Istio, or try the sandbox: theseus-ci sandbox up",
        ) from None
    return routing_to(service, found)


def routing_to(service: ServiceHost, virtual_services: list[Object]) -> list[Object]:
    """Those of them that route to the service."""
    taking_part = set(survey(virtual_services, service).virtual_services)
    return [
        vs
        for vs in virtual_services
        if (vs["metadata"]["namespace"], vs["metadata"]["name"]) in taking_part
    ]


class Rules(NamedTuple):
    """The DestinationRules that can matter to a service."""

    own: list[Object]  # of its namespace
    others: list[Object]  # of istio-system, and of all other namespaces that may be looked at
    everywhere: bool  # whether all of them were looked at


class Routed(NamedTuple):
    """What a rollout is going to route by. `virtual_services`: with one that it creates."""

    found: Survey
    virtual_services: Sequence[Object]
    rules: Rules
    choice: Choice


def find_own_rules(cluster: Cluster, service: ServiceHost) -> list[Object]:
    """The DestinationRules of the service's namespace. Raises Forbidden."""
    return cluster.list("DestinationRule", service.namespace)


def find_rules(cluster: Cluster, config: Config, service: ServiceHost) -> Rules:
    """Those of all namespaces: a proxy looks into its own before it looks into the service's.

    Where only namespaces may be looked into and theseus.yaml names the routes, those of the
    service's, and the mesh-wide ones where no rule of its own hides them.

    Raises Forbidden.
    """
    try:
        found = cluster.list("DestinationRule", None)
    except Forbidden as error:
        if config.virtual_services:
            return _rules_of_namespaces(cluster, service)
        raise Forbidden(
            str(error),
            rule=error.rule,
            remedy=f"name all VirtualServices that route to {service.name} in theseus.yaml, as "
            "`virtualServices: [NAME, NAMESPACE/NAME]`: callers' own DestinationRules are then not "
            f"looked for; or {error.remedy}",
        ) from error
    own = [rule for rule in found if namespace_of(rule) == service.namespace]
    others = [rule for rule in found if namespace_of(rule) != service.namespace]
    return Rules(own, others, everywhere=True)


def _rules_of_namespaces(cluster: Cluster, service: ServiceHost) -> Rules:
    own = find_own_rules(cluster, service)
    if service.namespace == ROOT_NAMESPACE or rule_to_edit(service, own) is not None:
        return Rules(own, [], everywhere=False)
    try:
        return Rules(own, cluster.list("DestinationRule", ROOT_NAMESPACE), everywhere=False)
    except Forbidden as error:
        raise Forbidden(
            str(error),
            rule=error.rule,
            remedy=f"give {service.name} a DestinationRule of its own, which then is edited, or "
            f"{error.remedy}",
        ) from error


def refuse_bad_routes(routed: Routed, candidate: Object) -> None:
    """Raise Refused for routes with which a rollout would not be what it says."""
    found = routed.found
    problems = [
        *_reaching_the_candidate(found, routed.rules.own, candidate),
        *_unseen_delegates(found),
        *(_hidden(rule) for rule, sure in _hiding(routed) if sure),
        *_not_exported(routed),
        *_hidden_by_a_new_rule(routed),
    ]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise Refused(f"the routes of {found.service.name} stand in the way:\n{listed}")


def warnings(routed: Routed) -> Iterator[str]:
    """What people should know of the routes, though it does not stand in the way."""
    found = routed.found
    for where in found.mirrors:
        yield (
            f"{where} mirrors requests to the service: copies of them can reach the candidate's "
            "pods before any test"
        )
    for one, other in found.merged:
        yield (
            f"VirtualServices {'/'.join(one)} and {'/'.join(other)} share a gateway's host: Istio "
            "joins their routes in an order that no object tells"
        )
    for who in found.unobservable:
        yield (
            f"VirtualService {'/'.join(who)} has no http routes: no dark route there, and its "
            "edits cannot be observed, only waited for"
        )
    for rule, sure in _hiding(routed):
        if not sure:
            yield (
                f"DestinationRule {_full_name(rule)} hides the service's own rule from the proxies "
                "of its namespace: if a gateway of the routes runs there, it answers 503"
            )
    if not routed.rules.everywhere:
        yield (
            "DestinationRules of other namespaces may not be looked at: one for "
            f"{found.service.fqdn} in a caller's namespace would hide the service's own there, and "
            f"the caller be answered 503. ClusterRole {ROUTES.name} of deploy/rbac.yaml allows to "
            "look"
        )


def _reaching_the_candidate(
    found: Survey, rules: Sequence[Object], candidate: Object
) -> Iterator[str]:
    labels = candidate["spec"]["template"]["metadata"].get("labels") or {}
    subsets = {one.subset for one in found.shares if one.share}
    for one in reaching(found, rules, labels):
        if len(subsets) == 1:
            continue  # a subset of all pods, or the only one: the rollout replaces it
        yield (
            f"{one.where} sends users to subset {one.subset}, which selects the candidate's pods: "
            "they would meet it before any test. Take that route out, or give the candidate other "
            "labels"
        )


def _unseen_delegates(found: Survey) -> Iterator[str]:
    known = set(found.virtual_services)
    for one in found.delegations:
        if one.virtual_service in known and one.to not in known:
            yield (
                f"VirtualService {'/'.join(one.virtual_service)} http[{one.index}] delegates to "
                f"{'/'.join(one.to)}, which could not be read. Allow theseus-ci to read and edit "
                "it, and name it in `virtualServices:`"
            )


def _hiding(routed: Routed) -> Iterator[tuple[Object, bool]]:
    """Rules that hide the service's own from proxies which may have the routes, and whether these
    proxies surely are such as the routes are for."""
    sides = [side for side in (routed.choice.previous, routed.choice.candidate) if side]
    subsets = {side.subset: side.labels for side in sides}
    for rule in shadowing_rules(routed.found.service, routed.rules.others, subsets):
        place = namespace_of(rule)
        there = [vs for vs in routed.virtual_services if visible_in(vs, place)]
        if there:
            yield rule, any(for_callers(vs) or place in gateway_namespaces(vs) for vs in there)


def _hidden(rule: Object) -> str:
    return (
        f"DestinationRule {_full_name(rule)} hides the service's own rule from the proxies of its "
        "namespace: they would not know the subsets that the routes are going to name, and answer "
        "503. Remove it, or move its policy into the service's own rule"
    )


def _not_exported(routed: Routed) -> Iterator[str]:
    """Routes that proxies have which do not see the rule.

    A gateway's pods may run in another namespace than it is in, so of routes for gateways alone
    only a rule that no other namespace sees is surely too narrow.
    """
    service = routed.found.service
    rule = edited_rule(service, routed.rules.own, routed.choice)
    if rule is None or exported_to(rule) == EVERYWHERE:
        return
    told = exported_to(rule)
    for vs in routed.virtual_services:
        wider = exported_to(vs) - told and (for_callers(vs) or told <= {service.namespace})
        if wider and not _names_subsets_already(routed.found, vs):
            yield (
                f"DestinationRule {_full_name(rule)} is exported to {_listed(told)} alone, "
                f"VirtualService {_full_name(vs)} to {_listed(exported_to(vs))}: proxies that see "
                "but the routes would not know the subsets which these are going to name, and "
                "answer 503. Give both the same `exportTo`"
            )


def _hidden_by_a_new_rule(routed: Routed) -> Iterator[str]:
    """Routes by subsets of a wildcard's or a mesh-wide rule, from which one of the service's own
    would hide it."""
    service, rules = routed.found.service, routed.rules
    if edited_rule(service, rules.own, routed.choice) is not None:
        return
    named = {one.subset for one in routed.found.shares if one.subset}
    for rule in effective_rules(service, [*rules.own, *rules.others]):
        lost = named & {str(one.get("name")) for one in subsets_of(rule)}
        if lost:
            yield (
                f"routes name subset {', '.join(sorted(lost))} of DestinationRule "
                f"{_full_name(rule)}; the rule that this release would create for "
                f"{service.name} alone hides it from them, and they would answer 503. Give the "
                f"service a DestinationRule of its own, in {service.namespace}, with that subset"
            )


def edited_rule(service: ServiceHost, own: Sequence[Object], choice: Choice) -> Object | None:
    """The rule that is to hold the subsets; None when one has to be created."""
    model = choice.previous or choice.candidate
    return rule_to_edit(service, own, model.stands_for or model.subset)


def _names_subsets_already(found: Survey, vs: Object) -> bool:
    """Whether all of its routes did so before: who does not see the rule is served by none."""
    subsets = [one.subset for one in found.shares if one.virtual_service == identity(vs)]
    return bool(subsets) and all(subsets)


def _listed(namespaces: frozenset[str]) -> str:
    if namespaces == EVERYWHERE:
        return "all namespaces"
    return f"namespace {', '.join(sorted(namespaces))}" if namespaces else "no namespace"


def _full_name(obj: Object) -> str:
    return "/".join(identity(obj))


def _named(cluster: Cluster, name: str, service: ServiceHost) -> Object:
    namespace, _, short = name.rpartition("/")
    found = cluster.get("VirtualService", namespace or service.namespace, short)
    if found is None:
        raise ConfigError(
            f"there is no VirtualService {namespace or service.namespace}/{short}",
            where="theseus.yaml: virtualServices",
            remedy="kubectl get virtualservices -A shows those that are there",
        )
    return found
