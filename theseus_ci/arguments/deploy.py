"""Help and options of `deploy`."""

from __future__ import annotations

import argparse

DESCRIPTION = """\
Creates what comes with the candidate and does not exist yet, then its Deployment with no replicas,
then asks for the first ones (firstReplicas, default 1) and waits until they are ready
(waits.ready, default 10m). It gets no production traffic: base-route has seen to that."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""
