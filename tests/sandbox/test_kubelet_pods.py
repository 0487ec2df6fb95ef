"""Pods as processes: what they are told, how they begin, fail, and end up."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.sandbox.node import (
    IMAGES,
    Node,
    Object,
    conditions,
    demo,
    install_images,
    node_in,
    shell,
    until,
)
from theseus_ci.sandbox.network import fold


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node_in(tmp_path_factory.mktemp("node")) as running:
        yield running


def environment_of(node: Node, name: str) -> dict[str, str]:
    node.phase(name, "Succeeded")
    return dict(json.loads(node.logs(name)))


# -- beginning ----------------------------------------------------------------------------------


def test_a_pending_pod_is_bound_started_and_ready(node: Node) -> None:
    node.create("web", demo(port=80), nodeName=None)
    status = node.ready("web")
    assert node.event("web", "Scheduled")["message"].endswith(f"web to {node.name}")
    assert status["phase"] == "Running"
    assert set(conditions(status).values()) == {"True"}
    assert all(item["lastTransitionTime"] for item in status["conditions"])
    assert status["podIP"].startswith("10.")
    assert (status["podIPs"], status["hostIP"]) == ([{"ip": status["podIP"]}], "127.0.0.1")
    assert (status["qosClass"], bool(status["startTime"])) == ("BestEffort", True)
    container = node.container("web")
    assert container["containerID"].startswith("process://")
    assert (container["ready"], container["started"], container["restartCount"]) == (True, True, 0)
    address, port = fold(status["podIP"], 80)
    assert port == 20080
    answer = requests.get(f"http://{address}:{port}/x", timeout=10).json()
    assert (answer["version"], answer["pod"]) == ("1.0", "web")


def test_a_command_that_does_not_count_is_told(node: Node) -> None:
    node.create("own-command", {**demo(), "command": ["sh", "-c", "exit 1"]})
    node.ready("own-command")
    assert "useContainerCommand: true" in node.event("own-command", "CommandIgnored")["message"]


def test_a_status_is_written_only_when_it_changes(node: Node) -> None:
    node.create("calm", demo(env={"DEMO_ACCESS_LOG": "true"}))
    node.ready("calm")
    before = (node.pod("calm") or {})["metadata"]["resourceVersion"]
    probed = node.logs("calm").count("GET /ready")
    until(lambda: node.logs("calm").count("GET /ready") >= probed + 2, "two more probes")
    assert (node.pod("calm") or {})["metadata"]["resourceVersion"] == before


def test_pods_have_addresses_of_their_own(node: Node) -> None:
    names = [f"many-{number}" for number in range(4)]
    for name in names:
        node.create(name, demo())
    addresses = {node.ready(name)["podIP"] for name in names}
    assert len(addresses) == 4
    for name in names:
        node.delete(name)
    for name in names:
        node.gone(name)


def test_the_registered_node_is_ready(node: Node) -> None:
    found = node.api.apply("GET", f"/api/v1/nodes/{node.name}")
    assert conditions(found["status"])["Ready"] == "True"
    assert {"type": "InternalIP", "address": "127.0.0.1"} in found["status"]["addresses"]
    assert found["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] > 0
    assert found["metadata"]["annotations"]["theseus-ci.io/kubelet-scheme"] == "http"


def test_a_pod_that_fits_no_node_waits_for_one(node: Node) -> None:
    node.create("picky", demo(), nodeName=None, nodeSelector={"disk": "fast"})
    assert "0/1 nodes" in node.event("picky", "FailedScheduling")["message"]
    assert conditions(node.status("picky"))["PodScheduled"] == "False"
    node.api.apply(
        "PATCH", f"/api/v1/nodes/{node.name}", {"metadata": {"labels": {"disk": "fast"}}}
    )
    node.ready("picky")


def test_an_init_container_goes_first_and_a_sidecar_stays(node: Node) -> None:
    node.create(
        "staged",
        shell("cat $THESEUS_VOLUME_SHARED/first; sleep 1000"),
        initContainers=[
            shell("echo prepared > $THESEUS_VOLUME_SHARED/first", name="prepare"),
            shell("sleep 1000", name="beside", restartPolicy="Always"),
        ],
        volumes=[{"name": "shared", "emptyDir": {}}],
    )
    node.ready("staged")
    until(lambda: node.logs("staged", container="shell") == "prepared\n", "its output")
    prepare = node.container("staged", 0, "initContainerStatuses")
    assert prepare["state"]["terminated"]["reason"] == "Completed"
    assert "running" in node.container("staged", 1, "initContainerStatuses")["state"]
    node.delete("staged")
    node.gone("staged")


def test_a_failing_init_container_ends_a_pod_that_never_restarts(node: Node) -> None:
    node.create(
        "stillborn",
        shell("true"),
        initContainers=[shell("exit 4", name="prepare")],
        restartPolicy="Never",
    )
    node.phase("stillborn", "Failed")
    prepare = node.container("stillborn", 0, "initContainerStatuses")
    assert prepare["state"]["terminated"]["exitCode"] == 4


# -- what a container is told -------------------------------------------------------------------


def test_environment(node: Node) -> None:
    node.config("configmaps", "settings", {"color": "blue", "not-a.name": "kept", "SIZE": "3"})
    node.config("secrets", "keys", {"token": base64.b64encode(b"s3cret").decode()})
    field = {"fieldRef": {"fieldPath": "metadata.labels['app']"}}
    env: list[Object] = [
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "UID_", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "LABEL", "valueFrom": field},
        {"name": "COLOR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "color"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        {
            "name": "ABSENT",
            "valueFrom": {"configMapKeyRef": {"name": "no", "key": "no", "optional": True}},
        },
        {"name": "GREETING", "value": "$(COLOR) $$(COLOR) $(UNKNOWN) $(P_SIZE)"},
        {"name": "OVERRIDDEN", "value": "by container"},
        {
            "name": "MEMORY_MI",
            "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}},
        },
    ]
    node.create(
        "told",
        {
            "name": "c",
            "image": "test/environment",
            "ports": [{"name": "http", "containerPort": 80}, {"containerPort": 9090}],
            "env": env,
            "envFrom": [{"prefix": "P_", "configMapRef": {"name": "settings"}}],
            "resources": {"limits": {"memory": "256Mi", "cpu": "500m"}},
        },
        restartPolicy="Never",
    )
    found = environment_of(node, "told")
    pod = node.pod("told")
    assert pod is not None
    address = fold(pod["status"]["podIP"], 0)[0]
    expected = {
        "NAME": "told",
        "UID_": pod["metadata"]["uid"],
        "POD_IP": pod["status"]["podIP"],
        "LABEL": "told",
        "COLOR": "blue",
        "TOKEN": "s3cret",
        "GREETING": "blue $(COLOR) $(UNKNOWN) 3",
        "OVERRIDDEN": "by container",
        "FROM_IMAGE": "port 20080",
        "MEMORY_MI": "256",
        "P_not-a.name": "kept",
        "HOSTNAME": "told",
        "THESEUS_IMAGE": "test/environment",
        "THESEUS_POD_IP": pod["status"]["podIP"],
        "THESEUS_BIND_ADDRESS": address,
        "THESEUS_PORT_HTTP": "20080",
        "THESEUS_PORT_80": "20080",
        "THESEUS_PORT_9090": "9090",
        "DEMO_ADDRESS": address,
        "DEMO_PORT": "20080",
    }
    assert {name: found.get(name) for name in expected} == expected
    assert "ABSENT" not in found
    assert node.api.server.endswith(f":{found['KUBERNETES_SERVICE_PORT']}")
    assert pod["status"]["qosClass"] == "Guaranteed"


def test_volumes(node: Node) -> None:
    node.config("configmaps", "files", {"a.conf": "one\n", "b.conf": "two\n"})
    node.config("secrets", "hidden", {"key": base64.b64encode(b"\0binary").decode()})
    reader = (
        "cat $THESEUS_VOLUME_CONF/renamed/a $THESEUS_VOLUME_ALL_OF_IT/app; echo;"
        " wc -c < $THESEUS_VOLUME_SECRET/key; ls $THESEUS_VOLUME_CONF"
    )
    node.create(
        "mounted",
        shell(reader),
        restartPolicy="Never",
        volumes=[
            {
                "name": "conf",
                "configMap": {"name": "files", "items": [{"key": "a.conf", "path": "renamed/a"}]},
            },
            {"name": "secret", "secret": {"secretName": "hidden"}},
            {
                "name": "all-of-it",
                "projected": {
                    "sources": [
                        {
                            "downwardAPI": {
                                "items": [
                                    {"path": "app", "fieldRef": {"fieldPath": "metadata.labels"}}
                                ]
                            }
                        }
                    ]
                },
            },
        ],
    )
    node.phase("mounted", "Succeeded")
    assert node.logs("mounted").split() == ["one", 'app="mounted"', "7", "renamed"]


def test_what_is_missing_is_waited_for(node: Node) -> None:
    wanted = {"name": "X", "valueFrom": {"secretKeyRef": {"name": "later", "key": "x"}}}
    node.create("waiter", shell("echo $X", env=[wanted]), restartPolicy="Never")
    waiting = node.waiting("waiter", "CreateContainerConfigError")
    assert waiting["message"] == 'secret "later" not found'
    assert node.event("waiter", "Failed")["message"] == 'Error: secret "later" not found'
    assert node.status("waiter")["phase"] == "Pending"
    node.config("secrets", "later", {"x": base64.b64encode(b"here").decode()})
    node.phase("waiter", "Succeeded")
    assert node.logs("waiter") == "here\n"


def test_a_missing_volume_keeps_the_pod_from_starting(node: Node) -> None:
    volume = {"name": "v", "configMap": {"name": "volume-later"}}
    node.create("unmounted", shell("true"), restartPolicy="Never", volumes=[volume])
    assert "volume-later" in node.event("unmounted", "FailedMount")["message"]
    node.config("configmaps", "volume-later", {})
    node.phase("unmounted", "Succeeded")


# -- images -------------------------------------------------------------------------------------


def test_an_unmapped_image_cannot_be_pulled_until_it_is_mapped(node: Node) -> None:
    node.create("unpulled", {"name": "c", "image": "shop/front:7"}, restartPolicy="Never")
    node.waiting("unpulled", "ImagePullBackOff")
    node.event("unpulled", "Failed", "shop/front:7")
    assert node.status("unpulled")["phase"] == "Pending"
    assert conditions(node.status("unpulled"))["Ready"] == "False"
    install_images(node.api, [*IMAGES, {"image": "shop/*", "command": ["/bin/echo", "pulled"]}])
    node.phase("unpulled", "Succeeded")
    assert node.logs("unpulled") == "pulled\n"


def test_a_wrong_mapping_is_reported_and_the_old_one_stays(node: Node) -> None:
    install_images(node.api, [{"image": "x", "comand": ["y"]}])
    text = until(
        lambda: [
            item["message"]
            for item in node.api.apply("GET", "/api/v1/namespaces/kube-system/events")["items"]
            if item["reason"] == "InvalidImages"
        ]
    )
    assert "images.yaml[0].comand" in text[0]
    node.create("still-mapped", shell("true"), restartPolicy="Never")
    node.phase("still-mapped", "Succeeded")
    install_images(node.api, IMAGES)


def test_a_command_that_does_not_exist(node: Node) -> None:
    node.create("no-command", {"name": "c", "image": "test/missing"}, restartPolicy="Never")
    node.phase("no-command", "Failed")
    ended = node.container("no-command")["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("StartError", 128)


# -- how it goes on -----------------------------------------------------------------------------


def test_a_crashing_container_backs_off(node: Node) -> None:
    node.create("crasher", demo(env={"DEMO_CRASH_AT_START": "true", "DEMO_CRASH_EXIT_CODE": "9"}))
    waiting = node.waiting("crasher", "CrashLoopBackOff")
    assert "restarting failed container demo" in waiting["message"]
    until(lambda: node.container("crasher")["restartCount"] >= 3, "three restarts")
    container = node.container("crasher")
    last = container["lastState"].get("terminated") or container["state"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (9, "Error")
    assert node.status("crasher")["phase"] == "Running"
    node.event("crasher", "BackOff")
    node.delete("crasher")
    node.gone("crasher")


@pytest.mark.parametrize(
    ("name", "script", "policy", "phase", "code", "reason"),
    [
        ("done", "true", "Never", "Succeeded", 0, "Completed"),
        ("failed", "exit 3", "Never", "Failed", 3, "Error"),
        ("killed", "kill -9 $$$$", "Never", "Failed", 137, "Error"),
        ("enough", "true", "OnFailure", "Succeeded", 0, "Completed"),
    ],
)
def test_pods_that_end(
    node: Node, name: str, script: str, policy: str, phase: str, code: int, reason: str
) -> None:
    node.create(name, shell(script), restartPolicy=policy)
    status = node.phase(name, phase)
    ended = node.container(name)["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (code, reason)
    assert ended.get("signal") == (9 if code == 137 else None)
    assert node.container(name)["restartCount"] == 0
    assert conditions(status)["Ready"] == "False"


def test_on_failure_tries_again_until_it_succeeds(node: Node) -> None:
    script = "test -e $THESEUS_VOLUME_V/tried && exit 0; touch $THESEUS_VOLUME_V/tried; exit 1"
    node.create(
        "again",
        shell(script),
        restartPolicy="OnFailure",
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    node.phase("again", "Succeeded")
    assert node.container("again")["restartCount"] == 1


def test_the_last_words_of_a_failure(node: Node) -> None:
    node.create(
        "speaker",
        shell(
            "echo cannot reach the database; exit 1",
            terminationMessagePolicy="FallbackToLogsOnError",
        ),
        restartPolicy="Never",
    )
    node.phase("speaker", "Failed")
    ended = node.container("speaker")["state"]["terminated"]
    assert ended["message"] == "cannot reach the database"


def test_a_deadline_ends_the_pod(node: Node) -> None:
    node.create("late", shell("sleep 1000"), restartPolicy="Never", activeDeadlineSeconds=1)
    status = node.phase("late", "Failed")
    assert status["reason"] == "DeadlineExceeded"
    until(lambda: "terminated" in node.container("late")["state"], "it ended")


def test_a_finished_container_takes_its_children_along(node: Node, tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    node.create("parent", shell(f"sleep 1000 & echo $! > {marker}"), restartPolicy="Never")
    node.phase("parent", "Succeeded")
    until(lambda: not Path(f"/proc/{marker.read_text().strip()}").exists(), "the child is gone")
