"""Exit 3: what could not be found out, or not be done; it says why, and touches nothing more."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e import app
from tests.e2e.accounts import account, all_rights
from tests.e2e.api import Object
from tests.e2e.tls_front import tls_front
from tests.e2e.world import World


@pytest.fixture
def steady(workspace: World) -> World:
    """With a candidate to release."""
    workspace.configure(app.candidate(replicas=1))
    return workspace


def _kubeconfig(world: World, **changes: str) -> Path:
    """The sandbox's kubeconfig with another server or token."""
    content: Any = yaml.safe_load(world.sandbox.kubeconfig.read_text())
    if "server" in changes:
        content["clusters"][0]["cluster"]["server"] = changes["server"]
    if "token" in changes:
        content["users"][0]["user"] = {"token": changes["token"]}
    return world.write("kubeconfig", content)


def restricted(world: World, group: str, resource: str, verb: str) -> Path:
    """The kubeconfig of a user who may do all that is needed but one verb on one resource."""
    left_out = (group, resource, verb)
    allowed = [r for r in all_rights(world) if (r.group, r.plural, r.verb) != left_out]
    return account(world, allowed).kubeconfig


@pytest.mark.parametrize(
    ("group", "resource", "verb"),
    [
        ("", "services", "get"),
        ("", "pods", "list"),
        ("apps", "deployments", "get"),
        ("apps", "deployments", "create"),
        ("autoscaling", "horizontalpodautoscalers", "list"),
        ("coordination.k8s.io", "leases", "create"),
        ("", "configmaps", "create"),
        ("networking.istio.io", "virtualservices", "list"),
        ("networking.istio.io", "destinationrules", "list"),
        ("flagger.app", "canaries", "list"),
        ("argoproj.io", "rollouts", "list"),
    ],
)
def test_forbidden_before_anything_is_touched(
    steady: World, group: str, resource: str, verb: str
) -> None:
    kubeconfig = restricted(steady, group, resource, verb)
    before = steady.dump()
    done = steady.theseus("begin", kubeconfig=kubeconfig, code=3)
    assert f'cannot {verb} resource "{resource}"' in done.err
    rule = "".join(line for line in done.err.splitlines(keepends=True) if line.startswith("  "))
    assert yaml.safe_load(textwrap.dedent(rule[rule.index("  - apiGroups") :])) == [
        {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
    ]
    assert done.last_words[0].startswith("production traffic: as before")
    assert steady.dump() == before


def test_forbidden_in_the_middle(steady: World) -> None:
    before = steady.dump()
    kubeconfig = restricted(steady, "networking.istio.io", "virtualservices", "update")
    steady.theseus("begin", kubeconfig=kubeconfig)
    done = steady.theseus("base-route", kubeconfig=kubeconfig, code=3)
    assert 'cannot update resource "virtualservices"' in done.err
    assert "verbs: [update]" in done.err
    assert done.last_words == (
        "production traffic: 100 % on web-v1, 0 % on web-v2",
        "next: theseus-ci rollback",
    )
    steady.theseus("rollback", kubeconfig=kubeconfig)
    assert steady.dump() == before


def test_a_run_that_went_back_tells_where_it_ended_alone(steady: World) -> None:
    before = steady.dump()
    kubeconfig = restricted(steady, "networking.istio.io", "destinationrules", "create")
    done = steady.theseus("run", "--yes", kubeconfig=kubeconfig, code=3)
    message, *remedy, traffic, following = done.err.splitlines()
    assert message.startswith("theseus-ci run: ")
    assert 'cannot create resource "destinationrules"' in message
    assert all(line.startswith("  ") for line in remedy)
    assert traffic == "production traffic: 100 % on web-v1"
    assert following == "next: theseus-ci begin"
    assert steady.dump() == before


def test_api_server_away(steady: World) -> None:
    before = steady.dump()
    away = _kubeconfig(steady, server="https://127.0.0.1:9")
    done = steady.theseus("begin", kubeconfig=away, code=3)
    assert "https://127.0.0.1:9 does not answer" in done.err
    assert steady.dump() == before
    wrong = _kubeconfig(steady, token="nobody's")
    done = steady.theseus("begin", kubeconfig=wrong, code=3)
    assert "does not accept these credentials" in done.err
    assert steady.dump() == before


def _begun(world: World) -> dict[str, Object]:
    world.theseus("begin")
    return world.dump()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"schema": 1}'])
def test_a_damaged_state_file(steady: World, damage: str) -> None:
    """The cluster's copy is the one to trust; without it nothing is done."""
    _begun(steady)
    artefact = steady.folder / "theseus-state.json"
    artefact.write_text(damage)
    assert "the cluster's copy" in steady.theseus("base-route").out
    steady.theseus("rollback")
    before = steady.dump()
    artefact.write_text(damage)
    done = steady.theseus("deploy", code=3)
    assert "theseus-state.json is damaged" in done.err
    assert steady.dump() == before


def test_a_state_of_a_newer_version(steady: World) -> None:
    _begun(steady)
    content = steady.get("ConfigMap", "theseus-web")["data"]["state.json"]
    newer = json.dumps({**json.loads(content), "schema": 99})
    steady.merge("ConfigMap", "theseus-web", {"data": {"state.json": newer}})
    before = steady.dump()
    done = steady.theseus("base-route", code=3)
    assert "written by a newer theseus-ci (schema 99" in done.err
    assert steady.dump() == before
    steady.merge("ConfigMap", "theseus-web", {"data": {"state.json": content}})


