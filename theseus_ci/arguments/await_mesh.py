"""Help and options of `await-mesh`."""

from __future__ import annotations

import argparse

DESCRIPTION = """\
Asks every entrypoint until it shows this rollout's last edit, then until the candidate itself has
answered through the dark route (waits.consecutive answers in a row, default 3; deadline waits.mesh,
default 2m)."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""
