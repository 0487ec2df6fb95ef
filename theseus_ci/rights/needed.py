"""The rights that the commands use, and nothing else.

The only list of them: `deploy/rbac.yaml` is written from it, `theseus-ci doctor` asks the server
for it, and a test on a real API server holds it to what the commands ask for, verb by verb.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from theseus_ci.kinds import KINDS


class Scope(Enum):
    """Where a right has to hold."""

    SERVICE = "the service's namespace"
    MESH = "istio-system"
    CLUSTER = "all namespaces"


@dataclass(frozen=True)
class Rule:
    """Verbs on one kind; `why` says which part of a release needs them."""

    kind: str
    verbs: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Role:
    """Rules that are granted together. `when` is empty for what every release needs."""

    name: str
    scope: Scope
    rules: tuple[Rule, ...]
    when: str = ""


@dataclass(frozen=True)
class Right:
    """One verb on one kind in one place; the namespace is None for all of them."""

    kind: str
    verb: str
    namespace: str | None
    why: str = ""

    @property
    def group(self) -> str:
        return KINDS[self.kind].group

    @property
    def plural(self) -> str:
        return KINDS[self.kind].plural

    def __str__(self) -> str:
        where = f"in namespace {self.namespace}" if self.namespace else "in all namespaces"
        full = f"{self.plural}.{self.group}" if self.group else self.plural
        return f"{self.verb} {full} {where}"


EDIT = ("get", "create", "update", "delete")
COMPANION = ("get", "create", "patch", "update", "delete")
COMPANIONS = ("ConfigMap", "Secret", "Service", "ServiceAccount", "PodDisruptionBudget")

RELEASES = Role(
    "theseus-ci",
    Scope.SERVICE,
    (
        Rule("Service", ("get",), "the service whose traffic moves"),
        Rule("Pod", ("get", "list", "watch"), "which versions run, and whether they are ready"),
        Rule("ReplicaSet", ("get",), "which Deployment a pod belongs to"),
        Rule("Deployment", (*EDIT, "list", "watch"), "the versions"),
        Rule("HorizontalPodAutoscaler", (*EDIT, "list"), "their autoscalers"),
        Rule("VirtualService", EDIT, "the routes"),
        Rule("DestinationRule", (*EDIT, "list"), "the subsets"),
        Rule("Lease", EDIT, "one rollout of a service at a time"),
        Rule("ConfigMap", EDIT, "the rollout's state, kept in the cluster"),
        Rule("Canary", ("list",), "a service that Flagger releases is refused"),
        Rule("Rollout", ("list",), "a service that Argo Rollouts releases is refused"),
    ),
)
_OF_EVERY_RELEASE = {(rule.kind, verb) for rule in RELEASES.rules for verb in rule.verbs}
COMPANIONS_ROLE = Role(
    "theseus-ci-companions",
    Scope.SERVICE,
    tuple(
        Rule(
            kind,
            tuple(verb for verb in COMPANION if (kind, verb) not in _OF_EVERY_RELEASE),
            "compared, created and, on the way back, deleted",
        )
        for kind in COMPANIONS
    ),
    when="the manifest brings more than a Deployment and its autoscaler; leave out the kinds that "
    "yours do not bring",
)
MESH_DEFAULTS = Role(
    "theseus-ci-mesh-defaults",
    Scope.MESH,
    (Rule("DestinationRule", ("list",), "a new DestinationRule must keep the mesh-wide settings"),),
    when="theseus-ci-routes is not granted and the service has no DestinationRule of its own",
)
ROUTES = Role(
    "theseus-ci-routes",
    Scope.CLUSTER,
    (
        Rule(
            "VirtualService",
            ("list",),
            "those that route to the service; else name them in theseus.yaml",
        ),
        Rule("DestinationRule", ("list",), "those that hide the service's own from callers"),
    ),
    when="theseus.yaml does not name the service's `virtualServices:`; where it does, and this is "
    "not granted, nobody looks whether a caller's DestinationRule hides the service's own",
)
INIT = Role(
    "theseus-ci-init",
    Scope.SERVICE,
    (
        Rule("Service", ("list",), "without --service it names those there are"),
        Rule("VirtualService", ("list",), f"where {ROUTES.name} is not granted"),
    ),
    when="`theseus-ci init` is used",
)
LOAD_WORKERS = Role(
    "theseus-ci-load-workers",
    Scope.SERVICE,
    (
        Rule("Job", EDIT, "the workers"),
        Rule("Secret", EDIT, "what they are to send; theseus-SERVICE-load alone"),
        Rule("PodLog", ("get",), "what they have measured"),
    ),
    when="theseus.yaml sets `performance.load.workers`",
)
ROLES = (RELEASES, COMPANIONS_ROLE, MESH_DEFAULTS, ROUTES, INIT, LOAD_WORKERS)


def rights(role: Role, namespace: str, mesh: str) -> Iterator[Right]:
    """Every single right of a role, for a service in `namespace`."""
    place = {Scope.SERVICE: namespace, Scope.MESH: mesh, Scope.CLUSTER: None}[role.scope]
    for rule in role.rules:
        for verb in rule.verbs:
            yield Right(rule.kind, verb, place, rule.why)


def companion_rights(companions: Iterable[Mapping[str, str]], namespace: str) -> Iterator[Right]:
    """What taking objects of these kinds along needs, kind and namespace of each given."""
    for one in companions:
        kind = KINDS.get(one["kind"])
        if kind is None:
            continue
        place = (one.get("namespace") or namespace) if kind.namespaced else None
        for verb in COMPANION:
            yield Right(one["kind"], verb, place, "comes with the manifest")
