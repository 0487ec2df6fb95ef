"""The comparisons: each returns a table, its head first."""

from __future__ import annotations

from collections.abc import Sequence

from bench.load.clients import Client, Run
from bench.load.servers import answered, envoy, known, truth

_CONNECTIONS = 16
_RATES = (500, 1000, 2000, 4000, 6000, 8000, 10_000, 12_000, 15_000, 18_000)
_SHORT = 1.0  # seconds of the run that shows what starting costs
_ON_TIME = 0.001  # seconds
_ATTEMPTS = 2
_PACE = 500.0  # requests a second
_USERS = 100  # connections, enough that none is the bottleneck without a stall
_STALL_AT = 2.0


def saturation(clients: Sequence[Client], seconds: float) -> list[list[str]]:
    """Saturation: Envoy's own answers over 16 connections, starting costs taken off"""
    rows: list[tuple[str, float, float]] = []
    with envoy() as (url, counters):
        for client in clients:
            short = _counted(client, url, counters, _SHORT)
            long = _counted(client, url, counters, _SHORT + seconds)
            requests, cpu, elapsed = (more - less for more, less in zip(long, short, strict=True))
            rows.append((client.name, requests / elapsed, requests / cpu))
    ours = rows[0][2]
    table = [["client", "requests/s", "requests per CPU-second", "ours / it"]]
    return table + [
        [name, f"{rate:.0f}", f"{cost:.0f}", f"{ours / cost:.2f}"] for name, rate, cost in rows
    ]


def _counted(client: Client, url: str, counters: str, seconds: float) -> tuple[float, ...]:
    """Requests as Envoy counts them, and the client's CPU-seconds and seconds."""
    before = answered(counters)
    outcome = client.saturate(url, seconds, _CONNECTIONS)
    return answered(counters) - before, outcome.cpu, outcome.elapsed


def schedule(clients: Sequence[Client], seconds: float) -> list[list[str]]:
    """Highest rate at which 99 % of the requests leave within 1 ms of their moment"""
    table = [["client", "requests/s", "scheduling error p99 there", "ours / it"]]
    best: list[tuple[str, int, float]] = []
    with envoy() as (url, _):
        for client in clients:
            if client.paced is None or not client.reports_lateness:
                continue
            best.append((client.name, *_highest(client, url, seconds)))
    ours = best[0][1]
    for name, rate, late in best:
        ratio = f"{ours / rate:.1f}" if rate else "-"
        table.append([name, str(rate) if rate else "none", f"{late * 1e3:.2f} ms", ratio])
    return table


def _highest(client: Client, url: str, seconds: float) -> tuple[int, float]:
    found, at = 0, float("nan")
    for rate in _RATES:
        late = min(_lateness(client, url, rate, seconds / 2) for _ in range(_ATTEMPTS))
        if late >= _ON_TIME:
            return (found, at) if found else (0, late)
        found, at = rate, late
    return found, at


def _lateness(client: Client, url: str, rate: float, seconds: float) -> float:
    assert client.paced is not None
    late = client.paced(url, rate, seconds, _USERS).late
    assert late is not None
    return late


def accuracy(clients: Sequence[Client], seconds: float) -> list[list[str]]:
    """Accuracy at 500/s: what a client says less what the server knows, in ms"""
    table = [["client", "p50 error", "p99 error", "share of a core"]]
    with known() as url:
        for client in clients:
            if client.paced is None:
                continue
            short = client.paced(url, _PACE, _SHORT, _USERS)
            truth(url)
            long = client.paced(url, _PACE, _SHORT + seconds, _USERS)
            true = truth(url)
            core = max(long.cpu - short.cpu, 0.0) / seconds
            errors = [_error(long.p50, true["p50"]), _error(long.p99, true["p99"])]
            table.append([client.name, *errors, f"{core:.1%}"])
    return table


def _error(said: float | None, true: float) -> str:
    return "-" if said is None else f"{(said - true) * 1e3:+.2f}"


def stall(clients: Sequence[Client], seconds: float) -> list[list[str]]:
    """A server that answers nothing for a second, at 500/s: the p99 that is told"""
    length = _STALL_AT + 1 + seconds
    ideal = 1.0 - 0.01 * length  # the longest waits are those of the stall's first requests
    table = [["client", "p99", f"ideal {ideal * 1e3:.0f} ms less it", "never sent"]]
    for client in clients:
        if client.paced is None or not client.reports_latency:
            continue
        with known(stall_from=_STALL_AT) as url:
            outcome: Run = client.paced(url, _PACE, length, _USERS)
        p99 = outcome.p99 or 0.0
        missed = f"{(ideal - p99) * 1e3:+.0f} ms"
        table.append([client.name, f"{p99 * 1e3:.0f} ms", missed, str(outcome.dropped)])
    return table
