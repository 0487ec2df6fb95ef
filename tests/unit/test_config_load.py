"""theseus.yaml through the front door: files in, a Config or an error that names the place."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from tests.unit.config_documents import FULL, sound
from theseus_ci.config.load import config_from_dict, dump, load_config, missing_variables
from theseus_ci.config.plain import to_plain
from theseus_ci.config.types import Config
from theseus_ci.errors import EXIT_USAGE, ConfigError, StateError, UsageError
from theseus_ci.quantities import Duration, Percentage

BASE = """\
service: reviews
version: 1.4.2
entrypoint: http://127.0.0.1:8080
matchers:
  - header: {name: x-release, exact: candidate}
  - cookie: {name: tester, regex: "^(alice|bob)$"}
smoke:
  - name: health
    http: {path: /health, expect: {status: 200, json: {$.status: ok}, header: {x-a.b: "1"}}}
  - name: batch
    ssh: {host: ops@batch-1, command: "true"}
performance:
  requests: [{path: /reviews/1, weight: 3}]
  rate: 200
  tolerance: {p50: 10%}
flow: canary
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "theseus.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path | str, overrides: dict[str, str] | None = None, **more: Any) -> str:
    with pytest.raises(UsageError) as caught:
        load_config(path, overrides, **more)
    assert caught.value.exit_code == EXIT_USAGE
    return str(caught.value)


def test_a_whole_configuration(folder: Path) -> None:
    config = load_config(write(folder, BASE))
    assert config.service == "reviews"
    assert config.version == "1.4.2"
    assert config.performance is not None
    assert config.performance.tolerances()["p50"] == Percentage(0.1)
    assert config.waits.mesh == Duration(120)
    assert config.smoke[0].http is not None
    assert config.smoke[0].http.expect.json == {"$.status": "ok"}


def test_from_the_standard_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BASE.encode())))
    assert load_config("-").service == "reviews"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "status: 200",
            "status: x",
            "9:44: smoke[0].http.expect.status: expected a whole number or a list, "
            "got the text 'x'",
        ),
        (
            'x-a.b: "1"',
            "x-a.b: 1",
            '9:87: smoke[0].http.expect.header["x-a.b"]: expected text or a mapping (key: value), '
            'got the number 1; in quotes it is text: "1"',
        ),
        (
            "service: reviews",
            "servce: reviews",
            "1:1: servce: unknown key 'servce'; did you mean service?",
        ),
        ("service: reviews", "host: x.org", "1:1: the key 'service' is missing"),
        (
            "1.4.2",
            "1.10",
            '2:10: version: expected text, got the number 1.10; in quotes it is text: "1.10"',
        ),
        (
            "name: batch",
            "name: health",
            "10:11: smoke[1].name: 'health' is taken by smoke[0] already",
        ),
        (
            "exact: candidate",
            "exact: a, prefix: b",
            "5:13: matchers[0].header: needs exactly one of exact, prefix and regex; "
            "not exact and prefix",
        ),
        (
            ", exact: candidate",
            "",
            "5:13: matchers[0].header: needs exactly one of exact, prefix and regex; it has no "
            "value to compare with",
        ),
        ("exact: candidate", "exact: ''", "5:38: matchers[0].header.exact: is empty"),
        (
            "name: x-release",
            "name: x release",
            "5:20: matchers[0].header.name: 'x release' is no name that HTTP allows",
        ),
        ("^(alice|bob)$", "^(alice|bob$", "6:35: matchers[1].cookie.regex: is not a regular"),
        ("^(alice|bob)$", "(?!alice).*", "6:35: matchers[1].cookie.regex: (?!…) is a negative"),
        (
            "  - header: {name: x-release, exact: candidate}",
            "  - {}",
            "5:5: matchers[0]: is empty: give header, cookie or userAgent",
        ),
        ("weight: 3", "weight: 0", "13:41: performance.requests[0].weight: is 0: must be"),
        ("rate: 200", "rate: 20000", "14:9: performance.rate: is 20000: must be above 0"),
        ("p50: 10%", "p50: 10", "15:20: performance.tolerance.p50: 10 is not a percentage"),
        ("p50: 10%", "p50: 5000%", "15:20: performance.tolerance.p50: is 5000%: must be"),
        ("ops@batch-1", "ops@batch 1", "11:17: smoke[1].ssh.host: 'ops@batch 1' is not a host"),
        ("flow: canary", "waits: {mesh: 30}", "16:15: waits.mesh: 30 is not a duration"),
        ("flow: canary", "waits: {mesh: 0s}", "16:15: waits.mesh: must be more than 0"),
        ("flow: canary", "waits: {consecutive: 0}", "16:22: waits.consecutive: is 0: must be"),
        ("flow: canary", "firstReplicas: 0", "16:16: firstReplicas: is 0: must be 1 or more"),
        ("flow: canary", "bake: {rate: 0}", "16:14: bake.rate: is 0: must be above 0"),
        ("flow: canary", "bake: {poll: 0s}", "16:14: bake.poll: must be more than 0"),
        ("flow: canary", "flow:\t", None),
        ("flow: canary", "namespace: Book_info", "16:12: namespace: 'Book_info' must be at most"),
        ("flow: canary", "virtualServices: [a, b/c/d]", "16:22: virtualServices[1]: 'b/c/d'"),
        ("flow: canary", "virtualServices: [a, a]", "virtualServices[1]: a is in the list twice"),
        ("flow: canary", "matcher: 3", "16:1: matcher: unknown key 'matcher'; did you mean"),
        ("flow: canary", "host: http://x.org", "16:7: host: 'http://x.org' is a URL"),
        (
            "http://127.0.0.1:8080",
            "http://u:p@127.0.0.1",
            "3:13: entrypoint: must not hold a user or password",
        ),
        ("http://127.0.0.1:8080", "http://x/y", "3:13: entrypoint: 'http://x/y' must end after"),
        ("http://127.0.0.1:8080", "ftp://x", "3:13: entrypoint: 'ftp://x' is not an http://"),
        ("http://127.0.0.1:8080", "http://x:99999", "3:13: entrypoint: 'http://x:99999' is not"),
    ],
)
def test_each_mistake_with_its_place(folder: Path, old: str, new: str, message: str | None) -> None:
    assert old in BASE
    path = write(folder, BASE.replace(old, new, 1))
    if message is None:
        message = "flow: expected text, got nothing"
    assert message in refusal(path)
    assert refusal(path).startswith(f"{path}:")


