"""The API server and the account: reachable, of a known version, allowed to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from theseus_ci.doctor.finding import Finding, fine, problem, warning
from theseus_ci.doctor.patient import Patient
from theseus_ci.errors import CannotKnow, ClusterUnavailable, Forbidden, Rejected
from theseus_ci.mesh.policy import ROOT_NAMESPACE, rule_to_edit
from theseus_ci.mesh.routing import ServiceHost
from theseus_ci.model import Object
from theseus_ci.rights.manifest import Subject, missing
from theseus_ci.rights.needed import (
    LOAD_WORKERS,
    MESH_DEFAULTS,
    RELEASES,
    ROUTES,
    Right,
    companion_rights,
    rights,
)

OLDEST_MINOR = 25  # autoscaling/v2 and policy/v1 alone; older servers are tested by nobody
SKEW_SECONDS = 5.0
SERVICE_ACCOUNT = re.compile(r"system:serviceaccount:([^:]+):([^:]+)")
ISTIO = "networking.istio.io"


def server(patient: Patient) -> Finding:
    """Whether the API server answers, and as what."""
    about = patient.server.about()
    found = re.match(r"v?1\.(\d+)", about.version)
    told = f"Kubernetes {about.version}, answered in {about.seconds * 1000:.0f} ms"
    if found and int(found[1]) < OLDEST_MINOR:
        return warning("server", f"{told}: older than 1.{OLDEST_MINOR}, which nobody tests with")
    return fine("server", told)


def clock(patient: Patient) -> Finding:
    """Whether this machine and the API server agree on the time."""
    ahead = patient.server.about().ahead
    if abs(ahead) <= SKEW_SECONDS:
        return fine("clock", "agrees with the API server's")
    where = "behind" if ahead > 0 else "ahead of"
    return warning(
        "clock",
        f"this machine's clock is {abs(ahead):.0f} s {where} the API server's: the lease's times "
        "and the report's are told wrongly",
        "synchronise both (timedatectl status shows whether NTP is on)",
    )


def allowed(patient: Patient) -> Finding:
    """Every right that releases of this service need, each asked of the server."""
    account = _account(patient)
    patient.account = account
    wanted = list(dict.fromkeys(_wanted(patient)))
    patient.missing = [right for right in wanted if not _may(patient, right)]
    whom = account or "this account"
    if not patient.missing:
        return fine("rights", f"{whom} has all {len(wanted)} that are needed")
    lines = [f"{len(patient.missing)} of {len(wanted)} are missing for {whom}:"]
    return problem(
        "rights",
        "\n".join([*lines, *_in_words(patient.missing)]),
        "have the YAML below applied by somebody who may grant it",
        rbac=missing(patient.missing, _subject(account)),
    )


def istio(patient: Patient) -> Finding:
    """Whether the kinds that routes are made of are served."""
    served = patient.server.serves(ISTIO, "v1")
    if served is None:
        older = patient.server.serves(ISTIO, "v1beta1")
        if older is None:
            return problem(
                "istio", "the cluster has no VirtualServices", "install Istio 1.22 or newer", code=2
            )
        return problem(
            "istio",
            f"{ISTIO}/v1 is not served, only older versions",
            "update Istio to 1.22 or newer",
        )
    lacking = sorted({"virtualservices", "destinationrules"} - served)
    if lacking:
        return problem("istio", f"{ISTIO}/v1 has no {', '.join(lacking)}", "mend Istio's CRDs")
    return fine("istio", f"{ISTIO}/v1 is served")


def _in_words(missing_rights: list[Right]) -> Iterator[str]:
    """A line for each kind, place and reason."""
    verbs: dict[Right, list[str]] = {}
    for right in missing_rights:
        verbs.setdefault(replace(right, verb=""), []).append(right.verb)
    for right, listed in verbs.items():
        yield f"{', '.join(listed)}{right}: {right.why}"


def _account(patient: Patient) -> str:
    review: Object = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "SelfSubjectReview",
        "metadata": {"name": ""},
    }
    try:
        made = patient.world.cluster.create(review)
    except (Forbidden, Rejected, ClusterUnavailable):  # before Kubernetes 1.28, or not for us
        return ""
    return str(made["status"]["userInfo"].get("username", ""))


def _subject(account: str) -> Subject:
    found = SERVICE_ACCOUNT.fullmatch(account)
    if found:
        return Subject("ServiceAccount", found[2], found[1])
    return Subject("User", account or "THE-USER-THAT-RUNS-THESEUS-CI")


def _wanted(patient: Patient) -> Iterator[Right]:
    config, namespace = patient.config, patient.namespace
    yield from rights(RELEASES, namespace, ROOT_NAMESPACE)
    named = config.virtual_services if config is not None else ()
    for name in named:
        elsewhere = name.rpartition("/")[0]
        if elsewhere and elsewhere != namespace:
            for verb in ("get", "update"):
                yield Right("VirtualService", verb, elsewhere, "`virtualServices:` names it")
    if not named:
        yield from rights(ROUTES, namespace, ROOT_NAMESPACE)
    elif namespace != ROOT_NAMESPACE and not _has_own_rule(patient):
        yield from rights(MESH_DEFAULTS, namespace, ROOT_NAMESPACE)
    if config is not None and config.performance and config.performance.load.workers:
        yield from rights(LOAD_WORKERS, namespace, ROOT_NAMESPACE)
    if patient.release is not None:
        companions = (
            {"kind": one["kind"], "namespace": one["metadata"].get("namespace", "")}
            for one in patient.release.companions
        )
        yield from companion_rights(companions, namespace)


def _has_own_rule(patient: Patient) -> bool:
    """Whether the service's own DestinationRule makes the mesh-wide ones needless."""
    if patient.config is None:
        return False
    host = ServiceHost(patient.config.service, patient.namespace)
    try:
        rules = patient.world.cluster.list("DestinationRule", patient.namespace)
    except CannotKnow:  # forbidden, or no Istio: both are told in their own place
        return False
    return rule_to_edit(host, rules) is not None


def _may(patient: Patient, right: Right) -> bool:
    resource, _, part = right.plural.partition("/")
    attributes = {"verb": right.verb, "group": right.group, "resource": resource}
    if part:
        attributes["subresource"] = part
    if right.namespace:
        attributes["namespace"] = right.namespace
    review: Object = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "metadata": {"name": ""},
        "spec": {"resourceAttributes": attributes},
    }
    return bool(patient.world.cluster.create(review)["status"].get("allowed"))
