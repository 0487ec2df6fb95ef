"""`doctor`: what stands in the way here, each with what mends it; and nothing is touched."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e import app
from tests.e2e.accounts import account, all_rights, kubeconfig
from tests.e2e.api import Object
from tests.e2e.world import COMMAND, World
from theseus_ci.doctor.examination import CHECKS
from theseus_ci.mesh.policy import ROOT_NAMESPACE
from theseus_ci.report.junit import read_junit
from theseus_ci.rights.needed import MESH_DEFAULTS, RELEASES, Right

KUBECTL = Path(COMMAND).with_name("kubectl")


@pytest.fixture
def steady(service: World, tmp_path: Path) -> Iterator[World]:
    """A service that runs, a candidate to release; whatever happens nothing is touched."""
    service.folder = tmp_path
    service.configure(app.candidate(replicas=1), performance=None)
    before = service.dump()
    yield service
    assert service.dump() == before


def findings(world: World, *options: str, code: int = 0, **more: Any) -> dict[str, Any]:
    """What `doctor --json` says, its findings by check."""
    told = json.loads(world.theseus("doctor", "--json", *options, code=code, **more).out)
    assert [one["check"] for one in told["findings"]] == list(CHECKS)
    assert told["ready"] is (code == 0)
    return {**told, **{one["check"]: one for one in told["findings"]}}


def test_all_is_well(steady: World) -> None:
    done = steady.theseus("doctor")
    marks = [line[:1] for line in done.out.splitlines()[2:-2]]
    assert marks == ["✓"] * len(CHECKS), done.out
    assert "begin would take it: web-v1 → web-v2" in done.out
    assert done.out.endswith("0 problems, 0 warnings\n")
    cases = read_junit(steady.folder / "reports" / "doctor.xml")
    assert [case.name.rpartition(".")[2] for case in cases] == list(CHECKS)


def test_a_user_without_rights_is_told_what_to_have_applied(steady: World, tmp_path: Path) -> None:
    """What is printed, applied as it is, is enough for a release to begin."""
    user = account(steady, ())
    told = findings(steady, code=3, kubeconfig=user.kubeconfig)
    assert told["account"] == user.name
    needed = {(one.verb, one.plural, one.namespace) for one in all_rights(steady)}
    missing = {(one["verb"], one["resource"], one["namespace"]) for one in told["missing"]}
    only_init = {(verb, kind, steady.namespace) for verb, kind in _INIT}
    beside_routes = {(one.verb, one.plural, one.namespace) for one in _mesh_defaults(steady)}
    assert missing == needed - only_init - beside_routes
    assert told["release"]["level"] == "not looked at"
    applied = subprocess.run(
        [KUBECTL, "--kubeconfig", steady.sandbox.kubeconfig, "apply", "-f", "-"],
        input=told["rbac"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert applied.returncode == 0, applied.stderr
    again = findings(steady, kubeconfig=user.kubeconfig)
    assert again["missing"] == []
    assert again["release"]["level"] == "fine"


_INIT = (("list", "services"), ("list", "virtualservices"))


def _mesh_defaults(world: World) -> list[Right]:
    return all_rights(world, (MESH_DEFAULTS,))


def test_rights_that_this_release_does_not_need_are_not_asked_for(steady: World) -> None:
    """Routes that theseus.yaml names need no right beyond namespaces; companions need more."""
    user = account(steady, all_rights(steady, (RELEASES, MESH_DEFAULTS)))
    told = findings(steady, code=3, kubeconfig=user.kubeconfig)
    assert told["missing"] == [
        {
            "verb": "list",
            "apiGroup": "networking.istio.io",
            "resource": resource,
            "namespace": None,
        }
        for resource in ("virtualservices", "destinationrules")
    ]
    steady.configure(app.candidate(replicas=1), virtualServices=["web"])
    told = findings(steady, kubeconfig=user.kubeconfig)
    assert "of other namespaces may not be looked at" in told["release"]["message"]
    bare = account(steady, all_rights(steady, (RELEASES,)))
    told = findings(steady, code=3, kubeconfig=bare.kubeconfig)
    assert [one["namespace"] for one in told["missing"]] == [ROOT_NAMESPACE]
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "new"}}
    steady.configure([app.candidate(replicas=1), secret], virtualServices=["web"])
    told = findings(steady, code=3, kubeconfig=user.kubeconfig)
    assert {one["resource"] for one in told["missing"]} == {"secrets"}
    assert {one["verb"] for one in told["missing"]} == {
        "get",
        "create",
        "patch",
        "update",
        "delete",
    }


def test_init_without_rights_beyond_the_namespace_names_the_routes(steady: World) -> None:
    narrow = [one for one in all_rights(steady) if one.namespace == steady.namespace]
    user = account(steady, narrow)
    written = steady.theseus(
        "init", "--service", "web", "--namespace", steady.namespace, kubeconfig=user.kubeconfig
    )
    assert yaml.safe_load(written.out)["virtualServices"] == ["web"]
    assert "only namespace" in written.err


def _wrong_manifest(world: World) -> tuple[str, int, str]:
    world.write("candidate.yaml", app.service())
    return "manifest", 2, "there is no Deployment"


def _unknown_key(world: World) -> tuple[str, int, str]:
    world.configure(app.candidate(), matcherz=[])
    return "configuration", 2, "matchers"


def _nobody_at_the_entrypoint(world: World) -> tuple[str, int, str]:
    world.configure(app.candidate(replicas=1), **{"entrypoint": "http://127.0.0.1:9"})
    return "entrypoint", 3, "http://127.0.0.1:9 does not answer"


def _no_service(world: World) -> tuple[str, int, str]:
    world.configure(app.candidate(replicas=1), service="nobody")
    return "service", 2, "there is no Service"


def _what_begin_refuses(world: World) -> tuple[str, int, str]:
    running = app.deployment("web-v1", "v1", replicas=1)
    running["metadata"]["name"] = "web-v9"
    running["spec"]["selector"]["matchLabels"]["version"] = "v9"
    running["spec"]["template"]["metadata"]["labels"]["version"] = "v9"
    world.configure(running)
    return "release", 2, "would run the very pods"


def _no_sidecar(world: World) -> tuple[str, int, str]:
    return "sidecars", 0, "gateways"


@pytest.mark.parametrize(
    "stage",
    [
        _wrong_manifest,
        _unknown_key,
        _nobody_at_the_entrypoint,
        _no_service,
        _what_begin_refuses,
        _no_sidecar,
    ],
)
def test_one_thing_is_wrong(steady: World, stage: Any) -> None:
    check, code, says = stage(steady)
    told = findings(steady, code=code)
    assert says in told[check]["message"] + told[check]["fix"]
    assert told[check]["exitCode"] == code
    others = [one for one in told["findings"] if one["level"] == "problem"]
    assert [one["check"] for one in others] == ([check] if code else [])


def test_somebody_releases_now(service: World, tmp_path: Path) -> None:
    service.folder = tmp_path
    service.configure(app.candidate(replicas=1))
    service.theseus("begin", env={"BUILD_URL": "https://ci.example.com/job/web/7/"})
    told = findings(service, code=3)
    assert "https://ci.example.com/job/web/7/" in told["lease"]["message"]
    assert told["release"]["level"] == "not looked at"
    lease = service.get("Lease", "theseus-web")
    service.remove(lease)
    told = findings(service)
    assert told["lease"]["level"] == "warning"
    service.theseus("rollback")


def test_the_cluster_is_away(steady: World) -> None:
    content: Any = yaml.safe_load(steady.sandbox.kubeconfig.read_text())
    content["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    away = steady.write("away", content)
    told = findings(steady, code=3, kubeconfig=away)
    assert "https://127.0.0.1:9 does not answer" in told["server"]["message"]
    levels = {one["check"]: one["level"] for one in told["findings"]}
    assert levels.pop("entrypoint") == "fine", "that is no matter of the API server"
    assert set(levels.values()) == {"fine", "problem", "not looked at"}
    stranger = kubeconfig(steady, "stranger", "nobody's")
    told = findings(steady, code=3, kubeconfig=stranger)
    assert "renew the credentials" in told["server"]["fix"]


def test_without_a_configuration_the_place_alone(steady: World) -> None:
    empty = steady.folder / "empty"
    empty.mkdir()
    told = findings(steady, "--namespace", steady.namespace, folder=empty)
    assert told["namespace"] == steady.namespace
    levels = {one["check"]: one["level"] for one in told["findings"]}
    assert {name for name, level in levels.items() if level == "fine"} == {
        "server",
        "clock",
        "rights",
        "istio",
    }


def test_all_rights_for_a_namespace_and_an_account(steady: World) -> None:
    text = steady.theseus("doctor", "--rbac", "--account", "ci/jenkins").out
    documents: list[Object] = list(yaml.safe_load_all(text))
    assert "ServiceAccount" not in {one["kind"] for one in documents}
    for one in documents:
        if one["kind"].endswith("Binding"):
            assert one["subjects"] == [
                {"kind": "ServiceAccount", "name": "jenkins", "namespace": "ci"}
            ]
        assert one["metadata"].get("namespace") in {steady.namespace, "istio-system", None}
