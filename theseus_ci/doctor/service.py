"""The service to release: what runs, how users come to it, and whether begin would take it."""

from __future__ import annotations

from collections.abc import Iterator

from theseus_ci.config.types import Config
from theseus_ci.doctor.finding import Finding, failure, fine, problem, warning
from theseus_ci.doctor.patient import Patient
from theseus_ci.errors import CannotKnow, Forbidden
from theseus_ci.mesh.routing import ServiceHost
from theseus_ci.mesh.survey import survey
from theseus_ci.model import Object
from theseus_ci.preflight.begin import prepare
from theseus_ci.preflight.candidate import find_autoscaler
from theseus_ci.preflight.previous import choose_previous
from theseus_ci.preflight.routes import find_own_rules, find_virtual_services
from theseus_ci.preflight.running import find_running, find_service
from theseus_ci.quantities import counted
from theseus_ci.rollout.autoscaler import idle_because
from theseus_ci.rollout.lease import Lease, held
from theseus_ci.rollout.readiness import selector_text
from theseus_ci.rollout.store import StateStore
from theseus_ci.rollout.view import TRUST, UNTRUSTED, UPSTREAM_TIME

PROXY = "istio-proxy"
INJECT = "sidecar.istio.io/inject"
METRICS = ("metrics.k8s.io", "v1beta1")
AMBIENT = "istio.io/dataplane-mode"


def service(patient: Patient) -> Finding:
    """What runs behind the Service, and what routes to it."""
    config, cluster, namespace = _config(patient), patient.world.cluster, patient.namespace
    found = find_service(cluster, namespace, config.service)
    host = ServiceHost(config.service, namespace)
    running = find_running(cluster, found)
    patient.service = found
    patient.virtual_services = find_virtual_services(cluster, config, host)
    rules = find_own_rules(cluster, host)
    patient.previous = choose_previous(
        cluster, config, host, running, survey(patient.virtual_services, host), rules
    )
    routes = ", ".join(_name(obj, namespace) for obj in patient.virtual_services)
    routed = (
        f"routed by VirtualService {routes}" if routes else "no VirtualService routes to it yet"
    )
    if patient.previous is None:
        return warning("service", f"no Deployment runs behind it: a first release; {routed}")
    return fine(
        "service",
        f"{patient.previous.name} carries its traffic with "
        f"{counted(patient.previous.pods, 'pod')}; {routed}",
    )


def autoscaling(patient: Patient) -> Finding:
    """Whether the autoscalers of this release can do their work."""
    previous, release = patient.previous, patient.release
    found = previous and find_autoscaler(patient.world.cluster, patient.namespace, previous.name)
    if not found and (release is None or release.hpa is None):
        return fine("autoscaling", "neither version has an autoscaler")
    why = "this cluster serves no metrics"
    try:
        if patient.server.serves(*METRICS) is not None:
            return _scales(found) if found else fine("autoscaling", "the cluster serves metrics")
    except CannotKnow as error:
        why = str(error)
    return warning(
        "autoscaling",
        f"{why}: an autoscaler by CPU or memory never scales, and await-scale-down would wait for "
        "the previous version's in vain",
        "install or mend metrics-server (kubectl get apiservice v1beta1.metrics.k8s.io)",
    )


def _scales(hpa: Object) -> Finding:
    """What the previous version's autoscaler says of itself where there are metrics."""
    name, why = hpa["metadata"]["name"], idle_because(hpa)
    if not why:
        return fine("autoscaling", f"the cluster serves metrics; nothing stops autoscaler {name}")
    return warning(
        "autoscaling",
        f"autoscaler {name} scales nothing now: {why}; await-scale-down may wait for it in vain",
        f"see its conditions: kubectl describe hpa {name}",
    )


def sidecars(patient: Patient) -> Finding:
    """Whether the pods are in the mesh as far as the routes need it."""
    previous = patient.previous
    labels = _namespace_labels(patient)
    if labels.get(AMBIENT) == "ambient":
        return warning(
            "sidecars",
            f"namespace {patient.namespace} is in ambient mode: routes act where a waypoint is "
            "used, and only at gateways else",
            "label the Service istio.io/use-waypoint, or release through a gateway",
        )
    injected = _injected(patient)
    will_be = _would_be_injected(patient, labels)
    if injected and will_be is False:
        return problem(
            "sidecars",
            f"the pods of {previous.name if previous else 'the service'} have a sidecar, the "
            "candidate's would have none: with mutual TLS nobody could reach them",
            f'take {INJECT} out of the manifest\'s template, or set it to "true"',
        )
    if injected:
        return fine("sidecars", "the pods have a sidecar, and the candidate's will")
    if not _called_from_inside(patient):
        return fine("sidecars", "none; users come in through gateways, which need none")
    return warning(
        "sidecars",
        "the pods have none, and other pods call the service: callers without a sidecar of their "
        "own pass all routes by, and reach every ready pod, the candidate's among them",
        "kubectl label namespace NAMESPACE-OF-THE-CALLERS istio-injection=enabled",
    )


