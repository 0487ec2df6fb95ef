"""A namespace of a sandbox with a service in it, and theseus-ci as people run it there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import requests
import yaml

from tests.e2e import app, forked
from tests.e2e.api import Api, Object
from theseus_ci.demo.traffic import Request, read_requests
from theseus_ci.sandbox.cluster import Sandbox

COMMAND = Path(sys.executable).with_name("theseus-ci")
NOTHING_WRITTEN = ("sh", "-c", 'ulimit -f 0; exec "$0" "$@"')  # holds for root too
USERS = (sys.executable, "-m", "theseus_ci.demo.traffic")
DEADLINE_SECONDS = 60.0
COMMAND_SECONDS = 200.0  # more than the longest deadline a command has by default, to see its words
T = TypeVar("T")


def until(attempt: Callable[[], T], what: str = "") -> T:
    """Repeat until the result is truthy, and return it."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (result := attempt()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)
    return result


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    @property
    def last_words(self) -> tuple[str, str]:
        """Where production traffic is now, and the next command."""
        traffic, following = self.err.rstrip("\n").splitlines()[-2:]
        return traffic, following


class Running:
    """A command under way; its output is read as it comes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []

    def until_line(self, wanted: str) -> str:
        """Read on until a line holds `wanted`. Fails when the command ends before."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if wanted in line:
                return line
        raise AssertionError(f"no line with {wanted!r}:\n{''.join(self.lines)}")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = DEADLINE_SECONDS) -> Done:
        """Its end, within `seconds`; output that was read before is part of it."""
        out, err = self.process.communicate(timeout=seconds)
        return Done(self.process.returncode, "".join(self.lines) + out, err)


