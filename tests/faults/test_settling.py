"""Proxies that cannot be asked get their time: before they are to use something, and after."""

from __future__ import annotations

from tests.faults.place import WAITS, Place
from tests.faults.proxy import Act, Call, Fault, Proxy

SETTLE_SECONDS = 2.0
EXPLICIT = "explicit route to the previous version"


def prepare(here: Place) -> None:
    configured = (here.folder / "theseus.yaml").read_text()
    assert WAITS["settle"] in configured
    settle = f"{SETTLE_SECONDS:g}s"
    here.write(
        "theseus.yaml", configured.replace(f"settle: {WAITS['settle']}", f"settle: {settle}")
    )


def acted(here: Place, text: str) -> float:
    """When the rollout did what has this text in its name, in seconds since the epoch."""
    journal = here.state()["journal"]
    return next(float(entry["at"]) for entry in journal if text in entry["act"])


def of_routes(call: Call) -> bool:
    return call.changes and call.plural == "virtualservices"


def of_subsets(call: Call) -> bool:
    return call.changes and call.plural == "destinationrules"


def test_a_new_subset_settles_before_production_names_it(here: Place) -> None:
    """A proxy that hears of both late has the route before it has the cluster's endpoints."""
    prepare(here)
    said = {}
    for command in here.planned():
        said[" ".join(command)] = here.theseus(*command).text
        if command[0] == "shift":
            break
    waited = acted(here, EXPLICIT) - acted(here, "subset for the previous version")
    assert waited >= SETTLE_SECONDS
    assert "the new subsets" in said["base-route"]
    assert "the new subsets" not in said["shift 50"], "they have settled long ago"


def test_a_subset_whose_maker_died_settles_too(here: Place, proxy: Proxy) -> None:
    prepare(here)
    here.theseus("begin")
    process = here.start_through(proxy, "base-route")
    fault = proxy.arm(Fault(Act.KILL_AFTER, when=of_subsets, victim=lambda: process.process.pid))
    process.wait()
    assert len(fault.struck) == 1
    proxy.disarm()
    here.theseus("base-route")
    assert acted(here, EXPLICIT) - here.state()["subsetsAt"] >= SETTLE_SECONDS


def test_the_way_back_waits_for_no_subset_that_is_known(here: Place, proxy: Proxy) -> None:
    """Production names the previous version's subset anew, which has been there all the time."""
    prepare(here)
    steps = [" ".join(command) for command in here.planned()]
    here.follow(*steps[: steps.index("drain-previous")])
    process = here.start_through(proxy, "drain-previous")
    proxy.arm(Fault(Act.KILL_AFTER, when=of_routes, victim=lambda: process.process.pid))
    process.wait()
    proxy.disarm()
    said = here.theseus("rollback", folder=here.workspace()).text
    assert "all traffic to the previous version" in said
    assert "the new subsets" not in said


def test_a_process_that_died_may_have_edited_last(here: Place, proxy: Proxy) -> None:
    """Its successor cannot know since when the routes are as they are: it lets them settle."""
    prepare(here)
    steps = [" ".join(command) for command in here.planned()]
    drain = steps.index("drain-previous")
    here.follow(*steps[:drain])
    process = here.start_through(proxy, "drain-previous")
    fault = proxy.arm(Fault(Act.KILL_AFTER, when=of_routes, victim=lambda: process.process.pid))
    process.wait()
    assert len(fault.struck) == 1
    proxy.disarm()
    here.follow("drain-previous", "scale-down-previous")
    state = here.state()
    scaled = [entry["at"] for entry in state["journal"] if entry["step"] == "scale-down-previous"]
    assert scaled[0] - state["takenOverAt"] >= SETTLE_SECONDS