def test_several_mistakes_at_once(folder: Path) -> None:
    text = BASE.replace("flow: canary", "flw: canary\nwats: {}").replace("rate: 200", "rte: 200")
    lines = refusal(write(folder, text)).splitlines()
    assert len(lines) == 3
    assert all(line.startswith(str(folder / "theseus.yaml")) for line in lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("- a\n", "1:1: expected a mapping (key: value), got a list"),
        ("reviews\n", "1:1: expected a mapping (key: value), got the text 'reviews'"),
        ("a: b\n---\nc: d\n", "3:1: a second document begins here"),
        ("service: x\nservice: y\n", "2:1: the key 'service' is here again"),
        ("service: [\n", "2:1: did not find expected node content"),
        ("service:\n\tx\n", "2:1: a tab"),
        ("service: &x [*x]\n", "contains itself"),
    ],
)
def test_files_that_hold_no_configuration(folder: Path, text: str, message: str) -> None:
    assert message in refusal(write(folder, text))


def test_files_that_cannot_be_read(folder: Path) -> None:
    assert "does not exist" in refusal(folder / "absent.yaml")
    assert "is a folder" in refusal(folder)
    binary = folder / "binary.yaml"
    binary.write_bytes(bytes(range(128, 256)))
    assert "is not UTF-8 text" in refusal(binary)
    with pytest.raises(ConfigError) as caught:
        load_config(folder / "absent.yaml")
    assert "theseus-ci init" in caught.value.remedy


def test_overrides_pass_the_same_checks_and_are_named(folder: Path) -> None:
    path = write(folder, BASE)
    config = load_config(
        path,
        {
            "entrypoint": "http://10.0.0.1",
            "version": "1.10",
            "waits.mesh": "30s",
            "firstReplicas": "2",
            "virtualServices": "a, b/c",
            "allowUnmeshed": "true",
        },
    )
    assert config.entrypoint == "http://10.0.0.1"
    assert config.version == "1.10"
    assert config.waits.mesh == Duration(30)
    assert config.first_replicas == 2
    assert config.virtual_services == ("a", "b/c")
    assert config.allow_unmeshed
    assert refusal(path, {"entrypoint": "x"}).startswith("--entrypoint: entrypoint: 'x' is not")
    source = {"entrypoint": "THESEUS_ENTRYPOINT"}
    assert refusal(path, {"entrypoint": "x"}, sources=source).startswith("THESEUS_ENTRYPOINT: ")
    assert "--first-replicas: " in refusal(path, {"firstReplicas": "many"})
    assert "did you mean entrypoint?" in refusal(path, {"entrypont": "x"})