def entrypoint(patient: Patient) -> Finding:
    """Whether tests can enter the mesh."""
    config = _config(patient)
    entrypoints = config.all_entrypoints()
    if not entrypoints:
        if config.allow_unobserved:
            return warning("entrypoint", "none: nothing is tested, edits are waited for, not seen")
        return problem(
            "entrypoint",
            "none: without one, nothing can be tested and no edit can be observed",
            "give the gateway's URL as `entrypoint:`, or set allowUnobserved: true",
            code=2,
        )
    told = []
    for one in entrypoints:
        try:
            answer = patient.world.prober.ask(
                one,
                host=config.host or "",
                path=config.probe_path or "/",
                timeout=float(config.waits.request),
            )
        except OSError as error:
            remedy = TRUST if UNTRUSTED in str(error) else "see that it is up, from here"
            return problem("entrypoint", f"{one} does not answer: {error}", remedy)
        if answer.status == 404 and UPSTREAM_TIME not in answer.headers:
            return warning(
                "entrypoint",
                f"{one} has no route for host {config.host or one}: 404 from the proxy",
                "set `host:` to one of the VirtualServices' hosts",
            )
        told.append(f"{one} answers {answer.status} in {answer.seconds * 1000:.0f} ms")
    return fine("entrypoint", "; ".join(told))


def lease(patient: Patient) -> Finding:
    """Whether somebody else releases the service now."""
    config, world = _config(patient), patient.world
    found = Lease(world.cluster, world.clock, patient.namespace, config.service).read()
    if found is not None:
        return failure("lease", held(found, world.clock.now()))
    artefact = patient.folder / "theseus-state.json"
    store = StateStore(world.cluster, artefact, patient.namespace, config.service, world.log)
    left = store.read_copy()
    if left is not None:
        return warning(
            "lease",
            f"free, but the state of rollout {left.rollout} was left behind",
            "theseus-ci rollback puts back what it has changed",
        )
    return fine("lease", "free")


def release(patient: Patient) -> Finding:
    """Everything that begin checks."""
    config = _config(patient)
    if config.manifest == "-":
        return fine("release", "the manifest comes on the standard input: begin looks at it")
    state = prepare(patient.world, config, patient.namespace, patient.folder)
    before = state.previous.deployment if state.previous else "nothing yet"
    told = f"begin would take it: {before} → {state.candidate.deployment}"
    steps = f"{told}, {len(state.plan.steps)} steps of flow {state.plan.flow}"
    if state.notes:
        return warning("release", "\n".join([steps, *state.notes]))
    return fine("release", steps)


def _config(patient: Patient) -> Config:
    assert patient.config is not None, "these checks are left out without theseus.yaml"
    return patient.config


def _name(obj: Object, namespace: str) -> str:
    metadata = obj["metadata"]
    own = metadata["namespace"] == namespace
    return str(metadata["name"]) if own else f"{metadata['namespace']}/{metadata['name']}"


def _namespace_labels(patient: Patient) -> dict[str, str]:
    """Labels of the namespace; none where they may not be read, which is no right of a Role."""
    try:
        found = patient.world.cluster.get("Namespace", "", patient.namespace)
    except Forbidden:
        return {}
    return dict((found or {"metadata": {}})["metadata"].get("labels") or {})


def _pods(patient: Patient) -> list[Object]:
    assert patient.service is not None
    labels = selector_text(patient.service["spec"]["selector"])
    return patient.world.cluster.list("Pod", patient.namespace, labels=labels)


def _injected(patient: Patient) -> bool:
    """Whether every pod of the service has a sidecar, as a container or as an init container."""
    pods = _pods(patient)
    return bool(pods) and all(PROXY in _containers(pod) for pod in pods)


def _containers(pod: Object) -> Iterator[str]:
    for key in ("containers", "initContainers"):
        for container in pod["spec"].get(key) or []:
            yield str(container["name"])


def _would_be_injected(patient: Patient, namespace: dict[str, str]) -> bool | None:
    """What Istio's injector would do with the candidate; None when only its own settings tell."""
    if patient.release is None:
        return None
    metadata = patient.release.deployment["spec"]["template"]["metadata"]
    for source in ("labels", "annotations"):
        value = str((metadata.get(source) or {}).get(INJECT, "")).lower()
        if value in ("true", "false"):
            return value == "true"
    if namespace.get("istio-injection") == "disabled":
        return False
    if namespace.get("istio-injection") == "enabled" or "istio.io/rev" in namespace:
        return True
    return None


def _called_from_inside(patient: Patient) -> bool:
    """Whether some route applies in callers' sidecars: it names `mesh`, or no gateway at all."""
    if not patient.virtual_services:
        return True
    gateways = (obj["spec"].get("gateways") or ["mesh"] for obj in patient.virtual_services)
    return any("mesh" in one for one in gateways)
