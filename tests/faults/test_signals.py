"""SIGTERM: no new change is begun, the state is saved, and the process ends at once, whatever it
was doing.

How long that takes on a machine with other work to do says little: what is counted here is what a
command still does after the signal. `python -m bench.signals` prints the seconds.
"""

from __future__ import annotations

import json
import signal

import pytest

from tests.e2e.world import Running
from tests.faults.place import Place
from tests.faults.proxy import Proxy
from tests.faults.stopping import HANGS, WAITS_OF, reach, reach_hanging

SAVING = [("PUT", "configmaps"), ("GET", "leases"), ("PUT", "leases")]
"""All that may follow: the save, and the lease's record of an orderly end."""


def stop(place: Place, proxy: Proxy, running: Running) -> None:
    """Send SIGTERM, and see that the command does no more than to save, and ends."""
    proxy.forget()
    running.send(signal.SIGTERM)
    done = running.wait()
    assert done.code == 143
    assert "stopped by signal 15" in done.err
    assert done.last_words[1] == "next: theseus-ci rollback"
    assert json.loads((place.folder / "theseus-state.json").read_text())["phase"] == "running"
    asked = [(call.method, call.plural) for call in proxy.calls]
    under_way, after = asked[: len(asked) - len(SAVING)], asked[-len(SAVING) :]
    assert len(under_way) <= 1, "a request that was on its way already, no other"
    assert after == SAVING[: len(after)] or asked == SAVING[: len(asked)]


@pytest.mark.parametrize("kind", WAITS_OF)
def test_it_ends_a_wait(here: Place, proxy: Proxy, kind: str) -> None:
    before = here.dump()
    stop(here, proxy, reach(here, proxy, kind))
    if kind != "for the mesh":  # nobody answers at that entrypoint, on the way back either
        here.theseus("rollback", folder=here.workspace())
        assert here.not_as(before) == []


@pytest.mark.parametrize("kind", HANGS)
def test_it_ends_while_the_api_server_hangs(here: Place, proxy: Proxy, kind: str) -> None:
    before = here.dump()
    stop(here, proxy, reach_hanging(here, proxy, kind))
    proxy.disarm()
    here.theseus("rollback", folder=here.workspace())
    assert here.not_as(before) == []
