"""Sandboxes of either control plane for tests, and what to do where the real one was not built."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from theseus_ci.errors import UsageError
from theseus_ci.sandbox.cluster import Sandbox
from theseus_ci.sandbox.real.binaries import find_binaries

REQUIRE = "THESEUS_REQUIRE"


def _missing() -> str:
    """What the real servers lack here, in one line; empty when they are there."""
    try:
        find_binaries()
    except UsageError as error:
        return f"{error}: {error.remedy}"
    return ""


MISSING = _missing()
REQUIRED = os.environ.get(REQUIRE) == "all"
SKIPPED_WITHOUT_SERVERS = pytest.mark.skipif(
    bool(MISSING) and not REQUIRED, reason=MISSING or "it is there"
)
REAL = [pytest.mark.xdist_group("control-plane-real"), SKIPPED_WITHOUT_SERVERS]
"""For tests on the real servers: skipped where these are absent, unless they are required; kept in
one process, since starting the servers costs."""

CONTROL_PLANES = [
    pytest.param("sandbox", marks=pytest.mark.xdist_group("control-plane-sandbox")),
    pytest.param("real", marks=REAL),
]
"""For fixtures: either control plane."""


@contextmanager
def running(control_plane: str, directory: Path) -> Iterator[Sandbox]:
    """A sandbox with short delays, where it has a say in them."""
    if control_plane == "real" and MISSING:
        pytest.fail(MISSING, pytrace=False)
    with Sandbox.start(
        directory,
        control_plane=control_plane,
        gateway_delay=0.05,
        sidecar_delay=0.05,
        hpa_stabilization=0.3,
        crash_back_off=0.3,
    ) as started:
        yield started
