"""Maven, and a cluster for the pipeline that really releases something."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.api import Api
from tests.e2e.world import World
from theseus_ci.sandbox.cluster import Sandbox


@pytest.fixture(scope="session")
def maven() -> str:
    """The program; without it the test is skipped, with one line that says why."""
    missing = [program for program in ("mvn", "javac") if shutil.which(program) is None]
    if missing:
        words = (
            f"Groovy is tested with {' and '.join(missing)} (Debian: maven, default-jdk-headless)"
        )
        if os.environ.get("THESEUS_REQUIRE") == "all":
            pytest.fail(words)
        pytest.skip(words)
    return "mvn"


@pytest.fixture
def world(maven: str, tmp_path: Path) -> Iterator[World]:
    """A namespace of a sandbox, and a folder that stands for the service's repository."""
    del maven  # nothing is started without it
    repository = tmp_path / "repository"
    repository.mkdir()
    with (
        Sandbox.start(
            tmp_path / "sandbox", gateway_delay=0.05, sidecar_delay=0.05, crash_back_off=0.3
        ) as sandbox,
        contextlib.closing(Api(sandbox.kubeconfig, tmp_path)) as api,
    ):
        api.create("Namespace", "", {"metadata": {"name": "shop"}})
        made = World(sandbox, api, "shop", repository)
        yield made
        made.stop()
