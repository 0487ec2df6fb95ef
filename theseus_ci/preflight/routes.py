"""The mesh objects that take part in a rollout, and what is refused of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from theseus_ci.config.types import Config
from theseus_ci.errors import ConfigError, Forbidden, Refused, UnknownKind
from theseus_ci.mesh.policy import ROOT_NAMESPACE, rule_to_edit, shadowing_rules
from theseus_ci.mesh.routing import ServiceHost
from theseus_ci.mesh.survey import Survey, reaching, survey
from theseus_ci.model import Object
from theseus_ci.ports import Cluster


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


def find_rules(cluster: Cluster, service: ServiceHost) -> list[Object]:
    """The DestinationRules that can matter to the service: those of its namespace, and the
    mesh-wide ones where no rule of its own hides them. Raises Forbidden."""
    rules = cluster.list("DestinationRule", service.namespace)
    if service.namespace == ROOT_NAMESPACE or rule_to_edit(service, rules) is not None:
        return rules
    try:
        return rules + cluster.list("DestinationRule", ROOT_NAMESPACE)
    except Forbidden as error:
        raise Forbidden(
            str(error),
            rule=error.rule,
            remedy=f"give {service.name} a DestinationRule of its own, which then is edited, or "
            f"{error.remedy}",
        ) from error


def refuse_bad_routes(
    config: Config, found: Survey, rules: Sequence[Object], candidate: Object
) -> None:
    """Raise Refused for routes with which a rollout would not be what it says."""
    problems = [
        *_reaching_the_candidate(found, rules, candidate),
        *_unseen_delegates(found),
        *_hidden_subsets(found, rules),
    ]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise Refused(f"the routes of {config.service} stand in the way:\n{listed}")


def warnings(found: Survey) -> Iterator[str]:
    """What people should know of the routes, though it does not stand in the way."""
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


def _hidden_subsets(found: Survey, rules: Sequence[Object]) -> Iterator[str]:
    for rule in shadowing_rules(found.service, rules):
        metadata = rule["metadata"]
        yield (
            f"DestinationRule {metadata['namespace']}/{metadata['name']} hides the service's own "
            "rule from the proxies of its namespace: they would not know the subsets. Remove it"
        )


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
