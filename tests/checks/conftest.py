"""What the tests of checks have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.checks.servers import Web, web_server
from theseus_ci.checks.runner import SmokeChecker
from theseus_ci.config.smoke import SmokeCheck
from theseus_ci.model import CheckResult, CheckTarget, PodAddress, PodNetwork
from theseus_ci.quantities import Duration

SECRET = "Zk3-v9Qx_72hRwLm0pTa"


def decode(written: dict[str, Any]) -> SmokeCheck:
    """A check as the loader of theseus.yaml decodes it."""

    def quantity(kind: type, value: object) -> object:
        assert kind is Duration
        return Duration.parse(value)

    return msgspec.convert({"name": "case"} | written, SmokeCheck, dec_hook=quantity)


def make_target(reports: Path, **changes: Any) -> CheckTarget:
    values: dict[str, Any] = {
        "service": "reviews",
        "namespace": "bookinfo",
        "rollout": "r-1",
        "candidate": "reviews-v2",
        "previous": "reviews-v1",
        "candidate_version": "2.0",
        "previous_version": "1.0",
        "entrypoint": "",
        "host": "",
        "secret_headers": {"x-theseus-secret": SECRET},
        "pods": (PodAddress(name="reviews-v2-a", ip="127.0.0.1"),),
        "pod_network": None,
        "weight": 50,
        "reports": str(reports),
    }
    return CheckTarget(**(values | changes))


LOOPBACK = PodNetwork(from_="10.0.0.0/8", to="127.0.0.0/8", privileged_port_offset=20_000)

Run = Callable[..., list[CheckResult]]


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as running:
        yield running


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run checks as written in YAML, through the checker; keywords change the target."""

    def run_checks(
        *written: dict[str, Any], stopped: Callable[[], bool] = lambda: False, **changes: Any
    ) -> list[CheckResult]:
        port_names = changes.pop("port_names", None)
        parallel = changes.pop("parallel", 8)
        checker = SmokeChecker(directory=tmp_path, parallel=parallel, port_names=port_names)
        target = make_target(tmp_path / "reports", **changes)
        return checker.run([decode(check) for check in written], target, stopped=stopped)

    return run_checks


@pytest.fixture(autouse=True)
def no_secret_anywhere(tmp_path: Path) -> Iterator[None]:
    """No file that a check leaves holds the secret."""
    yield
    for path in tmp_path.rglob("*"):
        if path.is_file() and "keep-secret" not in path.name:
            assert SECRET.encode() not in path.read_bytes(), path
