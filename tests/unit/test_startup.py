"""Start-up in terms that do not depend on the machine: what is imported for what is asked.

Packages of others are what start-up costs, and a release starts some twenty commands.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec import Struct
from msgspec.structs import fields

from tests.report import rollouts
from theseus_ci.arguments.catalogue import COMMANDS, STAGES
from theseus_ci.config.types import Config
from theseus_ci.rollout.state import State, encode

SLOW_PARTS_OF_PYTHON = {
    "asyncio",
    "http.client",
    "inspect",
    "logging",
    "shutil",  # which brings bz2 and lzma
    "ssl",
    "subprocess",
}
SLOW_PARTS_FOR_A_REPORT = SLOW_PARTS_OF_PYTHON - {"inspect"}  # of which typing makes use
SLOW_PARTS_FOR_A_REPORT |= {"html", "random", "xml.dom", "xml.etree.ElementTree"}
OF_NO_USE_TO_A_REPORT = {"config", "judge", "kube", "mesh", "stages"}
if sys.version_info < (3, 11):
    SLOW_PARTS_FOR_A_REPORT -= {"subprocess"}  # msgspec takes uuid, and that all of platform
NOBODY_THERE = """\
{apiVersion: v1, kind: Config, current-context: c,
 clusters: [{name: c, cluster: {server: "http://127.0.0.1:9"}}],
 users: [{name: c, user: {}}],
 contexts: [{name: c, context: {cluster: c, user: c}}]}
"""
PROGRAM = """\
import sys
before = set(sys.modules)
from theseus_ci.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print(code or 0, *sorted(set(sys.modules) - before), file=sys.stderr)
"""
COLLECTED = """\
import gc, sys
from theseus_ci.cli import main
main(sys.argv[1:2])
watched = {id(one) for one in gc.get_objects()}
print(gc.isenabled(), sum(id(vars(sys.modules[name])) in watched for name in sys.argv[2:]))
"""


def imported(folder: Path, *arguments: str) -> tuple[str, str, set[str]]:
    """What a command prints, its exit code, and the modules it has imported by its end."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    code, *modules = done.stderr.splitlines()[-1].split()
    return done.stdout, code, set(modules)


def of_others(modules: set[str]) -> set[str]:
    """Packages that neither Python nor this project brings."""
    packages = {name.partition(".")[0] for name in modules}
    return packages - sys.stdlib_module_names - {"theseus_ci"}


@pytest.mark.parametrize("command", ["", *STAGES, *COMMANDS])
def test_help_needs_nothing_but_python(command: str, tmp_path: Path) -> None:
    arguments = [command, "--help"] if command else ["--help"]
    shown, code, modules = imported(tmp_path, *arguments)
    assert code == "0"
    assert shown.startswith(f"usage: theseus-ci {command}".rstrip())
    assert "example" in shown
    assert f"theseus-ci {command}" in shown.partition("example")[2]
    assert not of_others(modules)
    assert not modules & SLOW_PARTS_OF_PYTHON


def test_a_report_needs_neither_cluster_nor_mesh(tmp_path: Path) -> None:
    (tmp_path / "theseus-state.json").write_bytes(encode(rollouts.too_slow()))
    shown, code, modules = imported(tmp_path, "report")
    assert (shown.strip(), code) == ("reports/html/index.html", "0")
    assert of_others(modules) <= {"msgspec", "typing_extensions"}  # which msgspec takes if it can
    assert not modules & SLOW_PARTS_FOR_A_REPORT
    packages = {name.split(".")[1] for name in modules if name.startswith("theseus_ci.")}
    assert not packages & OF_NO_USE_TO_A_REPORT
    assert "theseus_ci.report.markdown" not in modules


def test_a_command_that_sends_no_load_brings_neither_event_loop_nor_sh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theseus-state.json").write_bytes(encode(rollouts.too_slow()))
    (tmp_path / "kubeconfig").write_text(NOBODY_THERE)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    _, code, modules = imported(tmp_path, "status")
    assert code == "3"
    assert "kubernetes.dynamic" in modules
    assert not modules & {"asyncio", "uvloop", "httptools", "sh", "html"}


def test_the_collector_does_not_look_at_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theseus-state.json").write_bytes(encode(rollouts.too_slow()))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))  # it ends when all is imported
    done = subprocess.run(
        [sys.executable, "-c", COLLECTED, "status", "kubernetes.client", "msgspec"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "True 0"


@pytest.mark.parametrize("kind", [State, Config])
def test_what_is_read_in_every_process_is_declared_without_texts(kind: type[Struct]) -> None:
    texts = [
        f"{one.__module__}.{one.__qualname__}.{name}"
        for one in declared(kind)
        for name, annotation in vars(one).get("__annotations__", {}).items()
        if isinstance(annotation, str)
    ]
    assert not texts, "without the future import msgspec has nothing to compile"


def declared(kind: type[Struct]) -> set[type[Struct]]:
    """A type, its bases, and those of all that its fields can hold."""
    found: set[type[Struct]] = set()
    waiting: list[Any] = [kind]
    while waiting:
        one = waiting.pop()
        waiting += get_args(one)
        if isinstance(one, type) and issubclass(one, Struct) and one not in found:
            found.add(one)
            waiting += [field.type for field in fields(one)] + [*one.__mro__[1:]]
    return found
