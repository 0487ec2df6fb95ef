"""What the demo service is told to do, read from environment variables.

| variable | value | meaning |
|---|---|---|
| DEMO_ADDRESS, DEMO_PORT | 127.0.0.1, 8080 | where it listens; the sandbox's kubelet sets both |
| DEMO_VERSION | tag of THESEUS_IMAGE | what it calls itself in answers |
| DEMO_LATENCY | 0, 10ms, uniform(5ms, 15ms), lognormal(p50=10ms, p99=30ms) | time to answer |
| DEMO_TAIL_SHARE, DEMO_TAIL_LATENCY | 1%, 500ms | this share takes that long instead |
| DEMO_ERROR_RATE, DEMO_ERROR_STATUS | 5%, 500 | share of requests answered with this status |
| DEMO_ERROR_AFTER | 1000 | errors begin after this many requests |
| DEMO_ERROR_PATHS | /reviews/*,/health | errors only there (probes fail only if named) |
| DEMO_HANG_RATE | 1% | share of requests that never get an answer |
| DEMO_BAD_ABOVE_RATE | 100 | errors, hangs and the tail only above so many requests a second |
| DEMO_BAD_LATENCY | 200ms | replaces DEMO_LATENCY above DEMO_BAD_ABOVE_RATE |
| DEMO_STARTUP_TIME | 2s | before it listens |
| DEMO_READY_DELAY | 3s | after it listens, until /ready says 200 |
| DEMO_CRASH_AT_START | true | exits before it listens (after DEMO_STARTUP_TIME) |
| DEMO_CRASH_AFTER | 500 | exits at the request after this many |
| DEMO_CRASH_ABOVE_CONCURRENCY, DEMO_CRASH_ABOVE_RATE | 50, 200 | exits above it |
| DEMO_CRASH_EXIT_CODE | 1 | the code of each of these exits |
| DEMO_PORT_OFFSET | 1 | listens that far from the port it was given: the wrong one |
| DEMO_IGNORE_SIGTERM | true | must be killed |
| DEMO_SHUTDOWN | drain, drop | on SIGTERM: finish what is under way, or drop it at once |
| DEMO_SHUTDOWN_SERVE | 2s | how long a draining service still serves normally |
| DEMO_TCP_PORT | 6379, or a port's name | a line protocol: PING is answered with +PONG |
| DEMO_REDIRECT | / | where /redirect sends |
| DEMO_ACCESS_LOG | true | a line for each request |
| DEMO_SEED | 7 | makes the sequence of faults repeatable |

Rates and concurrency are those of one process, counted over the last second. Requests to /health,
/ready and /metrics are not counted and never delayed. Any other DEMO_ name is an error: a
misspelt fault would stage a good release.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from theseus_ci.quantities import Duration, Percentage
from theseus_ci.sandbox.demo_service.latency import Fixed, Latency, parse_latency

T = TypeVar("T")
_AT_ONCE: Latency = Fixed(0.0)


class BehaviourError(ValueError):
    """An environment variable holds what the service cannot use; the message names it."""


@dataclass(frozen=True)
class Behaviour:
    """Times in seconds, shares between 0 and 1, rates in requests a second; None: never."""

    address: str
    port: int
    version: str
    pod: str
    latency: Latency
    tail_share: float
    tail_latency: Latency
    error_rate: float
    error_status: int
    error_after: int
    error_paths: tuple[str, ...]
    hang_rate: float
    bad_above_rate: float | None
    bad_latency: Latency | None
    startup_time: float
    ready_delay: float
    crash_at_start: bool
    crash_after: int | None
    crash_above_concurrency: int | None
    crash_above_rate: float | None
    crash_exit_code: int
    ignore_sigterm: bool
    drop_on_shutdown: bool
    shutdown_serve: float
    tcp_port: int | None
    redirect: str
    access_log: bool
    seed: int | None


class _Environment:
    """Reads variables one by one and remembers which names exist."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables
        self.known: set[str] = set()

    def read(self, name: str, parse: Callable[[str], T], default: T) -> T:
        """Return the parsed value, or the default when unset or empty."""
        self.known.add(name)
        text = self.variables.get(name, "")
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as error:
            raise BehaviourError(f"{name}={text}: {error}") from None

    def is_set(self, name: str) -> bool:
        return bool(self.variables.get(name))

    def refuse_unknown(self) -> None:
        for name in sorted(self.variables):
            if name.startswith("DEMO_") and name not in self.known:
                near = difflib.get_close_matches(name, self.known, n=1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                raise BehaviourError(f"{name}: no such setting{hint}")


def _whole(low: int, high: int | None = None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.lstrip("-").isdecimal():
            raise ValueError("not a whole number")
        number = int(text)
        if number < low or (high is not None and number > high):
            raise ValueError(f"not between {low} and {'any' if high is None else high}")
        return number

    return parse


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        raise ValueError("not a number of requests a second") from None
    if not rate > 0:
        raise ValueError("a rate must be above 0")
    return rate


def _share(text: str) -> float:
    share = Percentage.parse(text)
    if share > 1:
        raise ValueError("more than 100%")
    return share


def _flag(text: str) -> bool:
    lowered = text.lower()
    if lowered in {"true", "1", "yes"}:
        return True
    if lowered in {"false", "0", "no"}:
        return False
    raise ValueError("neither true nor false")


def _shutdown(text: str) -> bool:
    if text not in {"drain", "drop"}:
        raise ValueError("neither drain nor drop")
    return text == "drop"


def _paths(text: str) -> tuple[str, ...]:
    paths = tuple(part.strip() for part in text.split(","))
    for path in paths:
        if not path.startswith("/"):
            raise ValueError(f"a path begins with /: {path!r}")
    return paths


def _optional(parse: Callable[[str], T]) -> Callable[[str], T | None]:
    return parse


def _image_tag(image: str) -> str:
    """Return the tag of an image reference, or "unknown"."""
    last = image.partition("@")[0].rsplit("/", 1)[-1]
    return last.partition(":")[2] or ("latest" if last else "unknown")


def _tcp_port(variables: Mapping[str, str]) -> Callable[[str], int]:
    """A container port, by name or number, is really served where THESEUS_PORT_… says."""

    def parse(text: str) -> int:
        folded = variables.get("THESEUS_PORT_" + text.upper().replace("-", "_"))
        if folded is None and not text.isdecimal():
            raise ValueError("no container port has this name")
        return _whole(0, 65535)(folded or text)

    return parse


def read_behaviour(variables: Mapping[str, str]) -> Behaviour:
    """Read the environment. Raises BehaviourError, which names the variable."""
    environment = _Environment(variables)
    read = environment.read
    errors_named = environment.is_set("DEMO_ERROR_AFTER") or environment.is_set("DEMO_ERROR_PATHS")
    behaviour = Behaviour(
        address=read("DEMO_ADDRESS", str, "127.0.0.1"),
        port=read("DEMO_PORT", _whole(0, 65535), 8080)
        + read("DEMO_PORT_OFFSET", _whole(-1000, 1000), 0),
        version=read("DEMO_VERSION", str, _image_tag(variables.get("THESEUS_IMAGE", ""))),
        pod=variables.get("HOSTNAME", ""),
        latency=read("DEMO_LATENCY", parse_latency, _AT_ONCE),
        tail_share=read("DEMO_TAIL_SHARE", _share, 0.0),
        tail_latency=read("DEMO_TAIL_LATENCY", parse_latency, _AT_ONCE),
        error_rate=read("DEMO_ERROR_RATE", _share, 1.0 if errors_named else 0.0),
        error_status=read("DEMO_ERROR_STATUS", _whole(400, 599), 500),
        error_after=read("DEMO_ERROR_AFTER", _whole(0), 0),
        error_paths=read("DEMO_ERROR_PATHS", _paths, ()),
        hang_rate=read("DEMO_HANG_RATE", _share, 0.0),
        bad_above_rate=read("DEMO_BAD_ABOVE_RATE", _optional(_rate), None),
        bad_latency=read("DEMO_BAD_LATENCY", _optional(parse_latency), None),
        startup_time=read("DEMO_STARTUP_TIME", Duration.parse, 0.0),
        ready_delay=read("DEMO_READY_DELAY", Duration.parse, 0.0),
        crash_at_start=read("DEMO_CRASH_AT_START", _flag, False),
        crash_after=read("DEMO_CRASH_AFTER", _optional(_whole(0)), None),
        crash_above_concurrency=read("DEMO_CRASH_ABOVE_CONCURRENCY", _optional(_whole(0)), None),
        crash_above_rate=read("DEMO_CRASH_ABOVE_RATE", _optional(_rate), None),
        crash_exit_code=read("DEMO_CRASH_EXIT_CODE", _whole(0, 255), 1),
        ignore_sigterm=read("DEMO_IGNORE_SIGTERM", _flag, False),
        drop_on_shutdown=read("DEMO_SHUTDOWN", _shutdown, False),
        shutdown_serve=read("DEMO_SHUTDOWN_SERVE", Duration.parse, 2.0),
        tcp_port=read("DEMO_TCP_PORT", _optional(_tcp_port(variables)), None),
        redirect=read("DEMO_REDIRECT", str, "/"),
        access_log=read("DEMO_ACCESS_LOG", _flag, False),
        seed=read("DEMO_SEED", _optional(_whole(0)), None),
    )
    environment.refuse_unknown()
    _refuse_idle_settings(environment, behaviour)
    return behaviour


def _refuse_idle_settings(environment: _Environment, behaviour: Behaviour) -> None:
    """A setting that would change nothing is a mistake in the staged release."""
    if behaviour.bad_above_rate is not None and not (
        behaviour.error_rate or behaviour.hang_rate or behaviour.tail_share or behaviour.bad_latency
    ):
        raise BehaviourError(
            "DEMO_BAD_ABOVE_RATE: nothing is bad above it (set DEMO_ERROR_RATE, DEMO_HANG_RATE,"
            " DEMO_TAIL_SHARE or DEMO_BAD_LATENCY)"
        )
    for name, needs in (
        ("DEMO_BAD_LATENCY", "DEMO_BAD_ABOVE_RATE"),
        ("DEMO_TAIL_SHARE", "DEMO_TAIL_LATENCY"),
        ("DEMO_TAIL_LATENCY", "DEMO_TAIL_SHARE"),
    ):
        if environment.is_set(name) and not environment.is_set(needs):
            raise BehaviourError(f"{name}: needs {needs} too")
    if not 0 <= behaviour.port <= 65535:
        raise BehaviourError(f"DEMO_PORT_OFFSET: port {behaviour.port} does not exist")
