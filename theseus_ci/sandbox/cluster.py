"""Starting, finding and stopping a sandbox from Python.

with Sandbox.start(tmp_path / "sandbox", gateway_delay=0.05) as sandbox:
    run(["kubectl", "--kubeconfig", sandbox.kubeconfig, ...])
    requests.get(sandbox.gateway, headers={"Host": "reviews.example.com"})
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from theseus_ci.errors import CannotKnow, UsageError
from theseus_ci.sandbox.layout import Layout, locked, read_json, write_json
from theseus_ci.sandbox.processes import (
    SANDBOX_MARKER,
    is_alive,
    kill_marked,
    python_command,
)
from theseus_ci.sandbox.real.binaries import find_binaries
from theseus_ci.sandbox.settings import REAL, Settings

START_SECONDS = 90.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.05
TAIL_LINES = 15
NEEDED_MODULES = ("aiohttp", "envoy", "jsonpatch", "trustme")

Progress = Callable[[str], None]


def _silent(line: str) -> None:
    """Report progress to nobody."""


class Sandbox:
    """One sandbox, by its directory, running or not."""

    def __init__(self, directory: Path) -> None:
        self.layout = Layout(directory.resolve())
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(
        cls,
        directory: Path,
        settings: Settings | None = None,
        *,
        name: str = "",
        prefer_fixed_ports: bool = False,
        outlive_us: bool = False,
        seconds: float = START_SECONDS,
        progress: Progress = _silent,
        **options: Any,
    ) -> Sandbox:
        """Start a sandbox and wait until it works; `options` are fields of Settings.

        It stops by itself when this process ends, unless it is to outlive us. Raises UsageError
        (ports, directory, missing packages or programs) and CannotKnow (it did not come up;
        nothing of it is left then).
        """
        require_packages()
        given = settings or Settings(**options)
        if given.control_plane == REAL:
            find_binaries()
        sandbox = cls(directory)
        sandbox.layout.prepare()
        with locked(sandbox.layout.directory):
            if sandbox.is_running():
                raise UsageError(f"a sandbox is already up in {sandbox.layout.directory}")
            sandbox._clear(keep_directory=True)
            sandbox.layout.prepare()
            try:
                chosen = given.with_ports(prefer_fixed=prefer_fixed_ports)
                content = {"schema": 1, "name": name, "settings": chosen.to_json()}
                write_json(sandbox.layout.settings, content)
                sandbox._launch(outlive_us)
                sandbox._await_ready(seconds, progress)
            except BaseException:
                sandbox._end()
                raise
        return sandbox

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # -- what it offers ---------------------------------------------------------------------

    @property
    def directory(self) -> Path:
        return self.layout.directory

    @property
    def name(self) -> str:
        return str(read_json(self.layout.settings).get("name", ""))

    @property
    def kubeconfig(self) -> Path:
        return self.layout.kubeconfig

    @property
    def gateway(self) -> str:
        """The base URL of the mesh's gateway."""
        return self._address("gateway")

    @property
    def sidecar(self) -> str:
        """The base URL of a client's sidecar: routes bound to `mesh` apply there."""
        return self._address("sidecar")

    def _address(self, proxy: str) -> str:
        try:
            return str(read_json(self.layout.mesh)[proxy])
        except KeyError as error:
            raise CannotKnow(f"the sandbox in {self.directory} has no {proxy}") from error

    # -- its state --------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What the supervisor last wrote (see `supervisor`), or nothing."""
        return read_json(self.layout.state)

    def exists(self) -> bool:
        """Whether it left any file, running or not."""
        return self.layout.settings.exists()

    def is_running(self) -> bool:
        """Whether its supervisor is alive."""
        state = self.state()
        return bool(state) and is_alive(int(state["pid"]), str(state["started"]))

    def running_components(self) -> dict[str, bool]:
        """Which of its programs are alive and were last seen to work."""
        return {
            name: bool(child["pid"])
            and child["works"]
            and is_alive(int(child["pid"]), str(child["started"]))
            for name, child in (self.state().get("components") or {}).items()
        }

    def is_healthy(self) -> bool:
        alive = self.running_components()
        return self.is_running() and self.state()["phase"] == "ready" and all(alive.values())

    def refuse_if_busy(self) -> None:
        """Raises CannotKnow while another command starts or stops it."""
        with locked(self.directory):
            return

    # -- its end ----------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop everything and remove every file, whatever state it is in; may be repeated.

        Raises CannotKnow when a process will not die.
        """
        if not self.layout.directory.is_dir():
            self._kill_all()  # somebody removed the files under running programs
            return
        with locked(self.layout.directory):
            if self.exists():
                self._end()

    def _end(self) -> None:
        state = self.state()
        if state and is_alive(int(state["pid"]), str(state["started"])):
            with suppress(ProcessLookupError):
                os.kill(int(state["pid"]), signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while is_alive(int(state["pid"]), str(state["started"])):
                if time.monotonic() > deadline:
                    break
                time.sleep(POLL_SECONDS)
        self._clear()
        if self._process is not None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process.wait()
            self._process = None

    def _clear(self, *, keep_directory: bool = False) -> None:
        """Kill what carries our marker, then remove the files (and the directory they are in)."""
        self._kill_all()
        for entry in list(self.directory.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
        if not keep_directory:
            self.directory.rmdir()

    def _kill_all(self) -> None:
        try:
            kill_marked(SANDBOX_MARKER, str(self.directory))
        except TimeoutError as error:
            raise CannotKnow(f"{error}", remedy="stop them, then run sandbox down again") from error

    # -- its start --------------------------------------------------------------------------

    def _launch(self, outlive_us: bool) -> None:
        command = python_command(
            "theseus_ci.sandbox.supervisor", "--directory", str(self.directory)
        )
        if not outlive_us:
            command.append("--until-stdin-closes")
        with self.layout.log("supervisor").open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                command,
                cwd=self.directory,
                env={**os.environ, SANDBOX_MARKER: str(self.directory)},
                stdin=subprocess.DEVNULL if outlive_us else subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _await_ready(self, seconds: float, progress: Progress) -> None:
        """Watch state.json until all works. Raises CannotKnow with the tail of a log."""
        assert self._process is not None
        begun = time.monotonic()
        told: set[str] = set()
        while True:
            ended = self._process.poll() is not None
            state = self.state()
            for name, child in (state.get("components") or {}).items():
                if child["works"] and name not in told:
                    told.add(name)
                    progress(f"{name} works after {time.monotonic() - begun:.1f} s")
            if state.get("phase") == "ready":
                return
            if ended or state.get("phase") == "failed":
                failure = state.get("failure") or {"component": "supervisor", "message": "ended"}
                raise self._failed(failure["component"], failure["message"])
            if time.monotonic() - begun > seconds:
                missing = [name for name in state.get("components") or {} if name not in told]
                culprit = missing[0] if missing else "supervisor"
                raise self._failed(culprit, f"does not work after {seconds:g} s")
            time.sleep(POLL_SECONDS)

    def _failed(self, component: str, message: str) -> CannotKnow:
        try:
            text = self.layout.log(component).read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = ""
        tail = "\n".join(f"  {line}" for line in text.splitlines()[-TAIL_LINES:])
        return CannotKnow(f"the sandbox did not come up: {component} {message}\n{tail}".rstrip())


def require_packages() -> None:
    """Raises UsageError when the sandbox's extra is not installed."""
    missing = [name for name in NEEDED_MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the sandbox needs packages that are not installed ({', '.join(missing)})",
            remedy="pip install 'theseus-ci[sandbox]'",
        )
