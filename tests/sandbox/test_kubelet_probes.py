"""Readiness, liveness and startup probes, and what follows from them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.sandbox.node import Node, conditions, demo, node_in, shell, until
from theseus_ci.sandbox.kubelet.handlers import within


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node_in(tmp_path_factory.mktemp("node")) as running:
        yield running


def probe(path: str = "/health", **fields: Any) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": 1,
        "failureThreshold": 1,
        **fields,
    }


def test_readiness_comes_and_goes(node: Node) -> None:
    # fails from the third request on, for as long as its path is asked for
    node.create(
        "moody",
        demo(
            env={"DEMO_ERROR_AFTER": "1", "DEMO_ERROR_PATHS": "/*"},
            readinessProbe=probe("/health"),
        ),
    )
    before = node.ready("moody")
    for _ in range(2):
        requests.get(node.url("moody"), timeout=10)
    until(lambda: conditions(node.status("moody"))["Ready"] == "False", "it is not ready")
    after = node.status("moody")
    assert conditions(after)["ContainersReady"] == "False"
    assert conditions(after)["Initialized"] == "True"
    changed = {item["type"]: item["lastTransitionTime"] for item in after["conditions"]}
    assert changed["Ready"] >= changed["Initialized"]
    assert before["podIP"] == after["podIP"]
    assert node.container("moody")["restartCount"] == 0
    node.event("moody", "Unhealthy", "statuscode: 500")


def test_a_pod_is_not_ready_before_its_probe_says_so(node: Node) -> None:
    node.create("slow", demo(env={"DEMO_READY_DELAY": "1h"}))
    node.event("slow", "Unhealthy", "statuscode: 503")
    status = node.status("slow")
    assert (status["phase"], conditions(status)["Ready"]) == ("Running", "False")
    assert node.container("slow")["started"] is True


def test_a_wrong_port_is_refused(node: Node) -> None:
    node.create("wrong", demo(env={"DEMO_PORT_OFFSET": "1"}))
    address = f"{until(lambda: node.status('wrong').get('podIP'))}:8080"
    refused = f"Readiness probe failed: dial tcp {address}: connect: connection refused"
    node.event("wrong", "Unhealthy", refused)


def test_a_failing_liveness_probe_restarts_the_container(node: Node) -> None:
    node.create(
        "unwell",
        demo(env={"DEMO_ERROR_PATHS": "/health"}, livenessProbe=probe()),
    )
    until(lambda: node.container("unwell")["restartCount"] >= 1, "it was restarted")
    killing = node.event("unwell", "Killing")["message"]
    assert killing == "Container demo failed liveness probe, will be restarted"
    ended = node.container("unwell")["lastState"]["terminated"]["exitCode"]
    assert ended in (0, 128 + signal.SIGTERM)  # the latter when it was not yet listening for it
    node.delete("unwell")
    node.gone("unwell")


def test_a_hanging_service_is_found_by_the_timeout(node: Node) -> None:
    node.create("hanging", demo(env={"DEMO_HANG_RATE": "100%"}, readinessProbe=probe("/")))
    node.event("hanging", "Unhealthy", "context deadline exceeded")


def test_nothing_else_is_asked_before_the_startup_probe_passes(node: Node) -> None:
    script = "sleep 1; touch started; sleep 1000"
    node.create(
        "starting",
        shell(
            script,
            startupProbe={
                "exec": {"command": ["test", "-e", "started"]},
                "periodSeconds": 1,
                "failureThreshold": 60,
            },
            livenessProbe={
                "exec": {"command": ["test", "-e", "started"]},
                "periodSeconds": 1,
                "failureThreshold": 1,
            },
        ),
    )
    node.event("starting", "Unhealthy")
    node.ready("starting")
    assert node.container("starting")["restartCount"] == 0


def test_a_startup_probe_that_never_passes_restarts_the_container(node: Node) -> None:
    node.create("never", shell("sleep 1000", startupProbe=probe_exec("false")))
    until(lambda: node.container("never")["restartCount"] >= 1, "it was restarted")
    assert "failed startup probe" in node.event("never", "Killing")["message"]
    assert conditions(node.status("never"))["Ready"] == "False"
    node.delete("never")
    node.gone("never")


def probe_exec(*command: str) -> dict[str, Any]:
    return {"exec": {"command": list(command)}, "periodSeconds": 1, "failureThreshold": 1}


def test_tcp_and_exec_readiness(node: Node) -> None:
    node.create("tcp", demo(readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1}))
    node.create(
        "exec", shell("sleep 1000", readinessProbe=probe_exec("sh", "-c", "echo no; false"))
    )
    node.ready("tcp")
    assert node.event("exec", "Unhealthy")["message"] == "Readiness probe failed: no"


def test_a_readiness_gate_of_someone_else_is_respected(node: Node) -> None:
    node.create("gated", demo(), readinessGates=[{"conditionType": "example.com/ok"}])
    until(lambda: conditions(node.status("gated")).get("ContainersReady") == "True", "containers")
    assert conditions(node.status("gated"))["Ready"] == "False"
    pod = node.pod("gated")
    assert pod is not None
    given = {"type": "example.com/ok", "status": "True"}
    until(
        lambda: (
            node.api.request(
                "PATCH",
                f"{node.path}/pods/gated/status",
                {
                    "metadata": {
                        "resourceVersion": (node.pod("gated") or pod)["metadata"]["resourceVersion"]
                    },
                    "status": {"conditions": [*node.status("gated")["conditions"], given]},
                },
            ).ok
        ),
        "the gate is open",
    )
    assert conditions(node.ready("gated"))["example.com/ok"] == "True"


def test_hooks(node: Node) -> None:
    hook = {"exec": {"command": ["sh", "-c", "echo hooked > hooked"]}}
    node.create(
        "hooked",
        shell(
            "while ! test -e hooked; do sleep 0.05; done; cat hooked; sleep 1000",
            lifecycle={"postStart": hook},
        ),
    )
    until(
        lambda: (
            node.logs("hooked") == "hooked\n"
            if "running" in node.container("hooked")["state"]
            else False
        )
    )
    bad = {"postStart": {"exec": {"command": ["sh", "-c", "echo went wrong; false"]}}}
    node.create("unhooked", shell("sleep 1000", lifecycle=bad))
    assert "went wrong" in node.event("unhooked", "FailedPostStartHook")["message"]
    until(lambda: node.container("unhooked")["restartCount"] >= 1, "it was restarted")


def test_a_probe_that_fails_as_it_is_cancelled_is_cancelled() -> None:
    """Both come at once when a container's process ends: the probe must not go on."""

    async def both_at_once() -> bool:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        probing = asyncio.ensure_future(within(answer, 60))
        await asyncio.sleep(0)
        answer.set_exception(OSError("connection refused"))
        await asyncio.sleep(0)
        probing.cancel()
        await asyncio.wait({probing})
        return probing.cancelled()

    assert asyncio.run(both_at_once())
