"""From configuration, manifest and cluster to the state that a rollout begins with."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from theseus_ci import __version__
from theseus_ci.config import performance
from theseus_ci.config.load import dump
from theseus_ci.config.types import Config
from theseus_ci.errors import Refused
from theseus_ci.flow import build_plan, load_flow
from theseus_ci.manifest import wanted_replicas
from theseus_ci.measure import Measurement, read_anchor
from theseus_ci.mesh.choose import Choice, choose_sides
from theseus_ci.mesh.created import new_virtual_service
from theseus_ci.mesh.destination_rule import is_for
from theseus_ci.mesh.policy import effective_traffic_policy
from theseus_ci.mesh.routing import ServiceHost, Side
from theseus_ci.mesh.survey import survey
from theseus_ci.model import Object
from theseus_ci.preflight import candidate as candidates
from theseus_ci.preflight.dangers import Found, refuse_dangers
from theseus_ci.preflight.previous import choose_previous
from theseus_ci.preflight.routes import (
    Routed,
    Rules,
    edited_rule,
    find_rules,
    find_virtual_services,
    refuse_bad_routes,
    warnings,
)
from theseus_ci.preflight.running import Running, find_running, find_service
from theseus_ci.rollout.autoscaler import idle_because
from theseus_ci.rollout.context import World
from theseus_ci.rollout.editor import ref_of
from theseus_ci.rollout.previous import TEMPLATE_HASH
from theseus_ci.rollout.release import digest, read_release
from theseus_ci.rollout.state import Before, Ref, Routes, State, Subset, Version
from theseus_ci.rollout.users import rest_digest
from theseus_ci.rollout.view import require_entrypoint

VERSION_LABELS = ("version", "app.kubernetes.io/version")


def prepare(world: World, config: Config, namespace: str, folder: Path) -> State:
    """Everything a rollout needs to know, found out by reading alone.

    `folder` is where a flow file named in the configuration is looked for.

    Raises ConfigError, ManifestError, Refused and Rejected (exit 2), Forbidden and
    ClusterUnavailable (exit 3).
    """
    require_entrypoint(config)
    release = read_release(config, namespace)
    cluster = world.cluster
    service = find_service(cluster, namespace, config.service)
    host = ServiceHost(config.service, namespace)
    running = find_running(cluster, service)
    virtual_services = find_virtual_services(cluster, config, host)
    rules = find_rules(cluster, config, host)
    found = survey(virtual_services, host)
    previous = choose_previous(cluster, config, host, running, found, rules.own)
    release = candidates.settle_name(release, config, previous)
    planned = candidates.check_candidate(cluster, config, release, service, previous)
    candidates.check_companions(cluster, config, release, namespace)
    hpa = candidates.find_autoscaler(cluster, namespace, previous.name) if previous else None
    own_rules = [rule for rule in rules.own if is_for(rule, host)]
    refuse_dangers(
        cluster,
        config,
        Found(
            service=service,
            previous=previous.deployment if previous else None,
            previous_hpa=hpa,
            virtual_services=tuple(virtual_services),
            destination_rules=tuple(own_rules),
        ),
    )
    choice = _choose(host, virtual_services, rules.own, previous, planned, running)
    routed = Routed(found, virtual_services or [_created(config, host)], rules, choice)
    refuse_bad_routes(routed, planned)
    plan = build_plan(load_flow(config.flow, folder), config, has_previous=previous is not None)
    anchor, notes = _anchor(config)
    return State(
        theseus=__version__,
        rollout=_new_id(config.service),
        service=config.service,
        namespace=namespace,
        holder=world.holder,
        started=world.clock.now(),
        config=dump(config),
        manifest_digest=digest(release),
        plan=plan,
        previous=_version(previous, hpa, choice.previous) if previous else None,
        candidate=Version(
            deployment=release.name,
            label=_label(planned, release.name),
            pod_labels=_pod_labels(planned, choice.candidate),
        ),
        before=_before(previous, hpa) if previous else None,
        selector=dict(service["spec"]["selector"]),
        wanted_replicas=max(wanted_replicas(release.deployment), config.first_replicas),
        overlapping=previous is not None
        and candidates.selectors_overlap(previous.deployment, planned),
        routes=_routes(config, host, service, virtual_services, rules, choice),
        previous_routed=True,
        anchor=anchor,
        notes=[*warnings(routed), *_idle(hpa), *_doubts(config), *notes],
        touches=tuple(
            ref_of(obj)
            for obj in (
                *virtual_services,
                *own_rules,
                *((previous.deployment,) if previous else ()),
                *((hpa,) if hpa else ()),
            )
        ),
    )


def _idle(hpa: Object | None) -> Iterator[str]:
    """That the previous version's autoscaler scales nothing, which its scale-down waits for."""
    why = idle_because(hpa) if hpa is not None else ""
    if hpa is not None and why:
        name = hpa["metadata"]["name"]
        yield f"autoscaler {name} scales nothing now: {why}; await-scale-down may wait in vain"


def _doubts(config: Config) -> Iterator[str]:
    """What of the load will hardly lead to a clear verdict."""
    if config.performance is not None:
        for key, message in performance.warnings(config.performance):
            yield f"theseus.yaml: performance.{key}: {message}"


def _anchor(config: Config) -> tuple[Measurement | None, list[str]]:
    """The last promoted release's measurement, where the configuration names one, and a note."""
    path = config.performance.anchor if config.performance is not None else None
    if path is None:
        return None, []
    anchor, source = read_anchor(Path(path).expanduser(), config.service)
    return anchor, [f"latencies are held against those of the last promoted release: {source}"]


