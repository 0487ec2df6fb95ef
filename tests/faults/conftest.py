"""One sandbox for each test process; places and proxies in front of it as tests need them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.api import Api
from tests.faults.place import Place, place
from tests.faults.proxy import Proxy
from theseus_ci.sandbox.cluster import Sandbox


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A cluster whose delays are short; what tests wait for are its conditions, never its pace."""
    with Sandbox.start(
        tmp_path_factory.mktemp("faults") / "sandbox",
        gateway_delay=0.05,
        sidecar_delay=0.05,
        hpa_stabilization=0.3,
        crash_back_off=0.3,
    ) as started:
        yield started


@pytest.fixture(scope="session")
def api(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with contextlib.closing(Api(sandbox.kubeconfig, tmp_path_factory.mktemp("api"))) as made:
        yield made


@pytest.fixture
def here(sandbox: Sandbox, api: Api, tmp_path: Path) -> Iterator[Place]:
    """A running service, and the files that release its next version."""
    with place(sandbox, api, tmp_path) as made:
        yield made


@pytest.fixture
def proxy(sandbox: Sandbox, tmp_path: Path) -> Iterator[Proxy]:
    with Proxy(sandbox.kubeconfig, tmp_path) as made:
        yield made
