"""A running API server to talk to, and the three ways tests talk to it.

Set THESEUS_TEST_KUBECONFIG to the kubeconfig of a real API server to run the tests on that one;
those that need a server of their own (flags, token file, fake kubelet) are skipped then.
"""

from __future__ import annotations

import base64
import csv
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from kubernetes import config, dynamic

from theseus_ci.sandbox.processes import spawn

DEADLINE_SECONDS = 30.0
OTHER_SERVER = os.environ.get("THESEUS_TEST_KUBECONFIG")
Object = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """An HTTP answer, its body decoded when it is JSON."""

    status: int
    body: Any
    headers: dict[str, str]


@dataclass
class ApiServer:
    """An API server and an administrator's access to it."""

    kubeconfig: Path
    url: str
    token: str
    ca: Path
    directory: Path | None = None
    process: subprocess.Popen[bytes] | None = None
    session: requests.Session = field(default_factory=requests.Session)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Reply:
        """One raw request; `token` '' sends none."""
        credentials = self.token if token is None else token
        sent = {"Content-Type": content_type, **(headers or {})}
        if credentials:
            sent["Authorization"] = f"Bearer {credentials}"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        answer = self.session.request(
            method, self.url + path, data=data, headers=sent, verify=str(self.ca), timeout=30
        )
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        content = answer.json() if is_json and answer.content else answer.text
        return Reply(answer.status_code, content, dict(answer.headers))

    def ok(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The body of a request that must succeed."""
        reply = self.request(method, path, body, **more)
        assert reply.status < 300, reply
        return reply.body

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what the server itself brings about."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def merge(self, path: str, patch: Object) -> Any:
        return self.ok("PATCH", path, patch, content_type="application/merge-patch+json")

    def watch(self, path: str) -> Watch:
        """Open a watch at once; its events are collected by a thread."""
        return Watch(self, path)

    def kubectl(
        self, *arguments: str, stdin: Any = None, code: int | None = 0, timeout: float = 60
    ) -> str:
        """Run kubectl; returns what it printed. `code` None allows any exit code."""
        assert self.kubeconfig.exists()
        command = [str(Path(sys.executable).with_name("kubectl")), *arguments]
        text = stdin if isinstance(stdin, str) or stdin is None else yaml.safe_dump_all(stdin)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.kubeconfig.parent),
            "KUBECONFIG": str(self.kubeconfig),
        }
        done = subprocess.run(
            command,
            input=text,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        output = done.stdout + done.stderr
        assert code is None or done.returncode == code, output
        return output

    def dynamic(self, cache: Path) -> Any:
        """The `kubernetes` package's dynamic client; `cache` is where it keeps discovery."""
        connect: Any = config.new_client_from_config
        client: Any = dynamic.DynamicClient
        api = connect(config_file=str(self.kubeconfig))
        return client(api, cache_file=str(cache / "discovery.json"))

    def add_user(self, name: str, *groups: str) -> str:
        """Let a user in; returns the token."""
        assert self.directory is not None
        token = secrets.token_urlsafe(16)
        with (self.directory / "tokens.csv").open("a", encoding="utf-8", newline="") as lines:
            csv.writer(lines).writerow([token, name, name, ",".join(groups)])
        return token


class Watch:
    """The events of one watch, in order."""

    def __init__(self, server: ApiServer, path: str) -> None:
        self.events: list[Object] = []
        self.ended = False
        self._changed = threading.Condition()
        headers = {"Authorization": f"Bearer {server.token}"}
        joint = "&" if "?" in path else "?"
        self._answer = requests.get(
            f"{server.url}{path}{joint}watch=true",
            headers=headers,
            verify=str(server.ca),
            stream=True,
            timeout=(10, 60),
        )
        self.status = self._answer.status_code
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._answer.iter_lines(chunk_size=1):
            with self._changed:
                self.events.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def until(self, condition: Callable[[list[Object]], bool]) -> list[Object]:
        """Wait until the events satisfy `condition`."""
        with self._changed:
            met = self._changed.wait_for(lambda: condition(self.events), DEADLINE_SECONDS)
            assert met, self.events
            return list(self.events)

    def until_count(self, count: int) -> list[Object]:
        return self.until(lambda events: len(events) >= count)

    def until_end(self) -> list[Object]:
        with self._changed:
            assert self._changed.wait_for(lambda: self.ended, DEADLINE_SECONDS)
        self._thread.join()
        self._answer.close()
        return self.events


def summary(events: list[Object]) -> list[tuple[str, str]]:
    """(type, object name) of each event."""
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


def from_kubeconfig(path: Path, folder: Path) -> ApiServer:
    """Access by an administrator's kubeconfig that holds a token and an inline CA."""
    content = yaml.safe_load(path.read_text())
    cluster = content["clusters"][0]["cluster"]
    ca = folder / "ca.pem"
    ca.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    return ApiServer(path, cluster["server"], content["users"][0]["user"]["token"], ca)


def start(folder: Path, *flags: str) -> ApiServer:
    """Start a server of our own."""
    log = folder / "apiserver.log"
    command = [sys.executable, "-m", "theseus_ci.sandbox.apiserver", "--directory", str(folder)]
    with log.open("ab") as output:
        process = spawn(
            [*command, *flags],
            environment=os.environ,
            directory=folder,
            stdout=output,
            stderr=output,
        )
    kubeconfig = folder / "kubeconfig"
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not kubeconfig.exists():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    server = from_kubeconfig(kubeconfig, folder)
    server.directory, server.process = folder, process
    return server


def stop(server: ApiServer) -> None:
    """Stop it as its supervisor would; it must end cleanly, without a traceback."""
    server.session.close()
    if server.process is None or server.directory is None:
        return
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    log = (server.directory / "apiserver.log").read_text()
    assert "Traceback" not in log, log


@pytest.fixture(scope="module")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One server for the tests of a module; each should use a namespace of its own."""
    folder = tmp_path_factory.mktemp("apiserver")
    server = from_kubeconfig(Path(OTHER_SERVER), folder) if OTHER_SERVER else start(folder)
    yield server
    stop(server)


@pytest.fixture
def own_apiserver(apiserver: ApiServer) -> ApiServer:
    """The server of the module, if it is ours: its token file may be edited."""
    if OTHER_SERVER:
        pytest.skip("needs a server of its own")
    return apiserver


@pytest.fixture
def start_apiserver(tmp_path: Path) -> Iterator[Callable[..., ApiServer]]:
    """Starts servers with flags; they are stopped at the end of the test."""
    if OTHER_SERVER:
        pytest.skip("needs a server of its own")
    started: list[ApiServer] = []

    def starter(*flags: str) -> ApiServer:
        folder = tmp_path / f"server-{len(started)}"
        folder.mkdir()
        started.append(start(folder, *flags))
        return started[-1]

    yield starter
    for server in started:
        stop(server)


@pytest.fixture
def namespace(apiserver: ApiServer) -> str:
    """The name of a namespace that only this test uses."""
    name = f"test-{secrets.token_hex(4)}"
    apiserver.ok("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return name
