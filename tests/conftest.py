"""Tests that share a server stay in one test process: each module's servers start once."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.tier.servers import running
from theseus_ci.sandbox.cluster import Sandbox

# The same examples on every run of CI, so that a change answers for what it changes; new ones
# everywhere else. A slow machine is no failure on either.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("elsewhere", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "elsewhere")

WITH_SERVERS = ("sandbox", "e2e", "faults", "contract", "tier", "jenkins")


@pytest.fixture(scope="session")
def real_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One for all tests that want no servers of their own, and leave them as they are."""
    with running("real", tmp_path_factory.mktemp("real") / "sandbox") as started:
        yield started


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.nodeid.split("/")[1]
        grouped = item.get_closest_marker("xdist_group") is not None
        if folder in WITH_SERVERS and not grouped:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.split("::")[0]))
