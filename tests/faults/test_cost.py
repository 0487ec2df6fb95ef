"""What a release asks of the API server: so many requests a stage, whatever else is there."""

from __future__ import annotations

from tests.e2e import app
from tests.faults.cases import watches
from tests.faults.cost import release
from tests.faults.place import Place
from tests.faults.proxy import Act, Fault, Proxy

COLLECTIONS_OF_OTHERS = {"virtualservices", "destinationrules"}  # begin finds who routes here
LISTED_ONCE = COLLECTIONS_OF_OTHERS | {"horizontalpodautoscalers", "canaries", "rollouts"}
CONFLICT = 2  # a write that meets a controller's is read and written again
WATCHES_A_WAIT = 3  # a watch that ends is opened anew; pods are looked at between two of them
REFUSED_WATCHES = 30  # in some seconds, the pause between two doubling; hundreds without one
AT_MOST = {
    # requests besides those of waits, in the order of the stages
    "begin": 20,
    "base-route": 22,
    "deploy": 16,
    "dark-route": 16,
    "await-mesh": 10,
    "smoke --step smoke-dark": 11,
    "autoscale": 15,
    "shift 50": 19,
    "shift 100": 19,
    "drain-previous": 15,
    "scale-down-previous": 12,
    "await-scale-down": 10,
    "promote": 35,
}


def test_every_stage_has_its_price(here: Place, proxy: Proxy) -> None:
    alone = release(here, proxy)
    here.settle()
    others = [
        app.deployment(f"other-{n}", "v1", replicas=0, labels={"app": f"o{n}"}) for n in range(50)
    ]
    here.apply(*others)
    among_others = release(here, proxy)
    assert set(alone) == set(AT_MOST)
    for spent in (alone, among_others):
        for stage, limit in AT_MOST.items():
            assert spent[stage].requests <= limit + CONFLICT, (stage, str(spent[stage]))
            assert spent[stage].watches <= WATCHES_A_WAIT, stage
            wide = {one.plural for one in spent[stage].calls if one.lists and not one.selector}
            assert wide <= (LISTED_ONCE if stage == "begin" else set()), stage


def test_a_watch_that_is_refused_is_not_asked_for_at_once_again(here: Place, proxy: Proxy) -> None:
    here.write("candidate.yaml", app.candidate(here.candidate, DEMO_READY_DELAY="3s"))
    here.theseus("begin")
    here.theseus("base-route")
    proxy.arm(Fault(Act.ANSWER, times=1000, when=watches, status=410))
    here.theseus("deploy", kubeconfig=proxy.kubeconfig)
    assert sum(call.watch for call in proxy.calls) <= REFUSED_WATCHES
