"""doctor: may I release here? Looks at everything, touches nothing."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from theseus_ci.arguments import options
from theseus_ci.commands.doctor_words import as_json, as_text, results
from theseus_ci.commands.session import Session
from theseus_ci.console import Console
from theseus_ci.doctor.examination import CHECKS, examine
from theseus_ci.doctor.finding import Finding, failure, fine, unseen
from theseus_ci.doctor.patient import Patient
from theseus_ci.errors import EXIT_DONE, TheseusError
from theseus_ci.flow import load_flow
from theseus_ci.report.junit import write_report
from theseus_ci.rights.manifest import ACCOUNT, Subject, whole
from theseus_ci.rollout.release import read_release

UNKNOWN_SERVICE = "unknown"


def run(args: argparse.Namespace) -> int:
    session = Session(args)
    if args.json or args.rbac:
        session.console = Console(sys.stderr)  # what is printed is for a program
    return session.guarded(lambda: _print_rbac(session) if args.rbac else _act(session))


def _act(session: Session) -> int:
    started = session.clock.now()
    patient, files = _admit(session)
    findings = examine(patient, files)
    if session.args.json:
        print(json.dumps(as_json(patient, findings), indent=1))
    else:
        title = f"{patient.namespace}, {session.connection.server}"
        print(as_text(title, findings, colours=sys.stdout.isatty()))
    _report(session, patient, findings, started)
    return next((one.exit_code for one in findings if one.exit_code), EXIT_DONE)


def _admit(session: Session) -> tuple[Patient, list[Finding]]:
    """What is to be looked at, and what its files say. Raises ConfigError without a kubeconfig."""
    args = session.args
    namespace = args.namespace or session.connection.namespace
    patient = Patient(session.world, session.server, namespace, Path(args.config).parent)
    if args.config == options.DEFAULT_CONFIG and not Path(args.config).exists():
        message = "there is no theseus.yaml here (theseus-ci init writes one): the place alone"
        return patient, [unseen(name, message) for name in ("configuration", "manifest")]
    try:
        config = session.load_config()
        flow = load_flow(config.flow, patient.folder)
    except TheseusError as error:
        files = [failure("configuration", error)]
        return patient, [*files, unseen("manifest", "the configuration comes first")]
    patient.config = config
    patient.namespace = config.namespace or session.connection.namespace
    files = [fine("configuration", f"service {config.service}, flow {flow.name}")]
    return patient, [*files, _manifest(patient)]


def _manifest(patient: Patient) -> Finding:
    config = patient.config
    assert config is not None
    if config.manifest == "-":
        return fine("manifest", "comes on the standard input: begin looks at it")
    try:
        release = read_release(config, patient.namespace)
    except TheseusError as error:
        return failure("manifest", error)
    patient.release = release
    kinds = sorted({str(one["kind"]) for one in release.companions})
    more = f", with {', '.join(kinds)}" if kinds else ""
    return fine("manifest", f"Deployment {release.name}{more}")


def _print_rbac(session: Session) -> int:
    args = session.args
    namespace = args.namespace
    if namespace is None and Path(args.config).exists():
        namespace = session.load_config(check_files=False).namespace
    namespace = namespace or session.connection.namespace
    where, _, name = (args.account or ACCOUNT).rpartition("/")
    account = Subject("ServiceAccount", name, where or namespace)
    sys.stdout.write(whole(namespace, account, create=args.account is None))
    return EXIT_DONE


def _report(session: Session, patient: Patient, findings: list[Finding], started: float) -> None:
    try:
        write_report(
            Path(session.args.reports) / "doctor.xml",
            service=patient.config.service if patient.config else UNKNOWN_SERVICE,
            stage="doctor",
            results=results(findings),
            expected_names=CHECKS,
            started=started,
            properties={},
        )
    except OSError as error:
        session.console.log(f"cannot write the report: {error}")
