"""The commands around a rollout: init, plan, status, backup, delete."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.e2e import app
from tests.e2e.world import COMMAND, World

NO_LOAD = app.flow(without=("performance", "bake"))
CHANGED = re.compile(r"^[-+]{3} (\w+) \S+/(\S+) \(", re.MULTILINE)


@pytest.fixture
def steady(world: World) -> World:
    world.start_service(replicas=1)
    world.apply(app.autoscaler("web-v1", low=1))
    world.await_ready("web-v1")
    world.configure(app.candidate(replicas=1), flow=NO_LOAD)
    return world


def _objects(world: World) -> dict[str, str]:
    return {name: json.dumps(obj, sort_keys=True) for name, obj in world.dump().items()}


def test_plan_touches_nothing_and_names_every_object_that_changes(steady: World) -> None:
    before = _objects(steady)
    plan = json.loads(steady.theseus("plan", "--json").out)
    assert [step["id"] for step in plan["steps"]] == _ids(NO_LOAD)
    diff = steady.theseus("plan", "--diff").out
    assert _objects(steady) == before
    assert not (steady.folder / "theseus-state.json").exists()
    announced = {f"{kind} {name}" for kind, name in CHANGED.findall(diff)}

    seen: dict[str, set[str]] = {}
    for command in steady.planned():
        steady.theseus(*command)
        for name, text in _objects(steady).items():
            seen.setdefault(name, set()).add(text)
    changed = {
        name
        for name, texts in seen.items()
        if len(texts) > 1 or texts != {before.get(name)} or name not in steady.dump()
    }
    own = {"Lease theseus-web", "ConfigMap theseus-web"}
    assert changed - own == announced
    assert "<secret>" in diff


def _ids(flow: dict[str, object]) -> list[str]:
    steps = flow["steps"]
    assert isinstance(steps, list)
    return [body["id"] for step in steps for body in step.values()]


def test_status_tells_how_far_a_rollout_is(steady: World) -> None:
    assert json.loads(steady.theseus("status", "--json").out) == {"rollout": None}
    for command in ("begin", "base-route", "deploy", "dark-route", "await-mesh", "smoke"):
        steady.theseus(command)
    steady.theseus("autoscale")
    steady.theseus("shift", "10")
    elsewhere = steady.empty_folder()
    facts = json.loads(steady.theseus("status", "--json", folder=elsewhere).out)
    assert facts["phase"] == "running"
    assert facts["nextStep"] == "shift-half"
    assert facts["traffic"] == "production traffic: 90 % on web-v1, 10 % on web-v2"
    assert facts["lease"]["acting"] is False
    assert not (elsewhere / "theseus-state.json").exists()
    text = steady.theseus("status", folder=elsewhere).out
    assert "next      theseus-ci shift 50" in text
    planned = steady.theseus("plan", code=3)  # both versions carry traffic, and that is why
    assert f"another rollout of this service is under way: {facts['rollout']}" in planned.err
    steady.theseus("rollback")


def test_init_writes_what_begin_and_plan_take(steady: World) -> None:
    before = _objects(steady)
    folder = steady.folder / "fresh"
    folder.mkdir()
    done = steady.theseus("init", "--service", "web", "--namespace", steady.namespace)
    assert "write the gateway's URL" in done.err
    text = done.out
    assert _objects(steady) == before
    (folder / "theseus.yaml").write_text(text)
    (folder / "candidate.yaml").write_text(yaml.safe_dump(app.candidate()))
    options = ("--manifest", "candidate.yaml", "--entrypoint", steady.gateway)
    done = steady.theseus("plan", *options, folder=folder)
    assert "web-v1 → web-v2" in done.out
    listed = steady.theseus("init", "--namespace", steady.namespace, code=2)
    assert "web" in listed.err


def test_a_backup_can_be_applied_again(steady: World) -> None:
    before = _objects(steady)
    done = steady.theseus("backup")
    kinds = [obj["kind"] for obj in yaml.safe_load_all(done.out)]
    assert kinds == ["Deployment", "HorizontalPodAutoscaler", "VirtualService"]
    path = steady.write("backup.yaml", done.out)
    _kubectl(steady, "apply", "--server-side", "--force-conflicts", "-f", str(path))
    assert _objects(steady) == before
    steady.theseus("begin")
    steady.theseus("base-route")
    during = steady.theseus("backup")
    assert _read(during.out) == _read(done.out), "a rollout's own routes are no part of a backup"
    steady.theseus("rollback")
    assert "no Deployment" in steady.theseus("backup", "web-v0", code=2).err


def _read(text: str) -> list[object]:
    return list(yaml.safe_load_all(text))


def test_delete_takes_only_a_version_without_traffic(steady: World) -> None:
    rule = app.destination_rule({"v1": {"version": "v1"}, "v0": {"version": "v0"}})
    routes = [{"route": [{"destination": {"host": "web", "subset": "v1"}}]}]
    steady.apply(rule, app.virtual_service(steady.host, http=routes))
    before = _objects(steady)
    steady.apply(app.deployment("web-v0", "v0", replicas=1), app.autoscaler("web-v0", low=1))
    steady.await_ready("web-v0")
    refused = steady.theseus("delete", "web-v1", code=2)
    assert "web-v1 carries traffic" in refused.err
    assert "no Deployment" in steady.theseus("delete", "web-v9", code=2).err
    steady.theseus("delete", "web-v0")
    after = _objects(steady)
    before["DestinationRule web"] = after["DestinationRule web"]
    assert after == before
    [subset] = steady.get("DestinationRule", "web")["spec"]["subsets"]
    assert subset["name"] == "v1"


def test_several_kubeconfigs_are_read_as_kubectl_reads_them(steady: World) -> None:
    content = yaml.safe_load(steady.sandbox.kubeconfig.read_text())
    current = content.pop("current-context")
    elsewhere = {"name": "elsewhere", "cluster": {"server": "http://127.0.0.1:9"}}
    theirs = {"name": "theirs", "context": {"cluster": "elsewhere", "user": "nobody"}}
    first = {"apiVersion": "v1", "kind": "Config", "clusters": [elsewhere], "contexts": [theirs]}
    paths = [
        steady.write("first", {**first, "users": [{"name": "nobody", "user": {}}]}),
        steady.folder / "absent",
        steady.write("second", content),
        steady.write("third", {"apiVersion": "v1", "kind": "Config", "current-context": current}),
    ]
    several = {"KUBECONFIG": os.pathsep.join(map(str, paths))}
    assert "rollout" in steady.theseus("begin", env=several).out
    steady.theseus("base-route", env=several)
    steady.theseus("rollback", "--context", current, env=several)
    done = steady.theseus("begin", "--context", "nowhere", env=several, code=2)
    assert "nowhere" in done.err
    only = {"KUBECONFIG": f"{paths[0]}{os.pathsep}{paths[2]}"}
    assert "current-context" in steady.theseus("begin", env=only, code=2).err


def _kubectl(world: World, *arguments: str) -> str:
    kubectl = Path(COMMAND).with_name("kubectl")
    config = str(world.sandbox.kubeconfig)
    command = [str(kubectl), "--kubeconfig", config, "-n", world.namespace]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
