"""How pods end: deletion, grace periods, hooks; and what becomes of them with their kubelet."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.sandbox.node import Node, conditions, demo, node_in, shell, until


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node_in(tmp_path_factory.mktemp("node")) as running:
        yield running


def test_a_deleted_pod_gets_sigterm_at_once_and_finishes_its_requests(node: Node) -> None:
    node.create("polite", demo(env={"DEMO_LATENCY": "500ms"}))
    node.ready("polite")
    url, answers = node.url("polite"), list[requests.Response]()
    request = threading.Thread(target=lambda: answers.append(requests.get(url, timeout=10)))
    request.start()
    until(lambda: 'in_flight{version="1.0"} 1' in requests.get(f"{url}/metrics", timeout=10).text)
    node.delete("polite")
    request.join()
    assert answers[0].status_code == 200
    node.gone("polite")
    assert node.event("polite", "Killing")["message"] == "Stopping container demo"


def test_a_terminating_pod_is_no_longer_ready(node: Node) -> None:
    node.create(
        "leaving", demo(env={"DEMO_SHUTDOWN_SERVE": "1h"}), terminationGracePeriodSeconds=60
    )
    node.ready("leaving")
    node.delete("leaving")
    until(lambda: conditions(node.status("leaving"))["Ready"] == "False", "it is not ready")
    assert requests.get(node.url("leaving"), timeout=10).status_code == 200
    node.delete("leaving", grace=1)  # a shorter grace period replaces the longer one
    node.gone("leaving")


def test_what_ignores_sigterm_is_killed_after_the_grace_period(node: Node) -> None:
    node.create(
        "stubborn", demo(env={"DEMO_IGNORE_SIGTERM": "true"}), terminationGracePeriodSeconds=1
    )
    node.ready("stubborn")
    node.delete("stubborn")
    node.gone("stubborn")
    assert pod_processes(node, "stubborn") == []


def test_a_forced_deletion_leaves_no_process(node: Node) -> None:
    node.create("forced", demo(env={"DEMO_IGNORE_SIGTERM": "true"}))
    node.ready("forced")
    assert pod_processes(node, "forced")
    node.delete("forced", grace=0)
    node.gone("forced")
    until(lambda: not pod_processes(node, "forced"), "its process is gone")


def pod_processes(node: Node, name: str) -> list[int]:
    """Processes that call themselves after the pod."""
    wanted = f"HOSTNAME={name}".encode()
    return [process for process in node.processes() if wanted in environment_of(process)]


def environment_of(process: int) -> list[bytes]:
    """Empty for a process that has ended."""
    try:
        return Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def test_pre_stop_comes_before_sigterm(node: Node, tmp_path: Path) -> None:
    story = tmp_path / "story"
    script = f"trap 'echo term >> {story}; exit 0' TERM; while true; do sleep 0.05; done"
    hook = {"exec": {"command": ["sh", "-c", f"sleep 0.3; echo hook >> {story}"]}}
    node.create("hooked", shell(script, lifecycle={"preStop": hook}))
    node.running("hooked")
    node.delete("hooked")
    node.gone("hooked")
    assert story.read_text().split() == ["hook", "term"]


def test_a_pre_stop_hook_counts_against_the_grace_period(node: Node) -> None:
    hook = {"sleep": {"seconds": 3600}}
    node.create(
        "sleeper", shell("sleep 1000", lifecycle={"preStop": hook}), terminationGracePeriodSeconds=1
    )
    node.running("sleeper")
    node.delete("sleeper")
    node.gone("sleeper")


def test_what_left_its_process_group_ends_with_the_pod(node: Node, tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    node.create(
        "escapee", shell(f"setsid sh -c 'echo $$$$ > {marker}; exec sleep 1000' & sleep 1000")
    )
    until(lambda: marker.exists() and marker.read_text().strip(), "it escaped")
    node.delete("escapee")
    node.gone("escapee")
    until(lambda: not Path(f"/proc/{marker.read_text().strip()}").exists(), "it is gone")


def test_a_pod_that_waits_can_be_deleted(node: Node) -> None:
    node.create("waiting", {"name": "c", "image": "no/such:1"})
    node.waiting("waiting", "ImagePullBackOff")
    node.delete("waiting")
    node.gone("waiting")


def test_its_folder_goes_with_the_pod(node: Node) -> None:
    uid = node.create("tidy", shell("echo x; sleep 1000"))["metadata"]["uid"]
    node.running("tidy")
    folder = node.directory / "pods" / uid
    assert folder.is_dir()
    node.delete("tidy")
    node.gone("tidy")
    until(lambda: not folder.exists(), "its folder is gone")


# -- with its kubelet ---------------------------------------------------------------------------


def test_pods_die_with_their_kubelet_and_come_back_with_the_next(tmp_path: Path) -> None:
    with node_in(tmp_path) as node:
        node.create("web", demo())
        node.create("escapee", shell("setsid sleep 1000 & sleep 1000"))
        node.create("job", shell("sleep 1000"), restartPolicy="Never")
        node.create("done", shell("echo result"), restartPolicy="Never")
        node.create("crashed", shell("exit 1"))
        address = node.ready("web")["podIP"]
        for name in ("escapee", "job"):
            node.running(name)
        node.phase("done", "Succeeded")
        until(lambda: node.container("crashed")["restartCount"] >= 1, "a crash")
        restarts = node.container("crashed")["restartCount"]
        served = pod_processes(node, "web")
        assert node.stop(signal.SIGKILL) == -signal.SIGKILL
        until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in served), "it died")
        node.start()
        until(lambda: node.container("web")["restartCount"] == 1, "it was started again")
        assert node.ready("web")["podIP"] == address
        assert requests.get(node.url("web"), timeout=10).status_code == 200
        last = node.container("web")["lastState"]["terminated"]
        assert (last["exitCode"], last["reason"]) == (137, "ContainerStatusUnknown")
        node.phase("job", "Failed")
        assert node.container("job")["restartCount"] == 0
        assert node.status("done")["phase"] == "Succeeded"
        assert node.logs("done") == "result\n"
        until(lambda: node.container("crashed")["restartCount"] > restarts, "it goes on crashing")


def test_a_stopped_kubelet_ends_its_processes_but_not_its_pods(tmp_path: Path) -> None:
    with node_in(tmp_path) as node:
        node.create("web", demo(env={"DEMO_IGNORE_SIGTERM": "true"}))
        node.ready("web")
        assert node.stop() == 0
        assert node.processes() == []
        assert node.status("web")["phase"] == "Running"
        node.start()
        node.ready("web")


def test_pods_deleted_while_there_was_no_kubelet(tmp_path: Path) -> None:
    with node_in(tmp_path) as node:
        node.create("web", demo())
        node.create("forced", demo())
        node.ready("web")
        node.ready("forced")
        uid = str((node.pod("forced") or {})["metadata"]["uid"])
        node.stop(signal.SIGKILL)
        node.delete("web")
        node.delete("forced", grace=0)
        node.start()
        node.gone("web")
        until(lambda: not (node.directory / "pods" / uid).exists(), "its folder is gone")


def test_two_kubelets_side_by_side_share_no_address(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with node_in(tmp_path / "a") as first, node_in(tmp_path / "b") as second:
        blocks = set()
        for node in (first, second):
            node.create("web", demo())
            blocks.add(node.ready("web")["podIP"].rpartition(".")[0])
        assert len(blocks) == 2
