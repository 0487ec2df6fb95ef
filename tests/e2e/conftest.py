"""Clusters of either kind for each test process, and a namespace of its own for each test."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.api import Api
from tests.e2e.world import World
from tests.tier.servers import SKIPPED_WITHOUT_SERVERS, running
from theseus_ci.sandbox.cluster import Sandbox

Clusters = Callable[[str], tuple[Sandbox, Api]]

EVERYWHERE = os.environ.get("THESEUS_TEST_REAL") == "all"
MARKER = "both_control_planes"
REAL = pytest.param(
    "real", marks=[SKIPPED_WITHOUT_SERVERS, pytest.mark.xdist_group("control-plane-releases")]
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Marked tests run on the sandbox and on the real servers; all do that can, where asked to."""
    marked = metafunc.definition.get_closest_marker(MARKER) is not None
    if "control_plane" in metafunc.fixturenames and (marked or EVERYWHERE):
        metafunc.parametrize("control_plane", ["sandbox", REAL], indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On the real servers, a marker's `sample` of a test's parameters is all that runs."""
    left_out = [item for item in items if not EVERYWHERE and _is_left_out(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _is_left_out(item: pytest.Item) -> bool:
    marker = item.get_closest_marker(MARKER)
    call = getattr(item, "callspec", None)
    if marker is None or call is None or call.params.get("control_plane") != "real":
        return False
    sample = marker.kwargs.get("sample")
    return sample is not None and not any(name in call.id for name in sample)


@pytest.fixture(scope="session")
def control_plane(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", "sandbox"))


@pytest.fixture(scope="session")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clusters]:
    """Each is started when it is first asked for, and stays."""
    known: dict[str, tuple[Sandbox, Api]] = {}
    with ExitStack() as stack:

        def get(kind: str) -> tuple[Sandbox, Api]:
            if kind not in known:
                folder = tmp_path_factory.mktemp(f"e2e-{kind}")
                sandbox = stack.enter_context(running(kind, folder / "sandbox"))
                api = Api(sandbox.kubeconfig, folder)
                stack.callback(api.close)
                known[kind] = sandbox, api
            return known[kind]

        yield get


@pytest.fixture(scope="session")
def sandbox(control_plane: str, clusters: Clusters) -> Sandbox:
    return clusters(control_plane)[0]


@pytest.fixture(scope="session")
def api(control_plane: str, clusters: Clusters) -> Api:
    return clusters(control_plane)[1]


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


@pytest.fixture(scope="module")
def service(shared_world: World) -> World:
    """One pod of web-v1 with users' routes; modules that need another service have their own."""
    shared_world.start_service(replicas=1)
    return shared_world


@pytest.fixture
def workspace(service: World, tmp_path: Path) -> Iterator[World]:
    """The service, and a folder of this test's own; a rollout that it leaves is taken back."""
    service.folder = tmp_path
    yield service
    if service.has("Lease", "theseus-web"):
        service.theseus("rollback", "--take-over", code=None)


def _world(sandbox: Sandbox, api: Api, folder: Path) -> Iterator[World]:
    made = World(sandbox, api, f"e2e-{secrets.token_hex(4)}", folder)
    api.create("Namespace", "", {"metadata": {"name": made.namespace}})
    yield made
    made.stop()
    api.delete("Namespace", "", made.namespace)
