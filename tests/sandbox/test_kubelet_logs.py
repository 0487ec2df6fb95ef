"""What containers write, as `kubectl logs` shows it: through the API server and the log server."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator

import pytest
import requests

from tests.sandbox.node import OTHER_SERVER, Node, node_in, shell, until

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node_in(tmp_path_factory.mktemp("node"), "--log-size", "20000") as running:
        yield running


def server(node: Node) -> str:
    found = node.api.apply("GET", f"/api/v1/nodes/{node.name}")["status"]
    scheme = "https" if OTHER_SERVER else "http"
    return f"{scheme}://127.0.0.1:{found['daemonEndpoints']['kubeletEndpoint']['Port']}"


def direct(node: Node, pod: str, container: str = "shell", **query: str) -> requests.Response:
    url = f"{server(node)}/containerLogs/{node.namespace}/{pod}/{container}"
    return requests.get(url, params=query, timeout=20, verify=False)


def test_both_streams_in_order_with_time_stamps_and_limits(node: Node) -> None:
    node.create(
        "talker",
        shell("echo one; echo two >&2; sleep 0.2; echo three; printf unfinished"),
        restartPolicy="Never",
    )
    node.phase("talker", "Succeeded")
    lines = node.logs("talker").splitlines()
    assert sorted(lines) == ["one", "three", "two", "unfinished"]
    assert lines[2:] == ["three", "unfinished"]
    stamped = direct(node, "talker", timestamps="true").text.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ", line) for line in stamped)
    assert direct(node, "talker", tailLines="1").text == "unfinished\n"
    assert direct(node, "talker", tailLines="0").text == ""
    assert len(direct(node, "talker", limitBytes="5").content) == 5
    assert direct(node, "talker", sinceSeconds="3600").text.count("\n") == 4
    assert direct(node, "talker", sinceTime="2999-01-01T00:00:00Z").text == ""
    assert direct(node, "talker", tailLines="many").status_code == 400


def test_following_gives_what_is_there_and_what_comes(node: Node) -> None:
    node.create("live", shell("echo first; while ! test -e go; do sleep 0.05; done; echo last"))
    node.running("live")
    until(lambda: node.logs("live") == "first\n", "the first line")
    received: list[str] = []
    answer = requests.get(
        f"{server(node)}/containerLogs/{node.namespace}/live/shell?follow=true",
        stream=True,
        timeout=20,
        verify=False,
    )
    stream = answer.iter_lines(chunk_size=1, decode_unicode=True)
    received.append(next(stream))
    uid = (node.pod("live") or {})["metadata"]["uid"]
    (node.directory / "pods" / uid / "containers" / "shell" / "go").touch()
    received.extend(stream)  # it ends with the container
    assert received == ["first", "last"]


def test_a_reader_that_goes_away_disturbs_nobody(node: Node) -> None:
    node.create("chatty", shell("while true; do echo word; sleep 0.01; done"))
    node.running("chatty")
    url = f"{server(node)}/containerLogs/{node.namespace}/chatty/shell?follow=true"
    with requests.get(url, stream=True, timeout=20, verify=False) as answer:
        next(answer.iter_lines())
    threads = [threading.Thread(target=lambda: direct(node, "chatty")) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "word" in direct(node, "chatty", tailLines="1").text
    node.delete("chatty")
    node.gone("chatty")


def test_the_previous_run(node: Node) -> None:
    node.create(
        "twice",
        shell(
            "if test -e $THESEUS_VOLUME_V/x; then echo second; sleep 1000;"
            " else touch $THESEUS_VOLUME_V/x; echo first; exit 1; fi"
        ),
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    until(lambda: node.container("twice")["restartCount"] == 1, "it was started again")
    until(lambda: direct(node, "twice").text == "second\n", "the second run")
    assert direct(node, "twice", previous="true").text == "first\n"
    assert node.logs("twice", previous="true") == "first\n"


def test_long_logs_are_rotated_and_read_across_the_seam(node: Node) -> None:
    node.create(
        "verbose",
        shell("i=0; while [ $i -lt 1500 ]; do echo line $i; i=$((i+1)); done"),
        restartPolicy="Never",
    )
    node.phase("verbose", "Succeeded")
    lines = direct(node, "verbose").text.splitlines()
    numbers = [int(line.split()[1]) for line in lines]
    assert numbers == list(range(numbers[0], 1500))
    uid = (node.pod("verbose") or {})["metadata"]["uid"]
    folder = node.directory / "pods" / uid / "logs" / "shell"
    kept = sorted(folder.iterdir())
    assert [path.name for path in kept] == ["0.log", "0.log.1"]
    assert all(path.stat().st_size < 90_000 for path in kept)


def test_long_and_strange_lines(node: Node) -> None:
    node.create(
        "strange",
        shell("head -c 40000 /dev/zero | tr '\\0' x; printf '\\n\\377\\n'"),
        restartPolicy="Never",
    )
    node.phase("strange", "Succeeded")
    assert direct(node, "strange").content == b"x" * 40000 + b"\n\xff\n"


def test_logs_that_do_not_exist(node: Node) -> None:
    node.create("silent", {"name": "shell", "image": "no/such:1"})
    node.waiting("silent", "ImagePullBackOff")
    waiting = direct(node, "silent")
    assert (waiting.status_code, "waiting to start" in waiting.text) == (400, True)
    assert direct(node, "silent", container="other").status_code == 404
    assert direct(node, "nobody").status_code == 404
    assert direct(node, "silent", previous="true").status_code == 400


def test_kubectl_logs(node: Node) -> None:
    node.create("seen", shell("echo through kubectl"), restartPolicy="Never")
    node.phase("seen", "Succeeded")
    done = subprocess.run(
        ["kubectl", "--kubeconfig", node.kubeconfig, "-n", node.namespace, "logs", "seen"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "through kubectl\n"), done.stderr


def test_over_tls(tmp_path_factory: pytest.TempPathFactory) -> None:
    with node_in(tmp_path_factory.mktemp("tls"), "--log-server-tls") as secured:
        secured.create("seen", shell("echo over tls"), restartPolicy="Never")
        secured.phase("seen", "Succeeded")
        address = server(secured).replace("http:", "https:")
        url = f"{address}/containerLogs/{secured.namespace}/seen/shell"
        assert requests.get(url, timeout=20, verify=False).text == "over tls\n"
