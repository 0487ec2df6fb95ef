"""delete: remove a version that carries no traffic."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from theseus_ci.arguments import options
from theseus_ci.commands.session import Session, holder
from theseus_ci.errors import EXIT_DONE, CannotKnow, Refused, StaleObject, UsageError
from theseus_ci.mesh.choose import selects
from theseus_ci.mesh.destination_rule import is_for, subsets_of
from theseus_ci.mesh.retire import drop_subset_routes
from theseus_ci.mesh.routing import ServiceHost
from theseus_ci.mesh.survey import reaching, survey
from theseus_ci.model import Object, clone
from theseus_ci.preflight.candidate import find_autoscaler
from theseus_ci.preflight.routes import find_own_rules, find_virtual_services
from theseus_ci.preflight.running import Running, find_running, find_service, running_of
from theseus_ci.rollout.lease import Lease

ATTEMPTS = 5


def run(args: argparse.Namespace) -> int:
    args.state, args.reports = options.DEFAULT_STATE, options.DEFAULT_REPORTS
    session = Session(args)
    return session.guarded(lambda: _act(session))


def _act(session: Session) -> int:
    config = session.load_config(check_files=False)
    namespace = config.namespace or session.connection.namespace
    service = find_service(session.cluster, namespace, config.service)
    lease = Lease(session.cluster, session.clock, namespace, config.service)
    own = f"delete-{session.args.name}"
    lease.take(own, holder())
    try:
        _delete(session, service, ServiceHost(config.service, namespace))
    finally:
        lease.release(own)
    return EXIT_DONE


def _delete(session: Session, service: Object, host: ServiceHost) -> None:
    config = session.load_config(check_files=False)
    cluster = session.cluster
    version = running_of(cluster, host.namespace, session.args.name)
    if version is None:
        raise UsageError(f"there is no Deployment {host.namespace}/{session.args.name}")
    virtual_services = find_virtual_services(cluster, config, host)
    rules = [rule for rule in find_own_rules(cluster, host) if is_for(rule, host)]
    others = [one for one in find_running(cluster, service) if one.name != version.name]
    _refuse_if_carrying(version, host, virtual_services, rules, service)
    subsets = _subsets_alone(version, rules, others)
    for obj in virtual_services:
        _edit(session, obj, lambda found: drop_subset_routes(found, host, subsets), "routes")
    for rule in rules:
        _edit(session, rule, lambda found: _without_subsets(found, subsets), "subset")
    hpa = find_autoscaler(cluster, host.namespace, version.name)
    for doomed in (hpa, version.deployment):
        current = doomed and cluster.get(doomed["kind"], host.namespace, doomed["metadata"]["name"])
        if current:
            session.console.log(f"delete {current['kind']} {current['metadata']['name']}")
            cluster.delete(current)


def _refuse_if_carrying(
    version: Running,
    host: ServiceHost,
    virtual_services: list[Object],
    rules: list[Object],
    service: Object,
) -> None:
    """Raise Refused when any production request can reach this version."""
    found = survey(virtual_services, host)
    named = [one for one in reaching(found, rules, version.labels) if one.share > 0]
    selected = selects(service["spec"]["selector"], version.labels) and version.pods > 0
    open_to_all = [one for one in found.shares if one.subset is None and one.share > 0]
    if selected and not found.shares:
        raise Refused(
            f"{version.name} carries traffic: no route restricts the Service to another version",
            remedy="release another version first",
        )
    if named or (selected and open_to_all):
        where = ", ".join(one.where for one in (*named, *open_to_all)[:3])
        raise Refused(
            f"{version.name} carries traffic: {where} sends requests to it",
            remedy="release another version first, or take it out of that route",
        )


def _subsets_alone(version: Running, rules: list[Object], others: list[Running]) -> frozenset[str]:
    """Subsets that select this version's pods and none of another running version."""
    return frozenset(
        str(subset["name"])
        for rule in rules
        for subset in subsets_of(rule)
        if selects(subset.get("labels") or {}, version.labels)
        and not any(selects(subset.get("labels") or {}, other.labels) for other in others)
    )


def _without_subsets(rule: Object, names: frozenset[str]) -> Object:
    wanted = clone(rule)
    if subsets_of(wanted):
        wanted["spec"]["subsets"] = [
            one for one in subsets_of(wanted) if str(one["name"]) not in names
        ]
    return wanted


def _edit(session: Session, obj: Object, change: Callable[[Object], Object], what: str) -> None:
    for _ in range(ATTEMPTS):
        wanted = change(obj)
        if wanted == obj:
            return
        try:
            session.cluster.replace(wanted)
        except StaleObject:
            metadata = obj["metadata"]
            again = session.cluster.get(obj["kind"], metadata["namespace"], metadata["name"])
            if again is None:
                return
            obj = again
            continue
        session.console.log(f"take its {what} out of {obj['kind']} {obj['metadata']['name']}")
        return
    raise CannotKnow(f"{obj['kind']} {obj['metadata']['name']} kept changing: run this again")
