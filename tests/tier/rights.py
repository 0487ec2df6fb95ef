"""A release and a rollback in which every right of deploy/rbac.yaml is used, and where first."""

from __future__ import annotations

from tests.e2e import app
from tests.e2e.api import Object
from tests.e2e.world import World
from theseus_ci.rights.needed import Right

Command = tuple[str, ...]
COMPANION_KINDS = {
    "Secret": "secrets",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "ConfigMap": "configmaps",
}
REPEATED = {"shift-half", "smoke-half", "performance-half", "smoke-alone"}


def flow() -> Object:
    """Every command of the canary sequence, once."""
    made = app.flow(without=("bake",))
    kept = [one for one in made["steps"] if not REPEATED & {body["id"] for body in one.values()}]
    return {**made, "steps": kept}


def companion(kind: str, name: str) -> Object:
    """An object of that kind which changes nothing for anybody."""
    version = {"PodDisruptionBudget": "policy/v1"}.get(kind, "v1")
    made: Object = {"apiVersion": version, "kind": kind, "metadata": {"name": name}}
    if kind in ("Secret", "ConfigMap"):
        made["data"] = {"colour": "cmVk"}
    if kind == "Service":
        made["spec"] = {"selector": {"app": name}, "ports": [{"port": 80}]}
    if kind == "PodDisruptionBudget":
        made["spec"] = {"minAvailable": 0, "selector": {"matchLabels": {"app": name}}}
    return made


def furnish(world: World) -> None:
    """A service that no VirtualService routes to yet, with an autoscaler; the manifest's
    companions, some of which are there already."""
    world.apply(
        app.service(),
        app.gateway(world.host),
        app.deployment("web-v1", "v1", replicas=2),
        app.autoscaler("web-v1", low=2),
        *(companion(kind, "kept") for kind in COMPANION_KINDS),
    )
    world.await_ready("web-v1")
    candidate = app.candidate(replicas=1)
    candidate["spec"]["minReadySeconds"] = 10  # ready pods have to be waited for, too
    candidate["spec"]["template"]["spec"]["containers"][0]["ports"][0]["name"] = "web"
    more = [companion(kind, name) for kind in COMPANION_KINDS for name in ("kept", "new")]
    world.configure(
        [candidate, *more],
        flow=flow(),
        gateways=["front"],
        smoke=[{"name": "accepts", "tcp": {"port": "web", "connect": True}}],
    )


def first_uses(namespace: str) -> list[tuple[Command, list[Right]]]:
    """Every command that asks the cluster, in order, with the rights that none before it needed:
    a release that is rolled back, a whole one, and the commands around them.

    Those that a command uses late come last: what it has done by then is not done again.
    """

    def of(verb: str, *kinds: str, place: str | None = namespace) -> list[Right]:
        return [Right(kind, verb, place) for kind in kinds]

    others = [kind for kind in COMPANION_KINDS if kind != "ConfigMap"]
    unread = [kind for kind in others if kind != "Service"]
    here = ("--namespace", namespace)
    first: dict[Command, list[Right]] = {
        ("init", *here): of("list", "Service"),
        ("init", "--service", "web", *here): [
            *of("get", "Service", "ReplicaSet", "Deployment"),
            *of("list", "Pod", "VirtualService", "DestinationRule", "HorizontalPodAutoscaler"),
        ],
        ("backup",): of("list", "VirtualService", place=None),
        ("status",): of("get", "ConfigMap"),
        ("begin",): [
            *of("list", "DestinationRule", place=None),
            *of("get", "Lease", *unread),
            *of("patch", *COMPANION_KINDS),
            *of("list", "Canary", "Rollout"),
            *of("create", "Deployment", "Lease", "ConfigMap"),
            *of("update", "Lease"),
        ],
        ("base-route",): [
            *of("update", "ConfigMap"),
            *of("get", "DestinationRule", "VirtualService"),
            *of("create", "DestinationRule", "VirtualService"),
            *of("update", "VirtualService"),
        ],
        ("deploy",): [
            *of("create", *others),
            *of("update", "Deployment"),
            *of("watch", "Pod", "Deployment"),
        ],
        ("dark-route",): [],
        ("rollback",): [
            *of("get", "HorizontalPodAutoscaler"),
            *of("delete", "Deployment", *others, "ConfigMap"),
            *of("delete", "VirtualService", "DestinationRule", "Lease"),
        ],
    }
    second: dict[str, list[Right]] = {
        "smoke": of("get", "Pod"),
        "autoscale": of("create", "HorizontalPodAutoscaler"),
        "scale-down-previous": of("update", "HorizontalPodAutoscaler"),
        "await-scale-down": of("list", "Deployment"),
        "promote": [*of("delete", "HorizontalPodAutoscaler"), *of("update", *others)],
    }
    whole = [app.command_of(step) for step in flow()["steps"]]
    return [
        *first.items(),
        *((command, second.get(command[0], [])) for command in whole),
        (("delete", "web-v0"), of("update", "DestinationRule")),
    ]


def code_of(command: Command) -> int:
    """How it ends: `init` without a service names those there are, as a usage error."""
    return 2 if command[0] == "init" and "--service" not in command else 0
