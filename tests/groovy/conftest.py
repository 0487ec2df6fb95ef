"""Maven, or a word on why not."""

from __future__ import annotations

import os
import shutil

import pytest


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
