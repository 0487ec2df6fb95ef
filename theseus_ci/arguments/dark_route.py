"""Help and options of `dark-route`."""

from __future__ import annotations

import argparse

DESCRIPTION = """\
Adds the candidate's subset, then a twin of every production route that sends to the service: the
same match, rewrite, timeout and retries, but only for requests with this rollout's secret header
(automated tests) or one of the matchers of theseus.yaml (people), and to the candidate."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""
