"""What is told of an exception that is a mistake in this program."""

from __future__ import annotations

import sys


def tell_unforeseen(command: str) -> None:
    """Print the exception at hand, which is no TheseusError, and ask for a report of it."""
    import traceback  # noqa: PLC0415 - takes as long to import as all of --help

    traceback.print_exc()
    print(
        f"theseus-ci {command}: an error nobody foresaw; please report the lines above",
        file=sys.stderr,
    )
