"""`theseus-ci sandbox up | down | status` as people and pipelines run it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.sandbox.node import until
from theseus_ci.sandbox.processes import SANDBOX_MARKER, find_marked

CLI = [sys.executable, "-m", "theseus_ci.cli", "sandbox"]
GUARD = "import subprocess, sys; sys.stdin.read(); subprocess.run(sys.argv[1:], check=True)"


@dataclass
class Shell:
    """Runs the command with a home of its own."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "XDG_STATE_HOME": str(self.home)}

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*CLI, *arguments],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def up(self, *arguments: str) -> dict[str, str]:
        """What it exports: KUBECONFIG, THESEUS_GATEWAY and THESEUS_SIDECAR."""
        done = self.run("up", *arguments)
        assert done.returncode == 0, done.stderr
        return access(done.stdout)

    def status(self, name: str = "default") -> dict[str, Any]:
        done = self.run("status", "--json", "--name", name)
        report = json.loads(done.stdout)
        assert done.returncode == (0 if report["healthy"] else 3)
        return dict(report)

    def healthy(self, name: str = "default") -> dict[str, Any]:
        report: dict[str, Any] = {}

        def attempt() -> bool:
            report.update(self.status(name))
            return bool(report["healthy"])

        until(attempt, f"{name} is healthy")
        return report

    def directory(self, name: str = "default") -> Path:
        return self.home / "theseus-ci" / "sandboxes" / name

    def processes(self, directory: Path) -> list[int]:
        return find_marked(SANDBOX_MARKER, str(directory.resolve()))


