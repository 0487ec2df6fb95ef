"""The demo from first line to last: a place, traffic, a good release, a bad one, the end."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from theseus_ci.demo.children import RunningTraffic, command_line, traffic
from theseus_ci.demo.place import Dump, Place, differences, write_files
from theseus_ci.demo.result import Check, Release
from theseus_ci.demo.traffic import sentence
from theseus_ci.errors import CannotKnow, UsageError
from theseus_ci.rollout.artefact import read_artefact
from theseus_ci.sandbox.cluster import Sandbox
from theseus_ci.sandbox.layout import named_directory

QUIET_SECONDS = 2.0  # of traffic before and after the releases, for the picture
LOAD = 200.0  # requests a second that the performance check sends to both versions together
MEASURED_SECONDS = 4.5  # of each performance check
SECONDS_AT_ONE_PERCENT = 30.0  # more than that part of a release takes
PODS = 3
OUR_FOLDERS = ("setup", "good", "bad")
TRAFFIC_FILE = "traffic.csv"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What the user chose; rate in requests a second."""

    name: str
    rate: float
    keep: bool
    reports: Path


def play(options: Options, tell: Tell) -> list[Release]:
    """Both releases; the place is taken down whatever happens, unless it is to be kept.

    Raises TheseusError, and what a signal raises.
    """
    folder = options.reports.resolve()
    _make_room(folder)
    with _sandbox(options, tell) as sandbox:
        setup = folder / "setup"
        write_files(
            setup,
            gateway=sandbox.gateway,
            manifest="good.yaml",
            load=f"{LOAD:g}",
            longest=f"{MEASURED_SECONDS:g}s",
            runs_dry_after=f"{_runs_dry_after(options.rate):.0f}",
        )
        place = Place(sandbox.kubeconfig, sandbox.gateway)
        tell("three pods of v1 behind a gateway")
        place.set_up(setup / "base.yaml")
        tell(f"traffic: {options.rate:g} requests a second through {sandbox.gateway}, from now on")
        with traffic(sandbox.gateway, options.rate, folder / TRAFFIC_FILE) as users:
            return _two_releases(folder, sandbox, place, users, tell)


def _runs_dry_after(rate: float) -> float:
    """Requests that one pod of the bad release still answers well: what it gets at 1 % of the
    traffic, measurement included, and some more. Half of the traffic uses that up, be the machine
    quick or slow."""
    measured = MEASURED_SECONDS * LOAD / 2
    light = SECONDS_AT_ONE_PERCENT * rate / 100
    return (measured + light) / PODS + 50


def _two_releases(
    folder: Path, sandbox: Sandbox, place: Place, users: RunningTraffic, tell: Tell
) -> list[Release]:
    first, kept = place.dump(), place.bookkeeping()
    users.await_more(QUIET_SECONDS)
    good = _release(folder, sandbox, "good", ("v1", "v2"), tell)
    second, kept_then = place.dump(), place.bookkeeping()
    begin_bad = time.time()
    bad = _release(folder, sandbox, "bad", ("v2", "v3"), tell)
    third, kept_last = place.dump(), place.bookkeeping()
    users.await_more(QUIET_SECONDS)
    requests = users.end()
    good.requests = [request for request in requests if request.due < begin_bad]
    bad.requests = [request for request in requests if request.due >= begin_bad]
    tell(sentence(requests))
    good.checks = [
        *good.common_checks(),
        Check("no version answered with an error", not good.failed_by_version),
        *_after_good(first, second),
        _nothing_left(kept, kept_then),
    ]
    changed = differences(second, third)
    bad.checks = [
        *bad.common_checks(),
        Check("v2 answered with no error", not bad.failed_by(bad.previous)),
        Check("it passed its smoke test in the dark", bad.passed("smoke-dark")),
        Check(
            "it was stopped at 50 %",
            bad.passed("shift-half") and bool(bad.failed_step) and "shift-full" not in bad.steps,
            f"by {bad.failed_step or 'nothing'}",
        ),
        Check("every object is as it was before", not changed, "; ".join(changed)),
        _nothing_left(kept, kept_last),
    ]
    return [good, bad]


def _release(
    folder: Path, sandbox: Sandbox, kind: str, versions: tuple[str, str], tell: Tell
) -> Release:
    """Run the real command line once, as a user would."""
    previous, candidate = versions
    title = f"{kind} {previous} → {candidate}"
    arguments = ["run", "--config", "../setup/theseus.yaml", "--manifest", f"../setup/{kind}.yaml"]
    tell(f"{title}: $ theseus-ci {' '.join(arguments)}")
    (folder / kind).mkdir()
    started = time.monotonic()
    code = command_line(
        [*arguments, "--kubeconfig", str(sandbox.kubeconfig)],
        directory=folder / kind,
        log=folder / kind / "run.log",
        tell=lambda line: tell(f"  {line}"),
    )
    took = time.monotonic() - started
    state = read_artefact(folder / kind / "theseus-state.json")
    if state is None:
        raise CannotKnow(f"{title} left no state: it failed before it began, with exit code {code}")
    tell(f"{title}: exit code {code} after {took:.1f} s")
    return Release(
        title=title,
        previous=previous,
        candidate=candidate,
        expected=0 if kind == "good" else 1,
        exit_code=code,
        seconds=took,
        state=state,
    )


def _after_good(before: Dump, after: Dump) -> Iterator[Check]:
    """Only v2 is left, and routes are as simple as they were."""
    deployments = sorted(name for name in after if name.startswith("Deployment "))
    yield Check("only v2 is left", deployments == ["Deployment greeter-v2"], ", ".join(deployments))
    kinds = ("Service ", "VirtualService ", "DestinationRule ")
    routes = [
        {name: what for name, what in dump.items() if name.startswith(kinds)}
        for dump in (before, after)
    ]
    yield Check("the routes are as they were", routes[0] == routes[1])


def _nothing_left(before: set[str], after: set[str]) -> Check:
    left = sorted(after - before)
    return Check("no lease and no state is left in the cluster", not left, ", ".join(left))


def _make_room(folder: Path) -> None:
    """Remove what an earlier demo left in its folder, and nothing else. Raises UsageError."""
    try:
        for name in OUR_FOLDERS:
            if (folder / name).exists():
                shutil.rmtree(folder / name)
        (folder / "setup").mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error}") from error


@contextmanager
def _sandbox(options: Options, tell: Tell) -> Iterator[Sandbox]:
    """A sandbox of the demo's own; with --keep it outlives the demo, in the place of its name."""
    with ExitStack() as stack:
        if options.keep:
            directory = named_directory(options.name)
        else:
            temporary = TemporaryDirectory(prefix="theseus-demo-")
            directory = Path(stack.enter_context(temporary)) / "sandbox"
            stack.callback(Sandbox(directory).stop)
        tell("a sandbox: an API server, controllers, pods as processes, and a real Envoy")
        sandbox = Sandbox.start(
            directory,
            name=options.name,
            outlive_us=options.keep,
            hpa_stabilization=1.0,
            progress=lambda line: tell(f"  {line}"),
        )
        yield sandbox
