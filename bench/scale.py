"""What a release costs in a namespace with few and with many others, and with few and many routes.

    python -m bench.scale [--control-plane sandbox|real] [--others N N] [--routes N N] [--runs N]

Runs from the repository's root, with the sandbox extra installed. Each stage is a process of its
own, whose requests to the API server are counted on their way. `others`: Deployments of other
applications in the namespace, without pods; `routes`: entries of the VirtualService, all to the
service that is released. The runs take turns through all sizes; what is told are medians. Exits
with 1 when a stage makes more requests among many than among few.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.table import markdown
from tests.e2e import app
from tests.e2e.api import Api, Object
from tests.faults.cost import Spent, release
from tests.faults.place import Place, place
from tests.faults.proxy import Proxy
from tests.tier.servers import running
from theseus_ci.sandbox.settings import CONTROL_PLANES

CONFLICTS = 4  # a write that meets a controller's is read and written again
Size = tuple[int, int]  # other Deployments, routes
Figure = Callable[[Spent], float]
Found = dict[Size, list[dict[str, Spent]]]


def main() -> int:
    args = _parser().parse_args()
    found: Found = {}
    with _place(args.control_plane) as (here, proxy):
        for others in sorted(args.others):
            _surround(here, others)
            for run in range(args.runs):
                for routes in sorted(args.routes):
                    spent = _release(here, proxy, routes)
                    found.setdefault((others, routes), []).append(spent)
                    took = sum(one.seconds for one in spent.values())
                    print(f"{others} others, {routes} routes, {run + 1}: {took:.1f} s", flush=True)
    print(f"\nControl plane: {args.control_plane}")
    print("\nSeconds of each stage\n", _table(found, _seconds), sep="\n")
    print("\nRequests of each stage\n", _table(found, _requests), sep="\n")
    print("\nKilobytes received by each stage\n", _table(found, _kilobytes), sep="\n")
    dearer = _dearer(found)
    print(*(f"more requests among many: {stage}" for stage in dearer), sep="\n")
    return 1 if dearer else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="What a release costs in a small and large place.")
    parser.add_argument("--control-plane", choices=CONTROL_PLANES, default=CONTROL_PLANES[0])
    parser.add_argument("--others", type=int, nargs="+", default=[10, 2000], metavar="N")
    parser.add_argument("--routes", type=int, nargs="+", default=[3, 300], metavar="N")
    parser.add_argument("--runs", type=int, default=3, help="releases of each size (default 3)")
    return parser


@contextlib.contextmanager
def _place(control_plane: str) -> Iterator[tuple[Place, Proxy]]:
    with tempfile.TemporaryDirectory(prefix="theseus-scale-") as name:
        folder = Path(name)
        with (
            running(control_plane, folder / "sandbox") as sandbox,
            contextlib.closing(Api(sandbox.kubeconfig, folder)) as api,
            place(sandbox, api, folder) as here,
            Proxy(sandbox.kubeconfig, folder) as proxy,
        ):
            here.loads_anew = True
            yield here, proxy


def _surround(here: Place, others: int) -> None:
    """Other applications' Deployments, until there are so many."""
    there = {obj["metadata"]["name"] for obj in here.api.list("Deployment", here.namespace)}
    for number in range(others):
        name = f"other-{number}"
        if name not in there:
            made = app.deployment(name, "v1", replicas=0, labels={"app": name, "version": "v1"})
            here.api.create("Deployment", here.namespace, made)
    while not all(map(_settled, here.api.list("Deployment", here.namespace))):
        time.sleep(0.5)  # controllers that still see to the others would delay the release


def _settled(deployment: Object) -> bool:
    observed = (deployment.get("status") or {}).get("observedGeneration", 0)
    return bool(observed >= deployment["metadata"]["generation"])


def _release(here: Place, proxy: Proxy, routes: int) -> dict[str, Spent]:
    """The other version, through all stages, over so many routes."""
    here.apply(app.virtual_service(here.host, http=_routes(routes)))
    here.await_answer(here.running)
    spent = release(here, proxy)
    here.settle()
    return spent


def _routes(count: int) -> list[Object]:
    to_web = {"route": [{"destination": {"host": "web"}}]}
    matched = [{"match": [{"uri": {"prefix": f"/r{n}/"}}], **to_web} for n in range(count - 1)]
    return [*matched, to_web]


def _table(found: Found, figure: Figure) -> str:
    """A row for each stage, a column for each size, and the last size beside the first."""
    sizes = sorted(found)
    stages = list(found[sizes[0]][0])
    figures = {stage: [_median(found[size], stage, figure) for size in sizes] for stage in stages}
    figures["all"] = [sum(column) for column in zip(*figures.values(), strict=True)]
    head = ("stage", *(f"{others} others, {routes} routes" for others, routes in sizes), "ratio")
    rows = [
        (stage, *(f"{one:.4g}" for one in row), f"{row[-1] / row[0]:.2f}" if row[0] else "-")
        for stage, row in figures.items()
    ]
    return markdown(head, rows)


def _median(runs: list[dict[str, Spent]], stage: str, figure: Figure) -> float:
    return statistics.median(figure(run[stage]) for run in runs)


def _seconds(spent: Spent) -> float:
    return spent.seconds


def _requests(spent: Spent) -> float:
    return spent.requests


def _kilobytes(spent: Spent) -> float:
    return spent.received / 1000


def _dearer(found: Found) -> list[str]:
    """Stages that make more requests at the largest size than at the smallest."""
    least, most = found[min(found)], found[max(found)]
    return [
        stage
        for stage in least[0]
        if _median(most, stage, _requests) > _median(least, stage, _requests) + CONFLICTS
    ]


if __name__ == "__main__":
    sys.exit(main())
