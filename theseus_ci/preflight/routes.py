"""The mesh objects that take part in a rollout, and what is refused of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from theseus_ci.config.types import Config
from theseus_ci.errors import ConfigError, Forbidden, Refused, UnknownKind
from theseus_ci.mesh.policy import ROOT_NAMESPACE, shadowing_rules
from theseus_ci.mesh.routing import ServiceHost
from theseus_ci.mesh.survey import Survey, reaching, survey
from theseus_ci.model import Object
from theseus_ci.ports import Cluster


def find_virtual_services(
    cluster: Cluster, config: Config, service: ServiceHost, log: Callable[[str], None]
) -> list[Object]:
    """Those that route to the service: as configured, else all that can be seen.

    Raises ConfigError for a configured one that is absent, Refused where Istio is not installed.
    """
    if config.virtual_services:
        return [_named(cluster, name, service) for name in config.virtual_services]
    try:
        found = cluster.list("VirtualService", None)
    except Forbidden:
        found = cluster.list("VirtualService", service.namespace)
        log(
            f"only namespace {service.namespace} may be looked through for VirtualServices: name "
            "those of other namespaces in `virtualServices:`"
        )
    except UnknownKind:
        raise Refused(
            "the cluster has no VirtualServices: Istio is not installed",
            remedy="install Istio, or try the sandbox: theseus-ci sandbox up",
        ) from None
    taking_part = set(survey(found, service).virtual_services)
    return [
        vs for vs in found if (vs["metadata"]["namespace"], vs["metadata"]["name"]) in taking_part
    ]


def find_rules(cluster: Cluster, service: ServiceHost) -> list[Object]:
    """The DestinationRules that can matter to the service."""
    rules = cluster.list("DestinationRule", service.namespace)
    if service.namespace != ROOT_NAMESPACE:
        try:
            rules += cluster.list("DestinationRule", ROOT_NAMESPACE)
        except Forbidden:  # mesh-wide defaults cannot be read; the service's own rules decide
            return rules
    return rules


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