def access(output: str) -> dict[str, str]:
    lines = output.splitlines()
    exported = dict(line.removeprefix("export ").split("=", 1) for line in lines[:3])
    found = {name: shlex.split(value)[0] for name, value in exported.items()}
    assert list(found) == ["KUBECONFIG", "THESEUS_GATEWAY", "THESEUS_SIDECAR"]
    assert lines[3].startswith("# stop it: theseus-ci sandbox down")
    return found


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Every sandbox goes down with the test, also when the test's own process is killed."""
    made = Shell(tmp_path / "state")
    guard = subprocess.Popen(
        [sys.executable, "-c", GUARD, *CLI, "down", "--all"],
        env=made.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    yield made
    guard.communicate(timeout=60)
    assert guard.returncode == 0


def process(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(item for item in report["processes"] if item["name"] == name)


def test_up_status_and_down(shell: Shell) -> None:
    assert shell.run("status").returncode == 3
    first = shell.up()
    report = shell.status()
    assert (report["up"], report["healthy"], report["pods"]) == (True, True, [])
    assert {item["name"] for item in report["processes"]} == {
        "apiserver",
        "controllers",
        "kubelet",
        "mesh",
    }
    assert first["KUBECONFIG"] == report["kubeconfig"]
    assert requests.get(first["THESEUS_GATEWAY"], timeout=10).status_code == 404
    directory = shell.directory()
    assert directory.stat().st_mode & 0o777 == 0o700

    again = shell.run("up", "--gateway-delay", "1s")
    assert (again.returncode, access(again.stdout)) == (0, first)
    assert "already up" in again.stderr
    assert shell.status()["supervisor"] == report["supervisor"]

    assert shell.run("down").returncode == 0
    assert shell.processes(directory) == []
    assert not list(shell.home.rglob("*"))
    repeated = shell.run("down")
    assert (repeated.returncode, "not up" in repeated.stderr) == (0, True)
    assert "not up" in shell.run("status").stdout


def test_several_side_by_side(shell: Shell, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    first = shell.up("--name", "one")
    second = shell.up("--name", "two", "--directory", str(elsewhere))
    assert set(first.values()).isdisjoint(second.values())
    assert second["KUBECONFIG"] == str(elsewhere / "kubeconfig")
    refused = shell.run("up", "--name", "two", "--directory", str(tmp_path / "third"))
    assert (refused.returncode, str(elsewhere) in refused.stderr) == (2, True)
    assert shell.run("down", "--name", "one").returncode == 0
    assert shell.status("two")["healthy"]
    assert shell.run("down", "--all").returncode == 0
    assert not elsewhere.exists()
    assert not list(shell.home.rglob("*"))
    assert shell.processes(elsewhere) == []


def test_a_program_that_dies_is_started_again(shell: Shell, tmp_path: Path) -> None:
    images = tmp_path / "images.yaml"
    images.write_text("- {image: 'shop/*', command: [sleep, '1000']}\n")
    kubeconfig = shell.up("--images", str(images))["KUBECONFIG"]
    for name in ("kubelet", "controllers", "mesh", "apiserver"):
        os.kill(process(shell.healthy(), name)["pid"], signal.SIGKILL)
        until(partial(was_restarted, shell, name), f"{name} is started again")
    shell.healthy()
    kubectl(kubeconfig, "run", "sleeper", "--image=shop/sleep:1", "--restart=Never")
    kubectl(kubeconfig, "wait", "pod/sleeper", "--for=condition=Ready", "--timeout=60s")
    [pod] = shell.status()["pods"]
    assert (pod["name"], pod["phase"], pod["ready"]) == ("sleeper", "Running", True)


def was_restarted(shell: Shell, name: str) -> bool:
    return bool(process(shell.status(), name)["restarts"] == 1)


def kubectl(kubeconfig: str, *arguments: str) -> str:
    done = subprocess.run(
        ["kubectl", "--kubeconfig", kubeconfig, *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_after_its_supervisor_was_killed(shell: Shell) -> None:
    kubeconfig = shell.up()["KUBECONFIG"]
    kubectl(kubeconfig, "run", "web", "--image=theseus-ci/demo:1", "--port=8080")
    kubectl(kubeconfig, "wait", "pod/web", "--for=condition=Ready", "--timeout=60s")
    os.kill(shell.status()["supervisor"], signal.SIGKILL)
    until(lambda: not shell.processes(shell.directory()), "everything died with it")
    report = shell.status()
    assert (report["up"], report["healthy"]) == (False, False)
    shell.up()  # takes over what the dead one left
    assert shell.healthy()["pods"] == []
    os.kill(shell.status()["supervisor"], signal.SIGKILL)
    assert shell.run("down").returncode == 0
    assert not list(shell.home.rglob("*"))
    assert shell.processes(shell.directory()) == []


def test_down_after_its_files_were_removed(shell: Shell) -> None:
    shell.up()
    shutil.rmtree(shell.home)
    assert shell.run("down").returncode == 0
    assert shell.processes(shell.directory()) == []
    assert not list(shell.home.rglob("*"))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["up", "--name", "Not/A/Name"], "not a name for a sandbox"),
        (["up", "--gateway-delay", "300"], "not a duration"),
        (["up", "--api-port", "100000"], "not a port"),
        (["up", "--images", "/no/such/file"], "/no/such/file"),
        (["up", "--directory", "/proc/version/x"], "cannot be used"),
        (["sideways"], "invalid choice"),
    ],
)
def test_wrong_usage(shell: Shell, arguments: list[str], text: str) -> None:
    done = shell.run(*arguments)
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_image_mapping_names_its_entry(shell: Shell, tmp_path: Path) -> None:
    images = tmp_path / "images.yaml"
    images.write_text("- {image: a, command: [x]}\n- {image: b, comand: [x]}\n")
    done = shell.run("up", "--images", str(images))
    assert (done.returncode, "images.yaml[1].comand" in done.stderr) == (2, True)


def test_a_folder_with_other_files_is_left_alone(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not delete")
    done = shell.run("up", "--directory", str(tmp_path / "mine"))
    assert (done.returncode, "holds other files" in done.stderr) == (2, True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "do not delete"


def test_a_taken_port(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = shell.run("up", "--gateway-port", str(port))
    assert done.returncode == 2
    assert f"port {port} is taken (--gateway-port)" in done.stderr
    assert shell.processes(shell.directory()) == []


def test_missing_packages(shell: Shell) -> None:
    hide = (
        "import sys; sys.modules['envoy'] = None; from theseus_ci.cli import main;"
        "sys.exit(main(['sandbox', 'up']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", hide],
        env=shell.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install 'theseus-ci[sandbox]'" in done.stderr


def test_a_part_that_does_not_come_up_is_named_with_its_last_words(
    shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "uvloop.py").write_text("raise RuntimeError('broken on purpose')\n")
    done = shell.run("up", PYTHONPATH=str(tmp_path / "broken"))
    assert done.returncode == 3
    assert "apiserver ended with exit code 1 before it worked" in done.stderr
    assert "broken on purpose" in done.stderr
    assert shell.processes(shell.directory()) == []
    assert not shell.directory().exists()
