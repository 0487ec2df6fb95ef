"""All checks in order, each with what it needs of those before it."""

from __future__ import annotations

from collections.abc import Callable

from theseus_ci.doctor import place, service
from theseus_ci.doctor.finding import Finding, Level, failure, unseen
from theseus_ci.doctor.patient import Patient
from theseus_ci.errors import ClusterUnavailable, Forbidden, TheseusError

Check = Callable[[Patient], Finding]
OF_THE_PLACE: dict[str, Check] = {
    "server": place.server,
    "clock": place.clock,
    "rights": place.allowed,
    "istio": place.istio,
}
OF_THE_SERVICE: dict[str, Check] = {
    "lease": service.lease,
    "service": service.service,
    "autoscaling": service.autoscaling,
    "sidecars": service.sidecars,
    "entrypoint": service.entrypoint,
    "release": service.release,
}
NEEDS = {"autoscaling": "service", "sidecars": "service"}
CONFIGURATION = ("configuration", "manifest")
CHECKS = (*CONFIGURATION, *OF_THE_PLACE, *OF_THE_SERVICE)
"""The constant names, in the order in which they are told."""


def examine(patient: Patient, before: list[Finding]) -> list[Finding]:
    """Every check after those of the files, which are `before`."""
    found = list(before)
    away = ""
    for name, check in {**OF_THE_PLACE, **OF_THE_SERVICE}.items():
        reason = away if name != "entrypoint" else ""
        reason = reason or _missing(name, patient, found)
        if reason:
            found.append(unseen(name, reason))
            continue
        try:
            found.append(check(patient))
        except Forbidden as error:
            found.append(_forbidden(name, patient, error))
        except ClusterUnavailable as error:
            found.append(failure(name, error))
            away = "the API server does not answer"
        except TheseusError as error:
            found.append(failure(name, error))
    return found


def _missing(name: str, patient: Patient, found: list[Finding]) -> str:
    """Why this check cannot be made; "" when it can."""
    if name not in OF_THE_SERVICE:
        return ""
    if patient.config is None:
        return "no theseus.yaml that could be read says which service"
    bad = {one.check for one in found if one.level in (Level.PROBLEM, Level.UNSEEN)}
    if name == "release" and bad:
        return "the problems above come first"
    if NEEDS.get(name) in bad:
        return f"{NEEDS[name]} could not be read"
    return ""


def _forbidden(name: str, patient: Patient, error: Forbidden) -> Finding:
    """A right that is missing is told once, as a right."""
    if patient.missing:
        return unseen(name, f"may not be read, see rights: {error}")
    return failure(name, error)
