"""One sandbox for each test process, and a namespace of its own for each test."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.api import Api
from tests.e2e.world import World
from theseus_ci.sandbox.cluster import Sandbox

MakeWorld = Callable[..., World]


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A cluster whose delays are short; what tests wait for are its conditions, never its pace."""
    directory = tmp_path_factory.mktemp("e2e") / "sandbox"
    with Sandbox.start(
        directory,
        gateway_delay=0.05,
        sidecar_delay=0.05,
        hpa_stabilization=0.3,
        crash_back_off=0.3,
    ) as started:
        yield started


@pytest.fixture(scope="session")
def api(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    made = Api(sandbox.kubeconfig, tmp_path_factory.mktemp("api"))
    yield made
    made.close()


@pytest.fixture
def world(sandbox: Sandbox, api: Api, tmp_path: Path) -> Iterator[World]:
    """A namespace with nothing in it, and an empty folder for theseus.yaml."""
    yield from _world(sandbox, api, tmp_path)


@pytest.fixture(scope="module")
def shared_world(
    sandbox: Sandbox, api: Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A namespace for the tests of a module that change nothing in it."""
    yield from _world(sandbox, api, tmp_path_factory.mktemp("shared"))


def _world(sandbox: Sandbox, api: Api, folder: Path) -> Iterator[World]:
    made = World(sandbox, api, f"e2e-{secrets.token_hex(4)}", folder)
    api.create("Namespace", "", {"metadata": {"name": made.namespace}})
    yield made
    made.stop()
    api.delete("Namespace", "", made.namespace)
