"""The shared library: its tests on Jenkins' interpreter, and the rules that all of vars/ keep."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

import theseus_ci
from tests.e2e import app
from tests.e2e.world import World
from tests.groovy.maven import HERE
from tests.groovy.maven import maven as run_maven
from theseus_ci.config.performance import Performance, Request
from theseus_ci.config.types import Config
from theseus_ci.flow import build_plan, load_flow

ROOT = Path(__file__).parents[2]
VARS = sorted((ROOT / "vars").glob("*.groovy"))
SCRIPTS = sorted((ROOT / "resources" / "theseus").glob("*.sh"))
BRICKS = ("Rollout", "Stage", "Gate", "Rollback", "Report", "Setup")
LINES_LIMIT = 70
ROLLOUT_LINES_LIMIT = 160
# An interruption goes on; a step that is not installed and what a sandbox keeps are no failures.
CATCHABLE = (
    r"FlowInterruptedException (\w+)\) \{(?:(?!\n    \})[\s\S])*\n        throw \1\n    \}"
    r"|NoSuchMethodError |SecurityException "
)
RESOURCE = r"\(label: '[^'$]*', script: libraryResource\('[\w/.]+'\)"


SHORT = ("autoscale", "performance", "bake", "scale-down-previous", "await-scale-down")


def test_groovy(world: World, tmp_path: Path) -> None:
    """All of the Groovy tests; one of them releases web-v2 in this world, as its users watch."""
    world.start_service()
    world.configure(app.candidate(), flow=app.flow(without=SHORT))
    world.write("v3.yaml", app.candidate("v3"))
    build, work = tmp_path / "build", tmp_path / "work"
    work.mkdir()
    with world.traffic(rate=20) as requests:
        run_maven(
            HERE,
            "test",
            build=build,
            work=work,
            repository=world.folder,
            kubeconfig=world.sandbox.kubeconfig,
            venv=Path(sys.executable).parents[1],
        )
    results = [ElementTree.parse(file).getroot() for file in build.rglob("TEST-*.xml")]
    assert len(results) == len(list((HERE / "src").rglob("*Test.groovy")))
    assert all(result.get("skipped") == "0" for result in results)
    assert [one for one in requests if not one.answered] == []
    assert {one.version for one in requests} == {"v1", "v2"}
    assert world.ask().headers["x-demo-version"] == "v2"
    assert not world.has("Lease", "theseus-web")
    assert not world.has("Deployment", "web-v1")
    assert not world.has("Deployment", "web-v3")


def test_the_library_goes_with_this_version() -> None:
    version = (ROOT / "resources" / "theseus" / "VERSION").read_text(encoding="utf-8")
    assert version == f"{theseus_ci.__version__}\n"


@pytest.mark.parametrize("file", VARS, ids=lambda file: file.stem)
def test_every_variable_has_a_page(file: Path) -> None:
    assert file.with_suffix(".txt").read_text(encoding="utf-8").startswith("<p>")


@pytest.mark.parametrize("brick", BRICKS)
def test_every_option_is_on_the_page(brick: str) -> None:
    source = (ROOT / "vars" / f"theseus{brick}.groovy").read_text(encoding="utf-8")
    page = (ROOT / "vars" / f"theseus{brick}.txt").read_text(encoding="utf-8")
    shared = (ROOT / "vars" / "theseusOptions.groovy").read_text(encoding="utf-8")
    own = re.search(
        rf"theseusOptions\('theseus{brick}', \w+(?:, \[(.*?)\]\)|\))", source, re.DOTALL
    )
    assert own is not None
    names = re.findall(r"(\w+): ", own[1] or "")
    names += re.findall(r"^ {8}(\w+): ", shared, re.MULTILINE)
    assert len(names) >= 14
    documented = re.findall(r"<dt>(.*?)</dt>", page)
    listed = {name for entry in documented for name in re.findall(r"<code>(\w+)</code>", entry)}
    assert set(names) - listed == set()


def test_the_ways_to_the_command_are_options() -> None:
    page = (ROOT / "docs" / "jenkins.md").read_text(encoding="utf-8")
    shared = (ROOT / "vars" / "theseusOptions.groovy").read_text(encoding="utf-8")
    section = page.partition("## The command on the agents")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `(\w+): ", section, re.MULTILINE)
    assert named == ["index", "wheelhouse", "venv"]
    assert set(named) <= set(re.findall(r"^ {8}(\w+): ", shared, re.MULTILINE))


def test_the_declarative_example_is_the_flow_that_it_names() -> None:
    """Its steps in their order, each report where the page at the end looks for it."""
    text = (ROOT / "examples" / "jenkins" / "Jenkinsfile.declarative").read_text(encoding="utf-8")
    stages = re.findall(r"theseusStage\(command: '([^']*)'(?:, step: '([^']*)')?", text)
    whole = Config(service="web", performance=Performance(requests=(Request(path="/"),), rate=10))
    plan = build_plan(load_flow("blue-green"), whole, has_previous=True)
    assert [step or command for command, step in stages] == [step.id for step in plan.steps]
    for command, planned in zip((words.split() for words, _ in stages), plan.steps, strict=True):
        assert command[: len(planned.command)] == list(planned.command)
    gates = re.findall(r"theseusGate\(step: '([^']*)'", text)
    assert set(gates) <= {step.id for step in plan.steps}


@pytest.mark.parametrize("file", VARS, ids=lambda file: file.stem)
def test_glue_and_no_more(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    limit = ROLLOUT_LINES_LIMIT if file.stem == "theseusRollout" else LINES_LIMIT
    assert len(text.splitlines()) <= limit
    assert broken_rules(text) == []


def broken_rules(text: str) -> list[str]:
    """What a variable of the library must not do."""
    rules = {
        "a shell line that is no resource": rf"(?<![\w.])sh\b(?!{RESOURCE})",
        "@NonCPS": r"@NonCPS",
        "catches what it may not": rf"\bcatch\s*\((?!{CATCHABLE})",
        "a lazy GString": r"\$\{\s*->",
        "a method whose closure CPS cannot follow": r"\.(sort|toSorted|eachLine|eachWithIndex)\b",
        "reaches into Jenkins": r"\bJenkins\.|\bhudson\.|\bSystem\.|\bnew File\b|\.execute\(",
    }
    return [what for what, pattern in rules.items() if re.search(pattern, code(text))]


def code(text: str) -> str:
    return re.sub(r"/\*\*.*?\*/", "", text, flags=re.DOTALL)


@pytest.mark.parametrize(
    "line",
    [
        'sh("theseus-ci ${words}")',
        "sh 'theseus-ci smoke'",
        "sh(label: 'x', script: words)",
        "@NonCPS String f() { }",
        "try { f() } catch (Throwable t) { }",
        "try { f() } catch (any) { }",
        "try { f() } catch (FlowInterruptedException e) {\n    echo('x')\n}\nthrow e\n",
        "sh(label: \"$x\", script: libraryResource('a.sh'))",
        'echo "${-> x}"',
        "list.sort { a, b -> a <=> b }",
        "'ls'.execute()",
    ],
)
def test_the_rules_find_what_they_look_for(line: str) -> None:
    assert broken_rules(line)


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.stem)
def test_scripts_are_plain_shell(file: Path) -> None:
    assert file.read_text(encoding="utf-8").startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n", file], check=True)


def fake(folder: Path, version: str, *, code: int = 0) -> Path:
    """An environment whose theseus-ci tells its version, and writes down how it was called."""
    program = folder / "bin" / "theseus-ci"
    program.parent.mkdir(parents=True)
    program.write_text(
        f'#!/bin/sh\n[ "$1" != --version ] || {{ echo "theseus-ci {version}"; exit; }}\n'
        f'printf "%s\\n" "$@" >> "{folder}/calls"; [ "$1" = pipeline ] || exit {code}\n'
    )
    program.chmod(0o755)
    return folder


def script(name: str, **env: str) -> subprocess.CompletedProcess[str]:
    path = ROOT / "resources" / "theseus" / name
    whole = {"PATH": os.environ["PATH"], "THESEUS_INDEX": "", "THESEUS_WHEELHOUSE": "", **env}
    return subprocess.run(
        ["sh", path], env=whole, capture_output=True, text=True, timeout=300, check=False
    )


def setup(venv: Path, wanted: str) -> subprocess.CompletedProcess[str]:
    return script(
        "setup.sh",
        THESEUS_VENV=str(venv),
        THESEUS_CI_VERSION=wanted,
        THESEUS_INSTALL="no",
        THESEUS_PYTHON=sys.executable,
    )


def test_another_version_fails(tmp_path: Path) -> None:
    venv = fake(tmp_path / "venv", "0.9")
    assert setup(venv, "0.9").returncode == 0
    ended = setup(venv, "1.0")
    assert ended.returncode == 3
    assert "goes with theseus-ci 1.0" in ended.stderr
    assert "there is theseus-ci 0.9" in ended.stderr
    assert (venv / "bin" / "theseus-ci").exists()


def test_words_are_never_expanded(tmp_path: Path) -> None:
    venv = fake(tmp_path / "venv", "1")
    script("command.sh", THESEUS_VENV=str(venv), THESEUS_COMMAND="smoke * $(touch x) ;")
    called = (venv / "calls").read_text().splitlines()
    assert called == ["smoke", "*", "$(touch", "x)", ";"]


def test_a_step_keeps_its_exit_code_and_has_a_report(tmp_path: Path) -> None:
    venv = fake(tmp_path / "venv", "1", code=3)
    reports = tmp_path / "reports"
    reports.mkdir()
    (reports / "old.xml").touch()
    ended = script(
        "step.sh",
        THESEUS_VENV=str(venv),
        THESEUS_COMMAND="shift 50",
        THESEUS_STEP="shift-half",
        THESEUS_REPORTS_DIR=str(reports),
    )
    assert ended.returncode == 3
    assert not reports.exists()
    calls = (venv / "calls").read_text().splitlines()
    assert calls == ["shift", "50", "pipeline", "crashed", "shift-half", "--code", "3"]


def wheel(folder: Path, version: str) -> None:
    """A theseus-ci that can tell its version, as a wheel."""
    info = f"theseus_ci-{version}.dist-info"
    files = {
        "fake_theseus.py": f"def main():\n    print('theseus-ci {version}')\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: theseus-ci\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\ntheseus-ci = fake_theseus:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / f"theseus_ci-{version}-py3-none-any.whl", "w") as made:
        for name, text in files.items():
            made.writestr(name, text)


def test_the_pinned_version_comes_from_a_wheelhouse_or_an_index(tmp_path: Path) -> None:
    wheel(tmp_path / "wheelhouse", "0.9")
    wheel(tmp_path / "index" / "theseus-ci", "1.0")
    name = "theseus_ci-1.0-py3-none-any.whl"
    page = tmp_path / "index" / "theseus-ci" / "index.html"
    page.write_text(f'<!doctype html><a href="{name}">{name}</a>')
    venv = tmp_path / "venv"
    common = {
        "THESEUS_VENV": str(venv),
        "THESEUS_INSTALL": "yes",
        "THESEUS_PYTHON": sys.executable,
        "HOME": str(tmp_path),
    }
    offline = {**common, "THESEUS_WHEELHOUSE": str(tmp_path / "wheelhouse")}
    first = script("setup.sh", **offline, THESEUS_CI_VERSION="0.9")
    assert first.returncode == 0, first.stderr
    (venv / "kept").touch()
    assert script("setup.sh", **offline, THESEUS_CI_VERSION="0.9").returncode == 0
    assert (venv / "kept").exists()
    index = {**common, "THESEUS_INDEX": (tmp_path / "index").as_uri()}
    second = script("setup.sh", **index, THESEUS_CI_VERSION="1.0")
    assert second.returncode == 0, second.stderr
    assert not (venv / "kept").exists()
    told = subprocess.check_output([venv / "bin" / "theseus-ci", "--version"], text=True)
    assert told == "theseus-ci 1.0\n"