def _choose(
    host: ServiceHost,
    virtual_services: Sequence[Object],
    rules: Sequence[Object],
    previous: Running | None,
    planned: Object,
    running: Sequence[Running],
) -> Choice:
    """The two subsets; the previous one by pod-template-hash where no label tells it apart."""
    labels = dict(planned["spec"]["template"]["metadata"].get("labels") or {})
    others = [one.labels for one in running if previous is None or one.name != previous.name]
    if previous is None:
        return choose_sides(host, virtual_services, rules, None, labels, others=others)
    try:
        return choose_sides(host, virtual_services, rules, previous.labels, labels, others=others)
    except Refused:
        if not previous.template_hash:
            raise Refused(
                f"nothing but pod-template-hash tells the pods of {previous.name} from the "
                "candidate's, and two of its templates are running at once",
                remedy="wait until its own update has finished (kubectl rollout status), or give "
                "the versions a `version` label",
            ) from None
        hashed = {**previous.labels, TEMPLATE_HASH: previous.template_hash}
        return choose_sides(host, virtual_services, rules, hashed, labels, others=others)


def _routes(
    config: Config,
    host: ServiceHost,
    service: Object,
    virtual_services: Sequence[Object],
    rules: Rules,
    choice: Choice,
) -> Routes:
    created: list[Ref] = []
    refs = [ref_of(obj) for obj in virtual_services]
    if not refs:
        refs = [Ref(kind="VirtualService", namespace=host.namespace, name=f"{host.name}-theseus")]
        created += refs
    chosen = edited_rule(host, rules.own, choice)
    if chosen is not None:
        rule = ref_of(chosen)
    else:
        rule = Ref(kind="DestinationRule", namespace=host.namespace, name=f"{host.name}-theseus")
        created.append(rule)
    return Routes(
        virtual_services=tuple(refs),
        destination_rule=rule,
        created=tuple(created),
        previous=_subset(choice.previous) if choice.previous else None,
        candidate=_subset(choice.candidate),
        replaces=tuple(sorted(choice.replaces)),
        hosts=_hosts(config, host),
        tcp_ports=_tcp_ports(service),
        traffic_policy=effective_traffic_policy(host, [*rules.own, *rules.others])
        if chosen is None
        else None,
    )


def _created(config: Config, host: ServiceHost) -> Object:
    """The VirtualService of a service that has none, as far as it matters who takes its routes."""
    return new_virtual_service(host, hosts=_hosts(config, host), gateways=config.gateways)


def _hosts(config: Config, host: ServiceHost) -> tuple[str, ...]:
    """Hosts of a VirtualService made for this rollout: the service, and the users' name for it."""
    outside = (config.host,) if config.host and config.gateways else ()
    return tuple(dict.fromkeys((*outside, host.fqdn)))


def _tcp_ports(service: Object) -> tuple[int, ...]:
    """The ports of a service that declares only plain TCP, by Istio's rules for port names."""
    ports = service["spec"].get("ports") or []
    plain = [
        port for port in ports if _protocol(port).startswith(("tcp", "mongo", "mysql", "redis"))
    ]
    return tuple(int(port["port"]) for port in ports) if ports and len(plain) == len(ports) else ()


def _protocol(port: Object) -> str:
    return str(port.get("appProtocol") or str(port.get("name", "")).partition("-")[0]).lower()


def _subset(side: Side) -> Subset:
    return Subset(
        name=side.subset, labels=dict(side.labels), owned=side.owned, stands_for=side.stands_for
    )


def _version(previous: Running, hpa: Object | None, side: Side | None) -> Version:
    return Version(
        deployment=previous.name,
        label=_label(previous.deployment, previous.name),
        pod_labels=_pod_labels(previous.deployment, side),
        hpa=hpa["metadata"]["name"] if hpa else None,
    )


def _pod_labels(deployment: Object, side: Side | None) -> dict[str, str]:
    """Labels that select this version's pods and no other's."""
    own = dict(deployment["spec"]["selector"].get("matchLabels") or {})
    return {**own, **(side.labels if side else {})}


def _before(previous: Running, hpa: Object | None) -> Before:
    spec = previous.deployment["spec"]
    bounds: dict[str, Any] = {}
    if hpa is not None:
        bounds = {
            "hpa_min": int(hpa["spec"].get("minReplicas", 1)),
            "hpa_max": int(hpa["spec"]["maxReplicas"]),
            "hpa_rest": rest_digest(hpa),
        }
    return Before(
        replicas=int(spec.get("replicas", 1)), paused=bool(spec.get("paused", False)), **bounds
    )


def _label(deployment: Object, name: str) -> str:
    """What people call the version: its label, its image's tag, or its Deployment's name."""
    template = deployment["spec"]["template"]
    labels = template["metadata"].get("labels") or {}
    for key in VERSION_LABELS:
        if labels.get(key):
            return str(labels[key])
    image = str(template["spec"]["containers"][0]["image"])
    tag = image.rpartition("/")[2].partition(":")[2]
    return tag or name


def _new_id(service: str) -> str:
    moment = datetime.datetime.now(tz=datetime.timezone.utc).strftime("%Y%m%d-%H%M%S")
    return f"{service}-{moment}-{secrets.token_hex(3)}"