class World:
    """One namespace, one folder that holds theseus.yaml, and commands run in it.

    `loads_anew`: every command starts from the shell, as in a pipeline; for who takes its time.
    """

    loads_anew = False

    def __init__(self, sandbox: Sandbox, api: Api, namespace: str, folder: Path) -> None:
        self.sandbox = sandbox
        self.api = api
        self.namespace = namespace
        self.folder = folder
        self.host = f"{namespace}.example.com"
        self._running: list[subprocess.Popen[str]] = []

    # -- the cluster ------------------------------------------------------------------------

    def apply(self, *objects: Object) -> None:
        for obj in objects:
            self.api.apply(obj, self.namespace)

    def remove(self, obj: Object) -> None:
        """Delete an object, and wait until the pods of a Deployment are gone too."""
        name = obj["metadata"]["name"]
        self.api.delete(obj["kind"], self.namespace, name)
        if obj["kind"] == "Deployment":
            until(
                lambda: (
                    not any(
                        pod["metadata"]["name"].startswith(f"{name}-")
                        for pod in self.api.list("Pod", self.namespace)
                    )
                ),
                f"the pods of {name} are gone",
            )

    def dump(self) -> dict[str, Object]:
        return self.api.dump(self.namespace)

    def get(self, kind: str, name: str) -> Object:
        found = self.api.get(kind, self.namespace, name)
        assert found is not None, f"no {kind} {name}"
        return found

    def has(self, kind: str, name: str) -> bool:
        return self.api.get(kind, self.namespace, name) is not None

    def merge(self, kind: str, name: str, patch: Object) -> None:
        self.api.merge(kind, self.namespace, name, patch)

    def await_ready(self, deployment: str) -> None:
        until(lambda: self._is_ready(deployment), f"{deployment} is ready")

    def _is_ready(self, name: str) -> bool:
        deployment = self.get("Deployment", name)
        wanted, status = deployment["spec"].get("replicas", 1), deployment.get("status") or {}
        if status.get("observedGeneration", 0) < deployment["metadata"]["generation"]:
            return False  # it tells of a template before this one
        counts = ("availableReplicas", "updatedReplicas", "replicas")
        return all(status.get(count, 0) == wanted for count in counts)

    def start_service(self, version: str = "v1", *, replicas: int = 2, **env: str) -> None:
        """The previous version behind its Service, reached through the gateway."""
        self.apply(
            app.service(),
            app.gateway(self.host),
            app.virtual_service(self.host),
            app.deployment(f"web-{version}", version, replicas=replicas, env=env),
        )
        self.await_answer(version)
        self.await_ready(f"web-{version}")

    def ask(self, path: str = "/", **headers: str) -> requests.Response:
        """One request of a user."""
        return requests.get(
            self.sandbox.gateway + path, headers={"Host": self.host, **headers}, timeout=10
        )

    def await_answer(self, version: str) -> None:
        until(
            lambda: self.ask().headers.get("x-demo-version") == version,
            f"the gateway answers with {version}",
        )

    def candidate_weights(self, name: str = "web") -> list[int]:
        """The weight of every production destination that is not the first of its entry."""
        entries = self.get("VirtualService", name)["spec"]["http"]
        users = [one for one in entries if not str(one.get("name", "")).startswith("theseus")]
        return [one.get("weight", 0) for entry in users for one in entry["route"][1:]]

    # -- the folder -------------------------------------------------------------------------

    def write(self, name: str, content: object) -> Path:
        """A YAML file: text as it is, one object, or several documents."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        if isinstance(content, list):
            text = yaml.safe_dump_all(content, sort_keys=False)
        else:
            text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        path.write_text(text, encoding="utf-8")
        return path

    def configure(self, manifest: object, /, *, flow: object = None, **keys: Any) -> None:
        """theseus.yaml, the manifest of the candidate and a flow."""
        self.write("candidate.yaml", manifest)
        self.write("flow.yaml", flow if flow is not None else app.flow())
        self.write("theseus.yaml", app.config(self.namespace, self.host, self.gateway, **keys))

    def state(self) -> Any:
        """The state artefact as a pipeline would archive it."""
        return json.loads((self.folder / "theseus-state.json").read_text())

    @property
    def gateway(self) -> str:
        return self.sandbox.gateway

    def empty_folder(self, name: str = "elsewhere") -> Path:
        """A workspace of another agent: theseus.yaml and nothing else."""
        folder = self.folder / name
        folder.mkdir()
        (folder / "theseus.yaml").write_bytes((self.folder / "theseus.yaml").read_bytes())
        return folder

    # -- commands ---------------------------------------------------------------------------

    def theseus(
        self,
        *arguments: str,
        code: int | None = 0,
        folder: Path | None = None,
        kubeconfig: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> Done:
        """Run a command to its end; `code` None allows any exit code."""
        run = forked.from_shell if self.loads_anew else forked.run
        ended = run(
            arguments,
            folder=folder or self.folder,
            environment=self._environment(kubeconfig, env),
            stdin=stdin,
            seconds=COMMAND_SECONDS,
        )
        assert ended.code is not None, f"{arguments} did not end; it said:\n{ended.out}{ended.err}"
        done = Done(ended.code, ended.out, ended.err)
        assert code is None or done.code == code, f"exit {done.code}\n{done.text}"
        assert "Traceback" not in done.text, done.text
        return done

    def shell(self, line: str, *, code: int = 0, env: Mapping[str, str] | None = None) -> Done:
        """A line as typed into a shell, with redirections; what they leave of the output."""
        known = self._environment(None, env)
        ended = subprocess.run(
            ["sh", "-c", line],
            cwd=self.folder,
            env={**known, "PATH": f"{COMMAND.parent}:{known['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=COMMAND_SECONDS,
            check=False,
        )
        done = Done(ended.returncode, ended.stdout, ended.stderr)
        assert done.code == code, f"exit {done.code}\n{done.text}"
        return done

    def start(
        self,
        *arguments: str,
        stdin: int = subprocess.DEVNULL,
        kubeconfig: Path | None = None,
        full_disk: bool = False,
    ) -> Running:
        """Start a command that is to be interrupted, or that can write into no file."""
        process = subprocess.Popen(
            [*(NOTHING_WRITTEN if full_disk else ()), COMMAND, *arguments],
            cwd=self.folder,
            env=self._environment(kubeconfig, None),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._running.append(process)
        return Running(process)

    def _environment(
        self, kubeconfig: Path | None, extra: Mapping[str, str] | None
    ) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {
            **kept,
            "KUBECONFIG": str(kubeconfig or self.sandbox.kubeconfig),
            "THESEUS_TEST": "1",
            **(extra or {}),
        }

    def planned(self) -> list[tuple[str, ...]]:
        flow = yaml.safe_load((self.folder / "flow.yaml").read_text())
        return [app.command_of(step) for step in flow["steps"]]

    # -- users ------------------------------------------------------------------------------

    @contextmanager
    def traffic(self, rate: int = 60) -> Iterator[list[Request]]:
        """Users of the gateway during the block; the list is filled at its end."""
        recorded: list[Request] = []
        out = self.folder / "traffic.csv"
        out.unlink(missing_ok=True)  # that of earlier users must not be taken for theirs
        process = subprocess.Popen(
            [
                *USERS,
                f"--url={self.gateway}",
                f"--host={self.host}",
                f"--rate={rate}",
                f"--out={out}",
            ],
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self._running.append(process)
        try:
            until(lambda: out.exists() and out.stat().st_size > 0, "users send requests")
            yield recorded
        finally:
            process.terminate()
            process.wait(DEADLINE_SECONDS)
        recorded += read_requests(out)

    def stop(self) -> None:
        """End what a failed test has left running."""
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
