"""Which running version is the previous one: the one that carries the traffic now."""

from __future__ import annotations

from collections.abc import Sequence

from theseus_ci.config.types import Config
from theseus_ci.errors import ConfigError, Refused
from theseus_ci.mesh.choose import selects
from theseus_ci.mesh.destination_rule import is_for, subsets_of
from theseus_ci.mesh.routing import ServiceHost
from theseus_ci.mesh.survey import Survey
from theseus_ci.model import Object
from theseus_ci.ports import Cluster
from theseus_ci.preflight.running import Running, running_of


def choose_previous(
    cluster: Cluster,
    config: Config,
    service: ServiceHost,
    running: Sequence[Running],
    found: Survey,
    rules: Sequence[Object],
) -> Running | None:
    """The version to replace; None for a first release. Raises ConfigError, Refused."""
    if config.previous is not None:
        return _named(cluster, config.previous, service, running)
    if len(running) < 2:
        return running[0] if running else None
    carrying = [one for one in running if _carries(one, service, found, rules)]
    if len(carrying) == 1:
        return carrying[0]
    listed = ", ".join(one.name for one in carrying or running)
    why = "carry production traffic" if carrying else "run behind the service, none has a route"
    raise Refused(
        f"several Deployments {why}: {listed}: which one is to be replaced?",
        remedy="set `previous:` in theseus.yaml (or --previous) to one of them",
    )


def _named(
    cluster: Cluster, name: str, service: ServiceHost, running: Sequence[Running]
) -> Running:
    found = next((one for one in running if one.name == name), None)
    found = found or running_of(cluster, service.namespace, name)
    if found is None:
        there = ", ".join(one.name for one in running) or "none"
        raise ConfigError(
            f"there is no Deployment {service.namespace}/{name}; behind the service run: {there}",
            where="theseus.yaml: previous",
            remedy="name one of them, or leave `previous` out for a first release",
        )
    return found


def _carries(
    version: Running, service: ServiceHost, found: Survey, rules: Sequence[Object]
) -> bool:
    """Whether some route that everyone may take sends to this version."""
    labels = subset_labels(service, rules)
    shares = [one for one in found.shares if one.share > 0]
    if not shares:
        return True  # no route at all: the Service's selector spreads over all pods
    return any(
        one.subset is None or selects(labels.get(one.subset, _NOWHERE), version.labels)
        for one in shares
        if not one.conditional
    )


_NOWHERE = {"theseus-ci.io/no-such-subset": "true"}


def subset_labels(service: ServiceHost, rules: Sequence[Object]) -> dict[str, dict[str, str]]:
    """The labels of each subset of the service."""
    return {
        str(subset["name"]): dict(subset.get("labels") or {})
        for rule in rules
        if is_for(rule, service)
        for subset in subsets_of(rule)
    }
