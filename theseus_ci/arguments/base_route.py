"""Help and options of `base-route`."""

from __future__ import annotations

import argparse

DESCRIPTION = """\
Makes sure that the DestinationRule has a subset for the previous version, sees through a test route
that the mesh knows it, lets a new one settle (waits.settle, default 30s) for the proxies that
cannot be asked, and only then names it in production's routes, so that the candidate's pods get no
stray traffic. Installs the marker by which every later edit is observed in the mesh."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""
