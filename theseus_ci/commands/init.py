"""init: write a commented theseus.yaml from what runs in the cluster."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from theseus_ci.arguments import options
from theseus_ci.commands.session import Session
from theseus_ci.config.init_template import Facts, render
from theseus_ci.config.types import Config
from theseus_ci.errors import EXIT_DONE, Forbidden, Refused, UsageError
from theseus_ci.mesh.routing import ServiceHost
from theseus_ci.mesh.survey import survey
from theseus_ci.model import Object
from theseus_ci.preflight.begin import VERSION_LABELS
from theseus_ci.preflight.candidate import find_autoscaler
from theseus_ci.preflight.previous import choose_previous
from theseus_ci.preflight.routes import find_own_rules, find_virtual_services, routing_to
from theseus_ci.preflight.running import Running, find_running, find_service


def run(args: argparse.Namespace) -> int:
    args.state, args.reports = options.DEFAULT_STATE, options.DEFAULT_REPORTS
    session = Session(args)
    return session.guarded(lambda: _act(session))


def _act(session: Session) -> int:
    args = session.args
    namespace = args.namespace or session.connection.namespace
    if not args.service:
        raise UsageError(
            f"which service? in namespace {namespace} there are: {_services(session, namespace)}",
            remedy="theseus-ci init --service NAME",
        )
    facts = gather(session, namespace, args.service, args.manifest)
    text = render(facts)
    if facts.entrypoint is None:
        print(
            "# write the gateway's URL, as it is reached from here, as `entrypoint`: the cluster "
            "does not tell it",
            file=sys.stderr,
        )
    if args.output is None:
        sys.stdout.write(text)
        return EXIT_DONE
    path = Path(args.output)
    if path.exists() and not args.force:
        raise UsageError(f"{path} exists", remedy="--force overwrites it")
    path.write_text(text, encoding="utf-8")
    session.console.log(f"wrote {path}; next: theseus-ci plan --config {path}")
    return EXIT_DONE


def _services(session: Session, namespace: str) -> str:
    found = session.cluster.list("Service", namespace)
    names = [obj["metadata"]["name"] for obj in found if obj["spec"].get("selector")]
    return ", ".join(sorted(names)) or "none with a selector"


def gather(session: Session, namespace: str, name: str, manifest: str | None) -> Facts:
    """What the cluster shows of the service."""
    cluster = session.cluster
    service = find_service(cluster, namespace, name)
    host = ServiceHost(name, namespace)
    config = Config(service=name)
    virtual_services, everywhere = _virtual_services(session, config, host)
    previous = _previous(session, config, host, service, virtual_services)
    known: dict[str, Any] = {}
    if previous is not None:
        known = {
            "previous": previous.name,
            "replicas": int(previous.deployment["spec"].get("replicas", 1)),
            "version_label": next(
                (previous.labels[key] for key in VERSION_LABELS if key in previous.labels), None
            ),
            "has_hpa": find_autoscaler(cluster, namespace, previous.name) is not None,
            **_container_facts(previous.deployment),
        }
    return Facts(
        service=name,
        namespace=namespace,
        manifest=manifest,
        virtual_services=tuple(_short(obj, namespace) for obj in virtual_services),
        must_name_them=not everywhere,
        gateways=tuple(
            dict.fromkeys(
                gateway for obj in virtual_services for gateway in obj["spec"].get("gateways") or []
            )
        ),
        host=_host(virtual_services, host),
        **known,
    )


def _virtual_services(
    session: Session, config: Config, host: ServiceHost
) -> tuple[list[Object], bool]:
    """Those that route to the service, and whether they could be looked for everywhere; without
    rights beyond its namespace, those in it."""
    try:
        return find_virtual_services(session.cluster, config, host), True
    except Forbidden:
        found = session.cluster.list("VirtualService", host.namespace)
    print(
        f"# only namespace {host.namespace} may be looked through for VirtualServices: if others "
        "route to the service too, add them to virtualServices",
        file=sys.stderr,
    )
    return routing_to(host, found), False


def _previous(
    session: Session,
    config: Config,
    host: ServiceHost,
    service: Object,
    virtual_services: list[Object],
) -> Running | None:
    running = find_running(session.cluster, service)
    rules = find_own_rules(session.cluster, host)
    try:
        return choose_previous(
            session.cluster, config, host, running, survey(virtual_services, host), rules
        )
    except Refused as error:
        print(f"# {error}", file=sys.stderr)
        return None


def _container_facts(deployment: Object) -> dict[str, Any]:
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    ports = tuple(int(port["containerPort"]) for port in container.get("ports") or [])
    probe = (container.get("readinessProbe") or {}).get("httpGet") or {}
    return {"ports": ports, "probe_path": probe.get("path")}


def _host(virtual_services: list[Object], service: ServiceHost) -> str | None:
    """A Host header that reaches the service: a literal host of one of its VirtualServices."""
    for obj in virtual_services:
        for host in obj["spec"].get("hosts") or []:
            if "*" not in host:
                full = service.fqdn if service.resolves(host, service.namespace) else host
                return str(full)
    return None


def _short(obj: Object, namespace: str) -> str:
    metadata = obj["metadata"]
    own = metadata["namespace"] == namespace
    return str(metadata["name"]) if own else f"{metadata['namespace']}/{metadata['name']}"