def test_relative_paths_belong_to_the_file(folder: Path) -> None:
    application = folder / "application"
    (application / "tests").mkdir(parents=True)
    (application / "tests/run.sh").write_text("true")
    text = "service: x\nmanifest: k8s\nsmoke: [{name: a, bash: tests/run.sh}]\n"
    path = write(application, text)
    config = load_config(path)
    assert config.manifest == "application/k8s"
    assert config.smoke[0].bash == "application/tests/run.sh"
    os.chdir(application / "tests")
    config = load_config(path)
    assert config.manifest == str(application / "k8s")
    assert config.smoke[0].bash == "run.sh"
    assert load_config(path, {"manifest": "here.yaml"}).manifest == "here.yaml"
    assert load_config(path, {"manifest": "-"}).manifest == "-"


def test_one_anchor_for_two_paths_is_resolved_once_each(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub/run.sh").write_text("true")
    text = "service: x\nsmoke:\n- {name: a, bash: &b {script: run.sh}}\n- {name: b, bash: *b}\n"
    config = load_config(write(folder / "sub", text))
    assert to_plain(config)["smoke"][1]["bash"]["script"] == "sub/run.sh"


def test_files_that_checks_need_must_be_there(folder: Path) -> None:
    path = write(folder, "service: x\nsmoke: [{name: a, bash: tests/run.sh}]\n")
    assert "2:25: smoke[0].bash: there is no file tests/run.sh" in refusal(path)
    assert load_config(path, check_files=False).smoke[0].bash == "tests/run.sh"


def test_the_environment_is_used_but_never_stored(folder: Path) -> None:
    text = (
        "service: x\nentrypoint: http://${env:GATE}:8080\nwaits: {mesh: '${env:MESH}'}\n"
        "smoke:\n- name: a\n  http: {headers: {authorization: 'Bearer ${env:TOKEN}'}}\n"
        "- name: b\n  bash: {inline: 'echo ${HOME} $TOKEN'}\n"
    )
    path = write(folder, text)
    environ = {"GATE": "gate", "TOKEN": "s3cret", "MESH": "45s"}
    config = load_config(path, environ=environ)
    assert config.entrypoint == "http://gate:8080"
    assert config.waits.mesh == Duration(45)
    assert config.smoke[0].http is not None
    assert config.smoke[0].http.headers == {"authorization": "Bearer s3cret"}
    stored = json.dumps(dump(config))
    assert "s3cret" not in stored
    assert "Bearer ${env:TOKEN}" in stored
    assert "echo ${HOME} $TOKEN" in stored
    assert config_from_dict(json.loads(stored), environ) == config
    assert missing_variables(config) == []
    later = config_from_dict(json.loads(stored), {"GATE": "gate"})
    assert later.entrypoint == "http://gate:8080"
    assert later.waits.mesh == Duration(45)
    assert missing_variables(later.smoke) == ["TOKEN"]
    assert dump(later) == dump(config)
    assert (
        "6:35: smoke[0].http.headers.authorization: the environment has no variable TOKEN"
        in refusal(path, environ={"GATE": "gate", "MESH": "1s"})
    )
    malformed = write(folder, "service: x\nhost: '${env:1}.org'\n")
    assert "is written ${env:NAME}" in refusal(malformed, environ={})


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(document=sound())
def test_the_state_gives_back_the_same_configuration(
    tmp_path: Path, document: dict[str, Any]
) -> None:
    path = write(tmp_path, yaml.safe_dump(document, sort_keys=False))
    config = load_config(path, check_files=False)
    stored = json.loads(json.dumps(dump(config)))
    assert config_from_dict(stored) == config
    assert dump(config_from_dict(stored)) == stored


def test_a_state_that_cannot_be_read_is_not_the_users_fault() -> None:
    with pytest.raises(StateError, match="cannot be read"):
        config_from_dict({"service": 3})


def test_every_default_is_written_out() -> None:
    stored = dump(Config(service="x"))
    assert stored["waits"]["mesh"] == "2m"
    assert set(FULL) <= set(stored)


def test_loading_is_cheap() -> None:
    code = (
        "import sys, theseus_ci.config.load, theseus_ci.flow, theseus_ci.manifest\n"
        "slow = {'kubernetes', 'requests', 'sh', 'jenkins', 'jsonpath_ng', 'rich', 'aiohttp'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
