"""Names and values of the headers by which tests are routed and the mesh is observed.

Requests carry the key and where they want to go; answers carry which edit a proxy had.
"""

from __future__ import annotations

from collections.abc import Mapping

KEY = "x-theseus-key"
"""Request header: the rollout's secret. Routes that are not for everyone ask for it."""

TO = "x-theseus-to"
"""Request header: which of the rollout's own routes to take, one of the TO_ values."""

TO_CANDIDATE = "candidate"
TO_PREVIOUS = "previous"
TO_PRODUCTION = "production"
TO_MARKER = "marker"

ROLLOUT = "x-theseus-rollout"
"""Answer header: the id of the rollout whose route answered."""

EDIT = "x-theseus-edit"
"""Answer header: the number of the edit that the answering proxy has."""

VERSION = "x-theseus-version"
"""Answer header: which version the request was sent to, one of the VERSION_ values."""

VERSION_PREVIOUS = "previous"
VERSION_CANDIDATE = "candidate"


def request_headers(secret: str, to: str) -> dict[str, str]:
    """The headers that take a request to one of the rollout's own routes."""
    return {KEY: secret, TO: to}


def sees(answer_headers: Mapping[str, str], rollout: str) -> int | None:
    """The edit number that an answer proves, or None when it was not this rollout's route."""
    found = {name.lower(): value.strip() for name, value in answer_headers.items()}
    number = found.get(EDIT, "")
    if found.get(ROLLOUT) != rollout or not (number.isascii() and number.isdigit()):
        return None
    return int(number)
