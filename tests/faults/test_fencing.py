"""One rollout a service, one process a rollout: whoever comes second changes nothing."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable

import pytest

from tests.e2e.world import until
from tests.faults.place import Place
from tests.faults.proxy import Act, Call, Fault, Proxy
from tests.faults.stopping import reach

TO_THE_SHIFT = ("begin", "base-route", "deploy", "dark-route", "await-mesh", "smoke")
STATE = "theseus-state.json"


def change_of(method: str, plural: str) -> Callable[[Call], bool]:
    return lambda call: call.changes and (call.method, call.plural) == (method, plural)


def test_of_two_begins_one_wins(here: Place, proxy: Proxy) -> None:
    """Both have looked and found nobody; then both take the lease at once."""
    fault = proxy.arm(Fault(Act.HOLD, times=2, when=change_of("POST", "leases")))
    folders = [here.folder, here.workspace(whole=True)]
    both = [here.start_through(proxy, "begin", folder=folder) for folder in folders]
    until(lambda: len(fault.struck) == 2, "both are about to take the lease")
    fault.released.set()
    ended = [one.wait() for one in both]
    assert sorted(one.code for one in ended) == [0, 3]
    winner = [one.code for one in ended].index(0)
    loser = ended[1 - winner]
    assert "another rollout of this service is under way" in loser.err
    holder = rf":{both[winner].process.pid} since 20[-\d]+T[:\d]+Z \("
    assert re.search(holder, loser.err), "the holder is named, and when it came"
    kept = (folders[winner] / STATE).read_text()
    assert (
        json.loads(kept)["rollout"]
        in here.get("Lease", "theseus-web")["metadata"]["annotations"].values()
    )
    assert not (folders[1 - winner] / STATE).exists()
    assert here.stamps() == {}
    here.theseus("rollback", "--own", folder=folders[1 - winner])
    assert here.has("Lease", "theseus-web"), "the loser's rollback leaves the winner alone"
    here.theseus("rollback", folder=folders[winner])
    assert not here.has("Lease", "theseus-web")


@pytest.mark.parametrize(
    ("method", "plural", "nth"),
    [
        ("PUT", "virtualservices", 2),
        ("POST", "deployments", 1),
        ("POST", "horizontalpodautoscalers", 1),
        ("PUT", "horizontalpodautoscalers", 1),
        ("PUT", "configmaps", 9),
        ("DELETE", "deployments", 1),
    ],
)
def test_an_orphan_that_wakes_up_changes_nothing(
    here: Place, proxy: Proxy, method: str, plural: str, nth: int
) -> None:
    """It sleeps with a change on its way to the server; the way back is taken elsewhere."""
    before = here.dump()
    fault = proxy.arm(Fault(Act.HOLD, nth, when=change_of(method, plural)))
    orphan = here.start_through(proxy, "run")
    until(fault.reached.is_set, "the change is on its way")
    orphan.send(signal.SIGSTOP)
    here.theseus("rollback", folder=here.workspace())
    assert here.not_as(before) == []
    proxy.disarm()
    orphan.send(signal.SIGCONT)
    done = orphan.wait()
    assert done.code == 3, done.text
    assert "Traceback" not in done.text
    assert here.not_as(before) == [], done.text


def test_the_generation_counts_processes_without_an_end(here: Place, proxy: Proxy) -> None:
    here.follow("begin", "base-route")
    assert here.generation() == 1
    assert here.stamps() == {"VirtualService web": "1", "DestinationRule web-theseus": "1"}
    running = here.start_through(proxy, "deploy")
    proxy.arm(
        Fault(
            Act.KILL_BEFORE,
            when=change_of("POST", "deployments"),
            victim=lambda: running.process.pid,
        )
    )
    assert running.wait().code == -9
    proxy.disarm()
    said = here.theseus("deploy").out
    assert "recorded no end: it is fenced off, this is generation 2" in said
    assert here.generation() == 2
    assert set(here.stamps().values()) == {"2"}, "what may be edited later is stamped as well"
    here.follow("dark-route", "await-mesh")
    assert here.generation() == 2
    here.theseus("rollback")
    assert here.stamps() == {}


@pytest.mark.parametrize("kind", ["for pods", "for a smoke test"])
def test_a_long_wait_renews_the_lease(here: Place, proxy: Proxy, kind: str) -> None:
    waiting = reach(here, proxy, kind)
    taken = here.get("Lease", "theseus-web")["spec"]["renewTime"]
    until(
        lambda: here.get("Lease", "theseus-web")["spec"]["renewTime"] > taken,
        "the lease is renewed",
    )
    waiting.send(signal.SIGTERM)
    assert waiting.wait().code == 143


@pytest.mark.parametrize("artefact", ["older", "newer", "damaged", "of another schema"])
def test_the_clusters_copy_wins(here: Place, artefact: str) -> None:
    here.theseus("begin")
    path = here.folder / STATE
    older = path.read_text()
    here.theseus("base-route")
    newer = {**json.loads(path.read_text()), "serial": 1000, "weight": 100, "phase": "promoted"}
    contents = {
        "older": older,
        "newer": json.dumps(newer),
        "damaged": path.read_text()[:-200],
        "of another schema": json.dumps({**newer, "schema": 99}),
    }
    path.write_text(contents[artefact])
    done = here.theseus("deploy")
    assert "the cluster's" in done.out
    assert json.loads(path.read_text())["phase"] == "running"
    again = here.theseus("base-route")
    assert "done already" in again.out


def test_a_rollout_of_another_workspace_is_taken_over_only_on_demand(here: Place) -> None:
    before = here.dump()
    here.follow("begin", "rollback")
    other = here.workspace(whole=True)
    for step in ("begin", "base-route"):
        here.theseus(step, folder=other)
    theirs = here.dump()
    refused = here.theseus("rollback", code=3)
    assert "another rollout of this service is under way" in refused.err
    assert "--take-over" in refused.err
    here.theseus("rollback", code=3)
    assert here.not_as(theirs) == []
    taken = here.theseus("rollback", "--take-over")
    first, then = taken.out.index("taking over rollout"), taken.out.index("rollback: ")
    assert first < then
    assert "can change nothing more" in taken.out
    assert here.not_as(before) == []
    assert here.theseus("deploy", folder=other, code=3).err


def test_a_begin_that_died_in_the_middle_is_this_workspaces_own(here: Place, proxy: Proxy) -> None:
    """Also where the artefact of a rollout that has ended lies there still."""
    before = here.dump()
    here.follow("begin", "rollback")
    begun = here.start_through(proxy, "begin")
    proxy.arm(
        Fault(
            Act.KILL_AFTER,
            when=change_of("POST", "configmaps"),
            victim=lambda: begun.process.pid,
        )
    )
    assert begun.wait().code == -9
    with here.traffic(rate=100) as requests:
        here.theseus("rollback")
    assert here.not_as(before) == []
    assert [one for one in requests if not one.answered] == [], "no route was laid on the way back"


def test_nothing_goes_on_once_the_way_back_has_begun(here: Place, proxy: Proxy) -> None:
    before = here.dump()
    here.follow(*TO_THE_SHIFT)
    back = here.start_through(proxy, "rollback")
    proxy.arm(
        Fault(
            Act.KILL_AFTER,
            when=change_of("DELETE", "deployments"),
            victim=lambda: back.process.pid,
        )
    )
    assert back.wait().code == -9
    for command in (("run", "--resume"), ("shift", "50")):
        refused = here.theseus(*command, code=3)
        assert "a rollback of rollout" in refused.err
        assert refused.last_words[1] == "next: theseus-ci rollback"
    here.theseus("rollback")
    assert here.not_as(before) == []


@pytest.mark.parametrize("missing", ["Lease", "ConfigMap"])
def test_half_of_the_bookkeeping_is_enough_for_the_way_back(here: Place, missing: str) -> None:
    before = here.dump()
    here.follow(*TO_THE_SHIFT)
    here.api.delete(missing, here.namespace, "theseus-web")
    done = here.theseus("rollback")
    assert "was gone: made it again" in done.out
    assert here.not_as(before) == []
