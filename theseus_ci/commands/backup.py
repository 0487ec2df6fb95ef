"""backup: the running version as YAML that can be applied again."""

from __future__ import annotations

import argparse
import codecs
import sys
from pathlib import Path

import yaml

from theseus_ci.arguments import options
from theseus_ci.commands.session import Session
from theseus_ci.console import Console
from theseus_ci.errors import EXIT_DONE, UsageError
from theseus_ci.mesh.destination_rule import is_for, restore_destination_rule
from theseus_ci.mesh.routing import ServiceHost
from theseus_ci.mesh.survey import survey
from theseus_ci.mesh.virtual_service import original_routes
from theseus_ci.model import Object
from theseus_ci.preflight.candidate import find_autoscaler
from theseus_ci.preflight.previous import choose_previous
from theseus_ci.preflight.routes import find_own_rules, find_virtual_services
from theseus_ci.preflight.running import find_running, find_service, running_of
from theseus_ci.rollout.autoscaler import portable


def run(args: argparse.Namespace) -> int:
    args.state, args.reports = options.DEFAULT_STATE, options.DEFAULT_REPORTS
    session = Session(args)
    if args.output is None:
        session.console = Console(sys.stderr)  # what is printed is for kubectl
    return session.guarded(lambda: _act(session))


def _act(session: Session) -> int:
    objects = collect(session, session.args.name)
    if session.args.output is None:
        sys.stdout.write(_text(objects, plain=codecs.lookup(sys.stdout.encoding).name == "utf-8"))
        return EXIT_DONE
    text = _text(objects, plain=True)
    try:
        Path(session.args.output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {session.args.output}: {error.strerror}") from error
    names = ", ".join(f"{obj['kind']} {obj['metadata']['name']}" for obj in objects)
    session.console.log(f"wrote {session.args.output}: {names}")
    return EXIT_DONE


def _text(objects: list[Object], *, plain: bool) -> str:
    """YAML; where its encoding is not UTF-8, not `plain` but with escapes, and so for any."""
    return str(yaml.safe_dump_all(objects, sort_keys=False, allow_unicode=plain))


def collect(session: Session, name: str | None) -> list[Object]:
    """The objects to save, free of what the server or a rollout has added. Raises UsageError."""
    config = session.load_config(check_files=False)
    namespace = config.namespace or session.connection.namespace
    cluster = session.cluster
    service = find_service(cluster, namespace, config.service)
    host = ServiceHost(config.service, namespace)
    virtual_services = find_virtual_services(cluster, config, host)
    rules = find_own_rules(cluster, host)
    if name is None:
        running = find_running(cluster, service)
        found = choose_previous(
            cluster, config, host, running, survey(virtual_services, host), rules
        )
    else:
        found = running_of(cluster, namespace, name)
    if found is None:
        wanted = f"Deployment {namespace}/{name}" if name else "running version"
        raise UsageError(f"there is no {wanted} of service {config.service} to back up")
    hpa = find_autoscaler(cluster, namespace, found.name)
    own_rules = [
        restore_destination_rule(rule, host, "previous") for rule in rules if is_for(rule, host)
    ]
    routes = [original_routes(obj) for obj in virtual_services]
    return [portable(obj) for obj in (found.deployment, hpa, *own_rules, *routes) if obj]
