"""The folder that a command runs in: what cannot be written there, and whose state it holds."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e import app
from tests.e2e.world import Done, World

TO_HALF = ("begin", "base-route", "deploy", "dark-route", "await-mesh", "shift 50")
ARTEFACT = "theseus-state.json"


@pytest.fixture
def steady(service: World, tmp_path: Path) -> Iterator[World]:
    """A service that runs, a candidate to release, and a workspace of this test's own."""
    service.folder = tmp_path
    service.configure(app.candidate(replicas=1), flow=_flow())
    yield service
    for name in ("web", "shop"):
        if service.has("Lease", f"theseus-{name}"):
            service.theseus("rollback", "--take-over", "--state", f"left-{name}.json", code=None)


def _flow() -> app.Object:
    """From begin straight to half of the traffic, and on."""
    whole = app.flow(without=("autoscale", "performance", "bake"))
    skipped = ("smoke-dark", "shift-first")
    steps = [one for one in whole["steps"] if next(iter(one.values()))["id"] not in skipped]
    return {**whole, "steps": steps}


def _to_half(world: World, *options: str) -> None:
    for command in TO_HALF:
        world.theseus(*command.split(), *options)
    assert world.candidate_weights() == [50]


def _on_a_full_disk(world: World, *arguments: str) -> Done:
    """The kubeconfig's certificates are in files already: the client would have to write them."""
    content: Any = yaml.safe_load(world.sandbox.kubeconfig.read_text())
    for part in (content["clusters"][0]["cluster"], content["users"][0]["user"]):
        for key in [one for one in part if one.endswith("-data")]:
            name = key.removesuffix("-data")
            part[name] = str(world.folder / f"{name}.pem")
            Path(part[name]).write_bytes(base64.b64decode(part.pop(key)))
    kubeconfig = world.write("kubeconfig", content)
    return world.start(*arguments, kubeconfig=kubeconfig, full_disk=True).wait()


def test_a_rollout_whose_disk_is_full_goes_on_and_back(steady: World) -> None:
    before = steady.dump()
    _to_half(steady)
    old = (steady.folder / ARTEFACT).read_bytes()
    again = _on_a_full_disk(steady, "smoke", "--step", "smoke-half", "--again")
    assert again.code == 0, again.text
    assert again.text.count(f"cannot write the state to {ARTEFACT}: File too large") == 1
    assert "the cluster's copy is the one that counts" in again.out
    assert "cannot write the report of smoke-half" in again.out
    assert (steady.folder / ARTEFACT).read_bytes() == old
    assert "differs from the cluster's copy" in steady.theseus("status").out
    back = _on_a_full_disk(steady, "rollback")
    assert back.code == 0, back.text
    assert steady.dump() == before
    assert "nothing to roll back" in steady.theseus("rollback").out
    assert "no rollout is under way" in steady.theseus("status").out


def test_a_run_whose_disk_is_full_rolls_back_by_itself(steady: World) -> None:
    before = steady.dump()
    _to_half(steady)
    smoke = [{"name": "answers", "http": {"path": "/", "expect": {"status": 418}}}]
    steady.configure(app.candidate(replicas=1), flow=_flow(), smoke=smoke)
    steady.theseus("rollback")
    _to_half(steady)
    run = _on_a_full_disk(steady, "run", "--resume")
    assert run.code == 1, run.text
    assert "no orderly end" not in run.text
    assert steady.dump() == before


def test_a_workspace_that_has_gone_leaves_the_way_back(steady: World) -> None:
    before = steady.dump()
    workspace = steady.folder / "workspace"
    options = ("--state", f"workspace/{ARTEFACT}", "--reports", "workspace/reports")
    _to_half(steady, *options)
    workspace.rename(steady.folder / "gone")
    workspace.touch()  # now a file, in which nobody can write anything
    status = steady.theseus("status", *options)
    assert "50 % on web-v1, 50 % on web-v2" in status.out
    assert "cannot write" not in status.text
    back = steady.theseus("rollback", *options)
    assert back.text.count("cannot write the state") == 1
    assert steady.dump() == before


