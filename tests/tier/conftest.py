"""One real control plane for all tests of this folder, and a namespace for each."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.api import Api
from tests.e2e.world import World
from theseus_ci.sandbox.cluster import Sandbox


@pytest.fixture(scope="session")
def real(real_servers: Sandbox) -> Sandbox:
    return real_servers


@pytest.fixture(scope="session")
def api(real: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    made = Api(real.kubeconfig, tmp_path_factory.mktemp("tier-api"))
    yield made
    made.close()


@pytest.fixture
def world(real: Sandbox, api: Api, tmp_path: Path) -> Iterator[World]:
    """A namespace with nothing in it, and an empty folder for theseus.yaml."""
    made = World(real, api, f"tier-{secrets.token_hex(4)}", tmp_path)
    api.create("Namespace", "", {"metadata": {"name": made.namespace}})
    yield made
    made.stop()
    api.delete("Namespace", "", made.namespace)
