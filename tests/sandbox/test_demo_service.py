"""The demo service as a process, spoken to over its sockets."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from theseus_ci.sandbox.demo_service.behaviour import BehaviourError, read_behaviour
from theseus_ci.sandbox.demo_service.latency import LogNormal, Uniform, parse_latency
from theseus_ci.sandbox.processes import inherited_environment, python_command, spawn

MODULE = "theseus_ci.sandbox.demo_service"
WITHOUT_UVLOOP = (
    "import runpy, sys; sys.modules['uvloop'] = None;"
    f"runpy.run_module({MODULE!r}, run_name='__main__')"
)


class Service:
    """A running demo service; ports as it says on its first lines."""

    def __init__(self, process: subprocess.Popen[bytes], sockets: int) -> None:
        self.process = process
        assert process.stdout is not None
        lines = [process.stdout.readline().decode() for _ in range(sockets)]
        self.ports = [int(line.rpartition(":")[2]) for line in lines]
        self.url = f"http://127.0.0.1:{self.ports[0]}"

    def get(self, path: str = "/", **headers: str) -> requests.Response:
        return requests.get(self.url + path, headers=headers, timeout=10, allow_redirects=False)

    def connect(self, which: int = 0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.ports[which]), timeout=10)

    def pipeline(self, number: int, path: str = "/") -> list[int]:
        """Statuses of so many requests, sent in one write; fewer when the connection ends."""
        with self.connect() as connection:
            request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            connection.sendall(request * (number - 1))
            connection.sendall(request.replace(b"Host: x", b"Connection: close\r\nHost: x"))
            return statuses(read_all(connection))

    def end(self) -> str:
        """Wait for the end; returns what it wrote."""
        out, _ = self.process.communicate(timeout=20)
        return out.decode()


Start = Callable[..., Service]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline


def statuses(answers: bytes) -> list[int]:
    parts = answers.split(b"HTTP/1.1 ")
    return [int(part[:3]) for part in parts[1:]]


def read_all(connection: socket.socket) -> bytes:
    received = b""
    try:
        while data := connection.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return received


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    services: list[subprocess.Popen[bytes]] = []

    def run(*, command: list[str] | None = None, sockets: int = 1, **environment: str) -> Service:
        process = spawn(
            command or python_command(MODULE),
            environment={
                **inherited_environment(),
                "DEMO_PORT": "0",
                "DEMO_VERSION": "2.0",
                "DEMO_SHUTDOWN_SERVE": "0",
                **environment,
            },
            directory=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        services.append(process)
        return Service(process, sockets)

    yield run
    for process in services:
        process.kill()
        process.communicate()


# -- what it answers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [python_command(MODULE), [sys.executable, "-c", WITHOUT_UVLOOP]],
    ids=["uvloop", "asyncio"],
)
def test_any_path_tells_version_pod_path_and_headers(start: Start, command: list[str]) -> None:
    service = start(command=command, HOSTNAME="reviews-1")
    answer = service.get("/reviews/1?full=yes", **{"X-Release": "candidate"})
    assert answer.status_code == 200
    assert answer.headers["x-demo-version"] == "2.0"
    body = answer.json()
    assert (body["version"], body["pod"], body["path"], body["query"]) == (
        "2.0",
        "reviews-1",
        "/reviews/1",
        "full=yes",
    )
    assert body["headers"]["x-release"] == "candidate"


def test_the_version_is_the_image_tag_by_default(start: Start) -> None:
    service = start(DEMO_VERSION="", THESEUS_IMAGE="registry.example.com:5000/theseus-ci/demo:1.4")
    assert service.get().json()["version"] == "1.4"


def test_health_echo_and_redirect(start: Start) -> None:
    service = start(DEMO_REDIRECT="/elsewhere")
    assert service.get("/health").json()["status"] == "ok"
    echoed = requests.post(
        service.url + "/echo", data=b"\0\1 body", headers={"Content-Type": "x/y"}, timeout=10
    )
    assert (echoed.content, echoed.headers["content-type"]) == (b"\0\1 body", "x/y")
    redirect = service.get("/redirect")
    assert (redirect.status_code, redirect.headers["location"]) == (302, "/elsewhere")


def test_head_has_the_length_but_no_body(start: Start) -> None:
    service = start()
    with service.connect() as connection:
        connection.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    assert body == b""
    assert b"content-length: " in head
    assert b"content-length: 0" not in head


def test_metrics_count_answers_by_status_and_time_them(start: Start) -> None:
    service = start(DEMO_ERROR_PATHS="/bad")
    for path in ("/", "/", "/bad"):
        service.get(path)
    lines = dict(
        line.rsplit(" ", 1)
        for line in service.get("/metrics").text.splitlines()
        if not line.startswith("#")
    )
    assert lines['http_requests_total{version="2.0",code="200"}'] == "2"
    assert lines['http_requests_total{version="2.0",code="500"}'] == "1"
    assert lines['http_request_duration_seconds_bucket{version="2.0",le="+Inf"}'] == "3"
    assert lines['http_requests_in_flight{version="2.0"}'] == "0"


def test_pipelined_requests_are_answered_in_order(start: Start) -> None:
    service = start(DEMO_LATENCY="uniform(0ms, 3ms)")
    with service.connect() as connection:
        wanted = [f"/item/{number}" for number in range(200)]
        for path in wanted:
            last = "Connection: close\r\n" if path == wanted[-1] else ""
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{last}\r\n".encode())
        answers = read_all(connection).split(b"HTTP/1.1 200 OK")[1:]
    assert [json.loads(part.partition(b"\r\n\r\n")[2])["path"] for part in answers] == wanted


def test_expect_continue_upgrade_and_old_http(start: Start) -> None:
    service = start()
    with service.connect() as connection:
        connection.sendall(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"ok")
        assert b"\r\n\r\nok" in connection.recv(1000)
    with service.connect() as connection:
        connection.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
        )
        assert statuses(read_all(connection)) == [200]
    with service.connect() as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert statuses(read_all(connection)) == [200]


@settings(deadline=None)
@given(rubbish=st.binary(min_size=1, max_size=200))
def test_rubbish_never_stops_it(shared_service: Service, rubbish: bytes) -> None:
    with shared_service.connect() as connection:
        connection.sendall(rubbish)
        connection.shutdown(socket.SHUT_WR)
        read_all(connection)
    assert shared_service.get("/health").status_code == 200


@pytest.fixture(scope="module")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    process = spawn(
        python_command(MODULE),
        environment={**inherited_environment(), "DEMO_PORT": "0"},
        directory=tmp_path_factory.mktemp("service"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    yield Service(process, 1)
    process.kill()
    process.communicate()


def test_line_protocol(start: Start) -> None:
    service = start(sockets=2, DEMO_TCP_PORT="redis", THESEUS_PORT_REDIS="0", THESEUS_PORT_6379="0")
    with service.connect(1) as connection:
        connection.sendall(b"PI")
        connection.sendall(b"NG\r\nVERSION\r\nflush\r\nQUIT\r\n")
        assert read_all(connection) == b"+PONG\r\n+2.0\r\n-ERR unknown command 'flush'\r\n+OK\r\n"


# -- how it fails -------------------------------------------------------------------------------


def test_errors_at_a_rate_with_a_status(start: Start) -> None:
    service = start(DEMO_ERROR_RATE="30%", DEMO_ERROR_STATUS="503", DEMO_SEED="1")
    found = service.pipeline(400)
    assert set(found) == {200, 503}
    assert 80 <= found.count(503) <= 160
    assert service.get("/health").status_code == 200


def test_errors_begin_after_so_many_requests(start: Start) -> None:
    service = start(DEMO_ERROR_AFTER="3")
    assert service.pipeline(5) == [200, 200, 200, 500, 500]


def test_errors_only_on_named_paths_and_there_also_of_probes(start: Start) -> None:
    service = start(DEMO_ERROR_PATHS="/reviews/*,/health")
    assert [service.get(path).status_code for path in ("/", "/reviews/1", "/health", "/ready")] == [
        200,
        500,
        500,
        200,
    ]


def test_bad_only_above_a_rate(start: Start) -> None:
    service = start(DEMO_BAD_ABOVE_RATE="50", DEMO_ERROR_RATE="100%")
    found = service.pipeline(60)  # one write: all within one second
    assert found[:50] == [200] * 50
    assert found[50:] == [500] * 10


def test_a_hanging_request_gets_no_answer(start: Start) -> None:
    service = start(DEMO_HANG_RATE="100%")
    with service.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert service.get("/health").status_code == 200
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_latency_is_added_before_the_answer(start: Start) -> None:
    service = start(DEMO_LATENCY="30ms", DEMO_TAIL_SHARE="100%", DEMO_TAIL_LATENCY="60ms")
    assert service.get().elapsed.total_seconds() >= 0.06


def test_crashes(start: Start) -> None:
    after = start(DEMO_CRASH_AFTER="2", DEMO_CRASH_EXIT_CODE="7")
    assert after.pipeline(3) == [200, 200]
    assert "crashed as told: request 3" in after.end()
    assert after.process.returncode == 7
    above = start(DEMO_CRASH_ABOVE_RATE="10")
    assert above.pipeline(20) == [200] * 10
    assert above.process.wait(20) == 1


def test_crash_above_a_concurrency(start: Start) -> None:
    service = start(DEMO_CRASH_ABOVE_CONCURRENCY="2", DEMO_LATENCY="10s")
    connections = [service.connect() for _ in range(3)]
    for connection in connections:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert service.process.wait(20) == 1
    for connection in connections:
        connection.close()


def test_crash_at_start(tmp_path: Path) -> None:
    done = subprocess.run(
        python_command(MODULE),
        env={**inherited_environment(), "DEMO_CRASH_AT_START": "true", "DEMO_CRASH_EXIT_CODE": "3"},
        cwd=tmp_path,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stderr) == (3, b"crashed as told: at start\n")


def test_wrong_port(start: Start) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    service = start(DEMO_PORT=str(port - 1), DEMO_PORT_OFFSET="1")
    assert service.ports == [port]


def test_ready_only_after_its_delay(start: Start) -> None:
    service = start(DEMO_READY_DELAY="1h")
    assert service.get("/ready").status_code == 503
    assert service.get("/health").status_code == 200


# -- how it ends --------------------------------------------------------------------------------


def test_draining_finishes_what_is_under_way_and_closes(start: Start) -> None:
    service = start(DEMO_LATENCY="300ms", DEMO_SHUTDOWN_SERVE="100ms")
    answers: list[requests.Response] = []
    request = threading.Thread(target=lambda: answers.append(service.get()))
    with service.connect() as idle:
        request.start()
        in_flight = 'http_requests_in_flight{version="2.0"} 1'
        until(lambda: in_flight in service.get("/metrics").text)
        service.process.send_signal(signal.SIGTERM)
        assert read_all(idle) == b""
        request.join()
    assert answers[0].status_code == 200
    assert answers[0].headers["connection"] == "close"
    assert "stopped" in service.end()
    assert service.process.returncode == 0


def test_it_serves_on_for_a_while_and_is_no_longer_ready(start: Start) -> None:
    service = start(DEMO_SHUTDOWN_SERVE="1h")
    service.process.send_signal(signal.SIGTERM)
    until(lambda: service.get("/ready").status_code == 503)
    answer = service.get()
    assert answer.status_code == 200
    assert "connection" not in answer.headers
    assert service.process.poll() is None


def test_dropping_breaks_off_what_is_under_way(start: Start) -> None:
    service = start(DEMO_HANG_RATE="100%", DEMO_SHUTDOWN="drop", DEMO_SHUTDOWN_SERVE="1h")
    with service.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert service.get("/health").status_code == 200
        service.process.send_signal(signal.SIGTERM)
        assert read_all(connection) == b""
    assert service.process.wait(20) == 0


def test_ignoring_sigterm(start: Start) -> None:
    service = start(DEMO_IGNORE_SIGTERM="true")
    service.process.send_signal(signal.SIGTERM)
    assert service.get().status_code == 200
    service.process.kill()
    assert service.process.wait(20) == -signal.SIGKILL


# -- what it is told ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEMO_PORT", "http"),
        ("DEMO_PORT", "70000"),
        ("DEMO_LATENCY", "10"),
        ("DEMO_LATENCY", "uniform(5ms)"),
        ("DEMO_LATENCY", "lognormal(p50=30ms, p99=10ms)"),
        ("DEMO_LATENCY", "pareto(1ms, 2ms)"),
        ("DEMO_ERROR_RATE", "0.5"),
        ("DEMO_ERROR_RATE", "101%"),
        ("DEMO_ERROR_STATUS", "200"),
        ("DEMO_ERROR_PATHS", "reviews"),
        ("DEMO_CRASH_AT_START", "maybe"),
        ("DEMO_SHUTDOWN", "slowly"),
        ("DEMO_BAD_ABOVE_RATE", "100"),
        ("DEMO_BAD_ABOVE_RATE", "-1"),
        ("DEMO_TAIL_SHARE", "1%"),
        ("DEMO_TCP_PORT", "redis"),
        ("DEMO_PORT_OFFSET", "x"),
        ("DEMO_ERORR_RATE", "1%"),
    ],
)
def test_a_bad_value_ends_the_start_and_names_the_variable(
    tmp_path: Path, name: str, value: str
) -> None:
    with pytest.raises(BehaviourError, match=name):
        read_behaviour({name: value})
    done = subprocess.run(
        python_command(MODULE),
        env={**inherited_environment(), name: value},
        cwd=tmp_path,
        capture_output=True,
        timeout=20,
        check=False,
        text=True,
    )
    assert done.returncode == 2
    assert name in done.stderr
    assert "Traceback" not in done.stderr


def test_a_misspelt_fault_is_corrected() -> None:
    with pytest.raises(BehaviourError, match="did you mean DEMO_ERROR_RATE"):
        read_behaviour({"DEMO_EROR_RATE": "1%"})


@given(st.text(max_size=40))
def test_any_latency_text_is_read_or_refused(text: str) -> None:
    try:
        latency = parse_latency(text)
    except ValueError:
        return
    assert latency.sample(random.Random(1)) >= 0


@given(low=st.integers(0, 1000), more=st.integers(0, 1000), seed=st.integers(0, 2**32))
def test_uniform_stays_between_its_ends(low: int, more: int, seed: int) -> None:
    latency = parse_latency(f"uniform({low}ms, {low + more}ms)")
    assert isinstance(latency, Uniform)
    assert low / 1000 <= latency.sample(random.Random(seed)) <= (low + more) / 1000 + 1e-9


def test_lognormal_has_the_percentiles_it_was_given() -> None:
    chance = random.Random(7)
    latency = parse_latency("lognormal(p50=10ms, p99=30ms)")
    assert isinstance(latency, LogNormal)
    drawn = sorted(latency.sample(chance) for _ in range(20_000))
    assert drawn[10_000] == pytest.approx(0.010, rel=0.03)
    assert drawn[19_800] == pytest.approx(0.030, rel=0.05)
