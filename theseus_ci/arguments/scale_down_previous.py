"""Help and options of `scale-down-previous`."""

from __future__ import annotations

import argparse

DESCRIPTION = """\
Lowers the minimum of its autoscaler to 1, which then scales it down at its own pace; without an
autoscaler its Deployment is scaled to 1 directly. Refused before the version is drained."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""
