"""What a release asks of the API server, stage by stage.

Shared by the test that holds each stage to its price and by `python -m bench.scale`.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from tests.faults.place import Place
from tests.faults.proxy import Call, Proxy


@dataclass(frozen=True)
class Spent:
    """One stage, as a process of its own. `received`: bytes of the server's answers."""

    calls: list[Call]
    seconds: float
    received: int

    @property
    def requests(self) -> int:
        """Those that do not depend on how long a wait takes."""
        waited = any(call.watch for call in self.calls)
        return sum(not call.watch and not (call.lists and waited) for call in self.calls)

    @property
    def watches(self) -> int:
        return sum(call.watch for call in self.calls)

    def __str__(self) -> str:
        return str(Counter(map(str, self.calls)))


def release(here: Place, proxy: Proxy) -> dict[str, Spent]:
    """Every command of a release, and what it asked."""
    spent = {}
    for command in here.planned():
        proxy.forget()
        started = time.monotonic()
        here.theseus(*command, kubeconfig=proxy.kubeconfig)
        took = time.monotonic() - started
        spent[" ".join(command)] = Spent(list(proxy.calls), took, proxy.received)
    return spent
