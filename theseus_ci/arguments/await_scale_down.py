"""Help and options of `await-scale-down`."""

from __future__ import annotations

import argparse

DESCRIPTION = """\
Watches the Deployment until it has one pod (deadline waits.scaleDown, default 15m: an autoscaler
waits five minutes by itself before it scales down)."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""
