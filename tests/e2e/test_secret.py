"""The secret header opens the dark routes: it stands in the VirtualService and nowhere else."""

from __future__ import annotations

import json

import pytest

from tests.e2e import app
from tests.e2e.world import World


def secret_of(world: World) -> str:
    """The value as the VirtualService has it."""
    for entry in world.get("VirtualService", "web")["spec"]["http"]:
        for block in entry.get("match", []):
            value = block.get("headers", {}).get("x-theseus-key", {}).get("exact")
            if value:
                return str(value)
    raise AssertionError("no test route carries a secret")


@pytest.mark.parametrize("env", [{}, {"DEMO_ERROR_RATE": "50%"}], ids=["good", "bad"])
def test_it_appears_nowhere_else(world: World, env: dict[str, str]) -> None:
    world.start_service()
    smoke = [
        {"name": "echoes its headers", "http": {"path": "/echo", "expect": {"status": 200}}},
        {"name": "shell", "bash": {"inline": "cat $THESEUS_HEADERS_FILE; env; false"}},
    ]
    world.configure(app.deployment("web-v2", "v2", env=env), smoke=smoke)
    said = world.theseus("plan", "--diff").text
    for command in ("begin", "base-route", "deploy", "dark-route", "await-mesh"):
        said += world.theseus(command, code=None).text
    secret = secret_of(world)
    said += world.theseus("smoke", code=1).text
    said += world.theseus("status", "--json").text
    said += world.theseus("backup", "web-v1").text
    kept = json.dumps(world.get("ConfigMap", "theseus-web"))
    files = [path for path in world.folder.rglob("*") if path.is_file()]
    said += world.theseus("rollback").text
    assert len(secret) >= 24
    assert secret not in said
    assert secret not in kept
    assert [path for path in files if secret.encode() in path.read_bytes()] == []
    assert any(path.suffix == ".xml" for path in files)
