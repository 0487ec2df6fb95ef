"""What begin refuses, with exit 2: it says what to do, and nothing is touched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e import app
from tests.e2e.api import Object
from tests.e2e.world import World


@pytest.fixture(scope="module")
def steady(shared_world: World) -> World:
    """A service that runs, and that no test of this module changes for good."""
    shared_world.start_service(replicas=1)
    return shared_world


@dataclass(frozen=True)
class Input:
    """What a person wrote, and what theseus-ci must say of it."""

    says: tuple[str, ...]
    keys: dict[str, Any] = field(default_factory=dict)
    manifest: Any = None
    text: str = ""  # theseus.yaml as it is
    options: tuple[str, ...] = ()
    flow: Any = None


CANDIDATE = app.candidate()
INPUTS: dict[str, Input] = {
    "no configuration": Input(
        ("nowhere.yaml", "theseus-ci init"), options=("--config", "nowhere.yaml")
    ),
    "configuration is a folder": Input(("k8s", "is a folder"), options=("--config", "k8s")),
    "YAML syntax": Input(("theseus.yaml:3:1", "line 2"), text="service: web\nsmoke: [a\n"),
    "unknown key": Input(("matcherz", "matchers"), keys={"matcherz": []}),
    "unknown nested key": Input(("waits.setle", "settle"), keys={"waits": {"setle": "1s"}}),
    "wrong type": Input(("performance.rate",), keys={"performance": {"rate": "fast"}}),
    "manifest is missing": Input(("absent.yaml",), keys={"manifest": "absent.yaml"}),
    "manifest syntax": Input(("candidate.yaml:2:",), manifest="kind: Deployment\n  name: [x\n"),
    "no Deployment": Input(("Deployment", "candidate.yaml"), manifest=app.service()),
    "several Deployments": Input(
        ("web-v2", "web-v3", "deployment:"), manifest=[CANDIDATE, app.candidate("v3")]
    ),
    "regex": Input(
        ("matchers[0].cookie.regex",), keys={"matchers": [{"cookie": {"name": "a", "regex": "("}}]}
    ),
    "matcher without a value": Input(
        ("matchers[0].header", "exact"), keys={"matchers": [{"header": {"name": "x-a"}}]}
    ),
    "tolerance": Input(
        ("performance.tolerance",),
        keys={"performance": {**app.PERFORMANCE, "tolerance": {"p95": "-5%"}}},
    ),
    "rate": Input(("performance.rate",), keys={"performance": {**app.PERFORMANCE, "rate": 0}}),
    "weight": Input(("flow.yaml", "shift needs a weight", "101"), flow=app.flow(weight=101)),
    "service is absent": Input(("no Service", "nobody"), options=("--service", "nobody")),
    "previous is absent": Input(("no Deployment", "web-v0"), options=("--previous", "web-v0")),
    "candidate equals previous": Input(
        ("web-v9", "very pods", "allowEqual"),
        manifest=app.deployment("web-v9", "v9", image="theseus-ci/demo:v1"),
    ),
    "same name without a version": Input(
        ("web-v1", "--version"), manifest=app.deployment("web-v1", "v1", image="theseus-ci/demo:v2")
    ),
    "labels the Service does not select": Input(
        ("app=web",), manifest=app.deployment("web-v2", "v2", labels={"app": "other"})
    ),
    "VirtualService is absent": Input(("other", "virtualServices"), {"virtualServices": ["other"]}),
    "no entrypoint": Input(("entrypoint",), keys={"entrypoint": None}),
}


@pytest.mark.parametrize("name", INPUTS)
def test_input_that_cannot_be_carried_out(steady: World, name: str) -> None:
    given = INPUTS[name]
    (steady.folder / "k8s").mkdir(exist_ok=True)
    steady.configure(given.manifest or CANDIDATE, flow=given.flow, **given.keys)
    if given.text:
        steady.write("theseus.yaml", given.text)
    _refused(steady, given.says, given.options)


@dataclass(frozen=True)
class Situation:
    """What the cluster is like, what theseus-ci must say of it, and the key that accepts it."""

    says: tuple[str, ...]
    objects: tuple[Object, ...] = ()  # there during the test
    changes: tuple[tuple[str, str, Object, Object], ...] = ()  # kind, name, patch, and back
    manifest: Any = None
    allow: str = ""


def _marked(
    field_name: str, key: str, value: str, *, kind: str = "VirtualService", name: str = "web"
) -> tuple[str, str, Object, Object]:
    return (
        kind,
        name,
        {"metadata": {field_name: {key: value}}},
        {"metadata": {field_name: {key: None}}},
    )


def _routed(http: list[Object]) -> tuple[str, str, Object, Object]:
    before = app.virtual_service("unused")["spec"]["http"]
    return "VirtualService", "web", {"spec": {"http": http}}, {"spec": {"http": before}}


def _to(subset: str) -> Object:
    return {"destination": {"host": "web", "subset": subset}}


SUBSETS = app.destination_rule({"v1": {"version": "v1"}, "v2": {"version": "v2"}})
SETTINGS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
KEDA_OWNER = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "web", "uid": "1"}
SITUATIONS: dict[str, Situation] = {
    "several could be the previous one": Situation(
        ("web-v0", "web-v1", "previous:"),
        objects=(app.deployment("web-v0", "v0", replicas=1),),
    ),
    "Flagger owns the service": Situation(
        ("Flagger", "Canary web"),
        objects=(
            app.custom(
                "flagger.app/v1beta1",
                "Canary",
                {"targetRef": {"kind": "Deployment", "name": "web-v1"}},
            ),
        ),
    ),
    "Argo Rollouts owns the service": Situation(
        ("Argo Rollout", "web"),
        objects=(
            app.custom(
                "argoproj.io/v1alpha1",
                "Rollout",
                {
                    "workloadRef": {"kind": "Deployment", "name": "web-v1"},
                    "strategy": {"canary": {"stableService": "web"}},
                },
            ),
        ),
    ),
    "KEDA owns the autoscaler": Situation(
        ("KEDA", "ScaledObject web", "paused-replicas"),
        objects=(app.autoscaler("web-v1", low=1, owners=[KEDA_OWNER]),),
    ),
    "Argo CD tracks the routes": Situation(
        ("Argo CD", "ignoreDifferences", "allowGitops"),
        changes=(_marked("annotations", "argocd.argoproj.io/tracking-id", "shop:x"),),
        allow="allowGitops",
    ),
    "Flux manages the Deployment": Situation(
        ("Flux", "reconcile", "allowGitops"),
        changes=(
            _marked(
                "labels",
                "kustomize.toolkit.fluxcd.io/name",
                "shop",
                kind="Deployment",
                name="web-v1",
            ),
        ),
        allow="allowGitops",
    ),
    "NodePort": Situation(
        ("NodePort", "node port", "allowUnmeshed"),
        changes=(
            ("Service", "web", {"spec": {"type": "NodePort"}}, {"spec": {"type": "ClusterIP"}}),
        ),
        allow="allowUnmeshed",
    ),
    "a changed companion": Situation(
        ("ConfigMap settings", "data", "allowCompanions"),
        objects=({**SETTINGS, "data": {"colour": "blue"}},),
        manifest=[CANDIDATE, {**SETTINGS, "data": {"colour": "red"}}],
        allow="allowCompanions",
    ),
    "a route sends users to the candidate's pods": Situation(
        ("v2", "before any test"),
        objects=(SUBSETS,),
        changes=(
            _routed(
                [
                    {"match": [{"uri": {"prefix": "/beta"}}], "route": [_to("v2")]},
                    {"route": [_to("v1")]},
                ]
            ),
        ),
    ),
    "the candidate exists": Situation(
        ("web-v2", "exists already", "delete"),
        objects=(app.deployment("web-v2", "v2", replicas=0),),
    ),
    "a delegate cannot be read": Situation(
        ("delegates", "hidden"),
        changes=(
            _routed(
                [
                    {"match": [{"uri": {"prefix": "/a"}}], "delegate": {"name": "hidden"}},
                    {"route": [{"destination": {"host": "web"}}]},
                ]
            ),
        ),
    ),
}


@pytest.fixture
def situation(request: pytest.FixtureRequest, steady: World) -> Iterator[Situation]:
    """A situation that is there during the test, and gone after it."""
    found = SITUATIONS[request.param]
    for foreign in app.FOREIGN:
        steady.api.apply(app.crd(*foreign), "")
    steady.apply(*found.objects)
    for kind, name, patch, _ in found.changes:
        steady.merge(kind, name, patch)
    for obj in found.objects:
        if obj["kind"] == "Deployment" and obj["spec"]["replicas"]:
            steady.await_ready(obj["metadata"]["name"])
    yield found
    for kind, name, _, back in found.changes:
        steady.merge(kind, name, back)
    for obj in found.objects:
        steady.remove(obj)


@pytest.mark.parametrize("situation", SITUATIONS, indirect=True)
def test_a_cluster_in_which_a_release_would_do_harm(steady: World, situation: Situation) -> None:
    manifest = situation.manifest or CANDIDATE
    steady.configure(manifest)
    _refused(steady, situation.says)
    if situation.allow:
        steady.configure(manifest, **{situation.allow: True})
        before = steady.dump()
        steady.theseus("plan")
        assert steady.dump() == before


def test_options_out_of_range(steady: World) -> None:
    steady.configure(CANDIDATE)
    before = steady.dump()
    for arguments, said in ((("shift", "101"), "0 to 100"), (("bake", "soon"), "soon")):
        done = steady.theseus(*arguments, code=2)
        assert said in done.err
    assert steady.dump() == before


def _refused(world: World, says: tuple[str, ...], options: tuple[str, ...] = ()) -> None:
    """`begin` says all of that, and the cluster is as it was."""
    before = world.dump()
    done = world.theseus("begin", *options, code=2)
    for text in says:
        assert text in done.err
    traffic, following = done.last_words
    assert traffic == "production traffic: as before, this command has touched nothing"
    assert following.startswith("next: ")
    assert world.dump() == before
    assert not (world.folder / "theseus-state.json").exists()
