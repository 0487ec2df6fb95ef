"""Where the real servers were not built, and how their build goes about it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.tier.build import SOURCES

THESEUS = Path(sys.executable).with_name("theseus-ci")
UNSET = ("KUBEBUILDER_ASSETS", "THESEUS_TIER_BIN")


def _environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    return {**kept, **more}


def test_a_user_is_told_what_is_missing_and_how_to_get_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [THESEUS, "sandbox", "up", "--name", "none", "--control-plane", "real"],
        env=_environment(THESEUS_CACHE=str(tmp_path), XDG_STATE_HOME=str(tmp_path / "state")),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "needs kube-apiserver, kube-controller-manager, theseus-xds" in done.stderr
    assert "python -m tests.tier.build" in done.stderr
    assert not (tmp_path / "state" / "theseus-ci" / "sandboxes" / "none").exists()


def test_a_build_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "go").write_text("#!/bin/sh\necho no network >&2\nexit 1\n")
    (broken / "go").chmod(0o755)
    cache = tmp_path / "cache"
    done = subprocess.run(
        [sys.executable, "-m", "tests.tier.build", "--cache", str(cache)],
        cwd=SOURCES.parent.parent,
        env=_environment(PATH=f"{broken}:{os.environ['PATH']}"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert "no network" in done.stderr
    assert "error: go build of kube-apiserver ended with 1" in done.stderr
    assert [path.name for path in cache.iterdir()] == ["tier.lock"]
