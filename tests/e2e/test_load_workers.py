"""performance.load: the load comes from the pods of a Job, and is one measurement all the same."""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

import pytest
import yaml

from tests.e2e import app
from tests.e2e.accounts import account, all_rights
from tests.e2e.api import Object
from tests.e2e.test_cannot_know import restricted
from tests.e2e.test_secret import secret_of
from tests.e2e.world import World, until
from theseus_ci.rights.needed import LOAD_WORKERS

NAME = "theseus-web-load"
IMAGE = "registry.example.com/load:1"
DARK = ("begin", "base-route", "deploy", "dark-route", "await-mesh", "shift")
FLOW = app.flow(without=("smoke", "autoscale", "bake"))
LONG = {**app.PERFORMANCE, "minDuration": "100s", "maxDuration": "100s"}


def release(world: World, image: str, performance: Object, **pod: Any) -> None:
    """A candidate behind its test route, with a tenth of the traffic."""
    world.start_service(replicas=1)
    load = {"workers": 3, "image": image, "pod": pod}
    world.configure(app.candidate(replicas=1), flow=FLOW, performance={**performance, "load": load})
    for command in DARK:
        world.theseus(command, *(["10"] if command == "shift" else []))


def workers(world: World) -> list[Object]:
    """The pods of the load."""
    pods = world.api.list("Pod", world.namespace)
    return [pod for pod in pods if pod["metadata"]["name"].startswith(f"{NAME}-")]


def assert_nothing_left(world: World) -> None:
    assert not world.has("Job", NAME)
    assert not world.has("Secret", NAME)
    until(lambda: not workers(world), "the workers are gone")


def map_image(world: World, script: str) -> None:
    """What the sandbox runs for IMAGE."""
    worker = f"{sys.executable} -m theseus_ci.cli load-worker"
    entry = {
        "image": IMAGE,
        "command": ["sh", "-c", script.format(worker=worker)],
        "env": {"THESEUS_LOAD_ORDER": "$(THESEUS_VOLUME_ORDER)/order.json"},
    }
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "sandbox-images"},
        "data": {"images.yaml": yaml.safe_dump([entry])},
    }
    world.api.apply(config_map, "kube-system")


def user_with_workers(world: World) -> str:
    """The kubeconfig of one who has the rights of deploy/rbac.yaml for workers, beside those of
    every release."""
    allowed = [*all_rights(world), *all_rights(world, (LOAD_WORKERS,))]
    return str(account(world, allowed).kubeconfig)


@pytest.mark.both_control_planes
def test_many_workers_measure_as_one(world: World) -> None:
    release(world, "theseus-ci/load:dev", app.PERFORMANCE)
    secret = secret_of(world)
    running = world.start("performance", "--baseline", "--kubeconfig", user_with_workers(world))
    running.until_line("all 3 workers have begun")
    job, pods = world.get("Job", NAME), workers(world)
    ours = world.get("Secret", NAME)
    done = running.wait()
    assert done.code == 0, done.text
    assert ours["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    key = "batch.kubernetes.io/job-completion-index"
    indexes = {pod["metadata"]["annotations"][key] for pod in pods}
    assert indexes == {"0", "1", "2"}
    said = done.text + json.dumps([job, *pods]) + json.dumps(world.state())
    said += json.dumps(world.get("ConfigMap", "theseus-web"))
    assert secret not in said
    (judgement,) = world.state()["judgements"].values()
    measured = judgement["candidate"]["requests"]
    assert measured == judgement["previous"]["requests"]
    assert measured % 3 == 0
    assert judgement["load"]["requests"] == 2 * measured > 0
    assert judgement["load"]["target_rate"] == app.PERFORMANCE["rate"]
    assert sum(count for _, count in judgement["candidate"]["histogram"]) == measured
    assert_nothing_left(world)


@pytest.mark.both_control_planes
def test_whatever_ends_it_the_workers_end_too(world: World) -> None:
    """SIGTERM takes them away at once; after a kill -9, the next command does."""
    release(world, "theseus-ci/load:dev", LONG)
    before = [name for name in world.dump() if "web-v1" in name]
    running = world.start("performance", "--baseline")
    running.until_line("all 3 workers have begun")
    running.send(signal.SIGTERM)
    stopped = running.wait(20)
    assert stopped.code == 128 + signal.SIGTERM, stopped.text
    assert_nothing_left(world)
    running = world.start("performance", "--baseline")
    until(lambda: len(workers(world)) == 3, "three workers")
    running.send(signal.SIGKILL)
    running.wait()
    deadline = world.get("Job", NAME)["spec"]["activeDeadlineSeconds"]
    assert deadline <= 120, "nobody moves it on: the cluster itself would stop the workers"
    done = world.theseus("rollback")
    assert "its workers stop" in done.out
    assert_nothing_left(world)
    assert [name for name in world.dump() if "web-v1" in name] == before


def test_a_run_is_invalid_without_every_worker(world: World) -> None:
    release(world, IMAGE, LONG)
    done = world.theseus("performance", "--baseline", code=3)
    assert "the run is INVALID: worker" in done.err
    assert "ImagePullBackOff" in done.err
    assert IMAGE in done.err
    assert_nothing_left(world)

    map_image(world, '[ "$JOB_COMPLETION_INDEX" != 1 ] || exit 7; exec {worker}')
    done = world.theseus("performance", "--baseline", code=3)
    assert "the run is INVALID: worker 1 of 3 (0 to 2): its pod theseus-web-load-1-" in done.err
    assert "exit code 7" in done.err
    assert_nothing_left(world)

    map_image(world, "exec {worker}")
    running = world.start("performance", "--baseline")
    running.until_line("all 3 workers have begun")
    victim = workers(world)[0]["metadata"]["name"]
    world.api.delete("Pod", world.namespace, victim)
    done = running.wait()
    assert done.code == 3, done.text
    assert "the run is INVALID: worker" in done.err
    assert victim in done.err
    assert_nothing_left(world)
    report = (world.folder / "reports" / "performance-baseline.xml").read_text()
    assert "the run is INVALID" in report

    kubeconfig = restricted(world, "batch", "jobs", "get")
    done = world.theseus("performance", "--baseline", code=3, kubeconfig=kubeconfig)
    assert 'cannot get resource "jobs"' in done.err
    assert "resources: [jobs]" in done.err
