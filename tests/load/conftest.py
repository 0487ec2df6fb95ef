"""Servers that end with the test, and loads for them."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import pytest

from tests.load.servers import Answer, Server, running


class Serve(Protocol):
    """Starts a server."""

    def __call__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> Server: ...


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers that end with the test."""
    with ExitStack() as stack:
        yield lambda answer, tls=None: stack.enter_context(running(answer, tls))