def test_a_state_whose_rollout_has_ended_elsewhere(steady: World) -> None:
    steady.theseus("begin")
    steady.theseus("rollback", folder=steady.empty_folder())
    status = steady.theseus("status")
    assert "has ended elsewhere" in status.out
    assert "next      theseus-ci begin" in status.out
    assert steady.theseus("base-route", code=3).last_words[1] == "next: theseus-ci status"


def test_a_state_left_behind_is_no_claim_to_a_rollout_begun_elsewhere(steady: World) -> None:
    steady.theseus("begin")
    steady.theseus("rollback")
    elsewhere = steady.empty_folder()
    for name in ("candidate.yaml", "flow.yaml"):
        (elsewhere / name).write_bytes((steady.folder / name).read_bytes())
    steady.theseus("begin", folder=elsewhere)
    done = steady.theseus("begin", code=3)
    assert "another rollout of this service is under way" in done.err
    assert steady.state()["phase"] == "rolled back"


def test_nothing_begins_where_nothing_can_be_written(steady: World) -> None:
    before = steady.dump()
    begin = _on_a_full_disk(steady, "begin")
    assert begin.code == 3, begin.text
    assert f"cannot write the state to {ARTEFACT}: File too large" in begin.err
    assert "--state" in begin.err
    assert begin.last_words[0] == (
        "production traffic: as before, this command has touched nothing"
    )
    assert steady.dump() == before
    assert not list(steady.folder.glob("*theseus-state*"))
    inline = steady.start("begin", full_disk=True).wait()  # certificates need a file as well
    assert "set TMPDIR" in inline.err


def test_a_folder_of_two_services(steady: World) -> None:
    """Each command changes the service that it is told to, or none."""
    _second_service(steady)
    steady.theseus("begin")
    of_web = steady.state()
    before = steady.dump()
    begin = steady.theseus("begin", "--config", "shop.yaml", code=2)
    for text in (f"{ARTEFACT} is of rollout {of_web['rollout']}", "/web", "/shop", "--state"):
        assert text in begin.err
    for command in (("base-route",), ("status",), ("rollback",), ("run", "--resume")):
        done = steady.theseus(*command, "--config", "shop.yaml", code=2)
        assert f"{ARTEFACT} is of rollout {of_web['rollout']}" in done.err
        assert "without --config" in done.err
    steady.theseus("base-route", env={"THESEUS_CONFIG": "shop.yaml"}, code=2)
    steady.theseus("status", env={"THESEUS_CONFIG": "absent.yaml"})  # the state has its own
    assert steady.dump() == before
    assert steady.state() == of_web

    of_its_own = ("--config", "shop.yaml", "--state", "shop.json")
    steady.theseus("begin", *of_its_own)
    assert f"{steady.namespace}/shop" in steady.theseus("status", *of_its_own).out
    steady.theseus("rollback", *of_its_own)
    steady.theseus("rollback", "--config", "theseus.yaml")
    steady.theseus("begin", "--config", "shop.yaml")  # over the state of one that has ended
    assert steady.state()["service"] == "shop"
    steady.theseus("rollback")
    assert not steady.has("Lease", "theseus-shop")


def _second_service(world: World) -> None:
    labels = {"app": "shop", "version": "v1"}
    entry = {"route": [{"destination": {"host": "shop"}}]}
    routes = app.virtual_service(f"shop.{world.host}", http=[entry])
    routes["metadata"]["name"] = "shop"
    world.apply(
        app.service("shop"), routes, app.deployment("shop-v1", "v1", replicas=1, labels=labels)
    )
    world.await_ready("shop-v1")
    candidate = app.deployment("shop-v2", "v2", replicas=1, labels={**labels, "version": "v2"})
    world.write("shop-v2.yaml", candidate)
    keys = {"service": "shop", "manifest": "shop-v2.yaml"}
    config = app.config(world.namespace, f"shop.{world.host}", world.gateway, **keys)
    world.write("shop.yaml", config)
