"""A signal ends the waiting for a server's answer, and leaves the library that waits unharmed."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from theseus_ci.clock import STOP_SIGNALS, SystemClock
from theseus_ci.errors import Interrupted
from theseus_ci.kube.cluster import KubernetesCluster
from theseus_ci.kube.connect import Connection

NOTHING: dict[str, object] = {"items": [], "metadata": {}}


class SignalledClient:
    """A client to which a stop signal comes while it holds a lock, as a connection pool does."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.signalled = threading.Event()
        self.let_go = threading.Event()

    def request(self, method: str, path: str, **options: Any) -> Any:
        assert self.lock.acquire(timeout=5), "an earlier request has left its lock locked"
        if not self.signalled.is_set():
            self.signalled.set()
            os.kill(os.getpid(), signal.SIGTERM)
            self.let_go.wait(5)
        self.lock.release()  # not reached by an exception, as where a `with` has only just begun
        return SimpleNamespace(data=json.dumps(NOTHING).encode())


@pytest.fixture
def clock() -> Iterator[SystemClock]:
    before = {number: signal.getsignal(number) for number in (*STOP_SIGNALS, signal.SIGALRM)}
    made = SystemClock()
    made.listen()
    yield made
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_in_the_middle_of_a_request_leaves_no_lock_locked(clock: SystemClock) -> None:
    client: Any = SignalledClient()
    cluster = KubernetesCluster(Connection(client, "https://test", "default", None), clock)
    with pytest.raises(Interrupted):
        cluster.list("Pod", "default")
    client.let_go.set()
    clock.forget()  # what saves the state after a signal
    assert cluster.list("Pod", "default") == []


def test_what_goes_wrong_in_a_request_is_told_to_who_waits(clock: SystemClock) -> None:
    with pytest.raises(ZeroDivisionError):
        clock.wait_for(lambda: 1 // 0)
