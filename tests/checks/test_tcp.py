"""tcp checks against real servers, one for each pod."""

from __future__ import annotations

import socket
import ssl
import struct
import subprocess
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.checks.conftest import LOOPBACK, SECRET, Run
from tests.checks.servers import free_port, tcp_server
from theseus_ci.checks.pod_ports import port_names
from theseus_ci.model import CheckResult, PodAddress, Verdict


def redis(connection: socket.socket) -> None:
    if connection.recv(100) == b"PING\r\n":
        connection.sendall(b"+PO")
        connection.sendall(b"NG\r\n")
    connection.recv(100)  # keeps it open, as redis does


def banner(connection: socket.socket) -> None:
    connection.sendall(b"220 \xff\x00 ready\r\n")


def deaf(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def flood(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"x" * 65536)


def reset(connection: socket.socket) -> None:
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def pods(*addresses: str) -> tuple[PodAddress, ...]:
    return tuple(PodAddress(name=f"pod-{n}", ip=ip) for n, ip in enumerate(addresses))


def talk(run: Run, tcp: dict[str, Any], timeout: str = "5s", **target: Any) -> CheckResult:
    (result,) = run({"tcp": tcp, "timeout": timeout}, **target)
    assert SECRET not in repr(result)
    return result


def test_redis_speaks(run: Run) -> None:
    with tcp_server(redis) as port:
        result = talk(run, {"port": port, "send": "PING\r\n", "expect": "+PONG"})
    assert result.verdict is Verdict.PASS, result
    assert result.message == "1 of 1 pods answered as expected"
    assert "+PONG" in result.evidence
    assert f"/dev/tcp/127.0.0.1/{port}" in result.repeat


@pytest.mark.parametrize("sent", ["PING\r\n", "'$HOME`id`\\\"!%s\x00\n", ""])
@pytest.mark.parametrize("secure", [False, True])
def test_repeat_is_a_command_that_works(run: Run, sent: str, secure: bool) -> None:
    def parrot(connection: socket.socket) -> None:
        connection.sendall(b"heard " + (connection.recv(100) if sent else b"nothing"))

    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("reviews").configure_cert(server)
    with tcp_server(parrot, context=server if secure else None) as port:
        tcp: dict[str, Any] = {"port": port, "send": sent, "expect": "nothing of the kind"}
        result = talk(run, tcp | ({"tls": {"verify": False}} if secure else {}))
        repeat = subprocess.run(
            ["bash", "-c", result.repeat],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    assert repeat.stdout == b"heard " + (sent.encode() or b"nothing")


@pytest.mark.parametrize(
    "expect", [{"prefix": "220"}, {"contains": "ready"}, {"regex": r"^220 \xff\x00"}]
)
def test_bytes(run: Run, expect: dict[str, str]) -> None:
    with tcp_server(banner) as port:
        result = talk(run, {"port": port, "expect": expect, "encoding": "latin-1"})
    assert result.verdict is Verdict.PASS, result


def test_another_answer_fails(run: Run) -> None:
    with tcp_server(banner) as port:
        result = talk(run, {"port": port, "expect": "+PONG"})
    assert result.verdict is Verdict.FAIL
    assert "220" in result.message
    assert "closed by the pod" in result.message


@pytest.mark.parametrize("server", [deaf, redis])
def test_silence_fails_in_time(run: Run, server: Any) -> None:
    with tcp_server(server) as port:
        result = talk(run, {"port": port, "expect": "hello"}, timeout="300ms")
    assert result.verdict is Verdict.FAIL
    assert "within 300ms" in result.message


def test_a_flood_ends(run: Run) -> None:
    with tcp_server(flood) as port:
        result = talk(run, {"port": port, "expect": "y"})
    assert result.verdict is Verdict.FAIL
    assert len(result.evidence) < 100_000


def test_a_reset_fails(run: Run) -> None:
    with tcp_server(reset) as port:
        result = talk(run, {"port": port, "send": "x", "expect": "y"})
    assert result.verdict is Verdict.FAIL


def test_a_refusal_is_the_candidates_failure(run: Run) -> None:
    result = talk(run, {"port": free_port(), "connect": True})
    assert result.verdict is Verdict.FAIL
    assert "ECONNREFUSED" in result.message


def test_a_connection_may_be_all_that_is_asserted(run: Run) -> None:
    with tcp_server(deaf) as port:
        assert talk(run, {"port": port, "connect": True}).verdict is Verdict.PASS
        result = talk(run, {"port": port})
    assert result.verdict is Verdict.ERROR
    assert "asserts nothing" in result.message


def test_no_pod_is_an_error(run: Run) -> None:
    result = talk(run, {"port": 1, "connect": True}, pods=())
    assert result.verdict is Verdict.ERROR
    assert "no pod" in result.message


def test_an_address_that_is_none_is_an_error(run: Run) -> None:
    assert talk(run, {"port": 1, "connect": True}, pods=pods("")).verdict is Verdict.ERROR


def test_every_pod_is_asked_at_its_folded_address(run: Run) -> None:
    with ExitStack() as servers:
        port = servers.enter_context(tcp_server(redis, host="127.1.2.3"))
        servers.enter_context(tcp_server(redis, host="127.1.2.4", port=port))
        tcp = {"port": port, "send": "PING\r\n", "expect": "+PONG"}
        both: dict[str, Any] = {"pods": pods("10.1.2.3", "10.1.2.4"), "pod_network": LOOPBACK}
        assert talk(run, tcp, **both).verdict is Verdict.PASS
        three: dict[str, Any] = {
            "pods": pods("10.1.2.3", "10.1.2.4", "10.1.2.5"),
            "pod_network": LOOPBACK,
        }
        result = talk(run, tcp, **three)
    assert result.verdict is Verdict.FAIL
    assert result.message.startswith("2 of 3 pods answered as expected: pod-2: ")
    assert "10.1.2.5" in result.evidence
    assert f"/dev/tcp/127.1.2.5/{port}" in result.repeat


def test_privileged_ports_are_folded(run: Run) -> None:
    port = next(p for p in range(20_900, 21_000) if _is_free(p))
    with tcp_server(redis, host="127.1.2.3", port=port):
        tcp = {"port": port - 20_000, "send": "PING\r\n", "expect": {"prefix": "+PONG"}}
        result = talk(run, tcp, pods=pods("10.1.2.3"), pod_network=LOOPBACK)
    assert result.verdict is Verdict.PASS, result


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.1.2.3", port)).close()
    except OSError:
        return False
    return True


def test_one_slow_pod_does_not_hold_up_the_others(run: Run) -> None:
    everyone_is_there = threading.Barrier(6)

    def together(connection: socket.socket) -> None:
        everyone_is_there.wait(10)
        connection.sendall(b"hello")

    with tcp_server(together) as port:
        result = talk(run, {"port": port, "expect": "hello"}, "15s", pods=pods(*["127.0.0.1"] * 6))
    assert result.verdict is Verdict.PASS, result


def test_ports_by_name(run: Run) -> None:
    class Cluster:
        def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
            assert (kind, namespace, name) == ("Pod", "bookinfo", "pod-0")
            ports = [{"containerPort": 1}, {"name": "redis", "containerPort": port}]
            return {"spec": {"containers": [{"name": "c"}, {"ports": ports}]}}

        create = list = replace = patch = delete = watch = None

    look_up = port_names(Cluster())  # type: ignore[arg-type]  # only `get` is asked
    with tcp_server(redis) as port:
        tcp = {"port": "redis", "send": "PING\r\n", "expect": "+PONG"}
        pod: dict[str, Any] = {"pods": pods("127.0.0.1"), "port_names": look_up}
        assert talk(run, tcp, **pod).verdict is Verdict.PASS
        result = talk(run, tcp | {"port": "other"}, **pod)
        assert result.verdict is Verdict.ERROR
        assert "no container port named 'other'" in result.message
        assert talk(run, tcp).verdict is Verdict.ERROR


def test_tls(run: Run, tmp_path: Path) -> None:
    ca = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("reviews.example.com").configure_cert(server)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tcp: dict[str, Any] = {"send": "PING\r\n", "expect": "+PONG"}
    with tcp_server(redis, context=server) as port:
        tcp["port"] = port
        tls = {"ca": "ca.pem", "serverName": "reviews.example.com"}
        assert talk(run, tcp | {"tls": tls}).verdict is Verdict.PASS
        assert talk(run, tcp | {"tls": {"verify": False}}).verdict is Verdict.PASS
        result = talk(run, tcp | {"tls": {"ca": "ca.pem"}})
        assert result.verdict is Verdict.FAIL
        assert "TLS" in result.message
        assert talk(run, tcp | {"tls": {"ca": "none.pem"}}).verdict is Verdict.ERROR


def test_a_secret_that_comes_back_is_taken_out(run: Run) -> None:
    def indiscreet(connection: socket.socket) -> None:
        connection.sendall(f"you sent {SECRET}\r\n".encode())

    with tcp_server(indiscreet) as port:
        result = talk(run, {"port": port, "expect": "something else"})
    assert "<secret>" in result.evidence
