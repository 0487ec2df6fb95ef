"""Help and options of `drain-previous`."""

from __future__ import annotations

import argparse

DESCRIPTION = """\
Removes the previous version from every route, waits until the mesh shows it, then until the settle
time (waits.settle, default 30s) has passed, for the proxies that cannot be asked. Its pods stay."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""