def test_another_rollout_holds_the_lease(steady: World) -> None:
    steady.theseus("begin", env={"BUILD_URL": "https://ci.example.com/job/web/7/"})
    before = steady.dump()
    since = steady.get("Lease", "theseus-web")["spec"]["acquireTime"]
    elsewhere = steady.empty_folder()
    for name in ("candidate.yaml", "flow.yaml"):
        (elsewhere / name).write_bytes((steady.folder / name).read_bytes())
    done = steady.theseus("begin", folder=elsewhere, code=3)
    for text in ("another rollout", "https://ci.example.com/job/web/7/", since[:19]):
        assert text in done.err
    assert done.last_words[1] == "next: theseus-ci status"
    assert steady.dump() == before
    assert not (elsewhere / "theseus-state.json").exists()


@pytest.mark.parametrize("other", ["another manifest", "another configuration"])
def test_a_workspace_in_which_another_release_was_left_behind(steady: World, other: str) -> None:
    steady.theseus("begin")
    assert "has begun already: nothing to do" in steady.theseus("begin").out
    if other == "another manifest":
        steady.configure(app.candidate("v3", replicas=1))
        says = "has changed since begin"
    else:
        steady.configure(app.candidate(replicas=1), bake={"rate": 2})
        says = "different: bake"
    before = steady.dump()
    done = steady.theseus("begin", code=2 if other == "another manifest" else 3)
    assert says in done.err
    assert "theseus-ci rollback" in done.err
    assert steady.dump() == before


def test_a_step_whose_turn_has_not_come(steady: World) -> None:
    steady.theseus("begin")
    before = steady.get("VirtualService", "web")
    for command in (("deploy",), ("bake", "123ms"), ("shift", "37")):
        done = steady.theseus(*command, code=2)
        assert "comes after base-route" in done.err
        assert done.last_words[1] == "next: theseus-ci base-route"
    assert steady.get("VirtualService", "web") == before
    assert not steady.has("Deployment", "web-v2")


def test_an_entrypoint_that_nobody_serves(steady: World) -> None:
    before = steady.dump()
    waits = {**app.config("", "", "")["waits"], "mesh": "1s"}
    steady.configure(app.candidate(replicas=1), waits=waits, **{"entrypoint": "http://127.0.0.1:9"})
    steady.theseus("begin")
    done = steady.theseus("base-route", code=3)
    assert "http://127.0.0.1:9 did not show" in done.err
    assert "last seen: no answer" in done.err
    refused = steady.theseus("rollback", code=3)
    assert "http://127.0.0.1:9 did not show" in refused.err
    assert "theseus-ci rollback --unobserved" in refused.err
    steady.theseus("rollback", "--unobserved")
    assert steady.dump() == before


def test_a_host_that_no_route_serves(steady: World) -> None:
    before = steady.dump()
    waits = {**app.config("", "", "")["waits"], "mesh": "1s"}
    steady.configure(app.candidate(replicas=1), waits=waits, host="nobody.example.com")
    steady.theseus("begin")
    done = steady.theseus("base-route", code=3)
    assert "last seen: status 404" in done.err
    steady.theseus("rollback", "--unobserved")
    assert steady.dump() == before


def test_a_subset_that_no_proxy_learns_of(steady: World) -> None:
    """The mesh refuses the user's DestinationRule: production must never be sent to its subsets,
    not by the way back either."""
    rule = app.destination_rule({})
    balancer = {"consistentHash": {"httpHeaderName": "x-user"}}  # the sandbox has none
    rule["spec"]["trafficPolicy"] = {"loadBalancer": balancer}
    steady.apply(rule)
    before = steady.dump()
    waits = {**app.config("", "", "")["waits"], "mesh": "1s"}
    steady.configure(app.candidate(replicas=1), waits=waits)
    with steady.traffic() as requests:
        done = steady.theseus("run", code=3)
    assert "last seen: status 503 from the proxy" in done.err
    assert "exportTo" in done.err
    assert requests
    assert not [one for one in requests if one.status != 200]
    assert steady.dump() == before
    steady.remove(rule)


def test_an_entrypoint_whose_authority_must_be_named(steady: World, tmp_path: Path) -> None:
    before = steady.dump()
    authority = tmp_path / "authority.pem"
    waits = {**app.config("", "", "")["waits"], "mesh": "1s"}
    with tls_front(steady.gateway, steady.host, authority) as url:
        steady.configure(app.candidate(replicas=1), waits=waits, **{"entrypoint": url})
        doctor = steady.theseus("doctor", code=3)
        steady.theseus("begin")
        refused = steady.theseus("base-route", code=3)
        for told in (doctor.text, refused.err):
            assert "CERTIFICATE_VERIFY_FAILED" in told
            assert "SSL_CERT_FILE" in told
        named = {"SSL_CERT_FILE": str(authority)}
        steady.theseus("base-route", env=named)
        steady.theseus("rollback", env=named)
    assert steady.dump() == before
