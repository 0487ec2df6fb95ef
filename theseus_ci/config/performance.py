"""The `performance` part of theseus.yaml: what load to send, what of the answers is acceptable."""

import re
from collections.abc import Iterator
from typing import Literal

import msgspec

from theseus_ci.config import driver as drivers
from theseus_ci.config import workers
from theseus_ci.config.driver import Driver
from theseus_ci.quantities import Duration, Percentage

FIRST_PASS_REQUESTS = 6_000  # both versions together; judge.latency can say PASS from here on
FEWEST_FOR_PASS = 600  # where the time allows no more, in the smallest slices
LAST_LOOK_REQUESTS = 60_000
_LONGEST_RAMP = 600.0  # seconds
# Below these, no verdict within the last look for latencies with p99 / p50 = 5 (by simulation).
WORKABLE = {"p50": 0.035, "p95": 0.06, "p99": 0.11}

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PATH = r"/[\x21-\x7e]*"
_STATUS = r"([1-5])xx|([1-5]\d\d)(?:-([1-5]\d\d))?"
_OWN_HEADERS = {"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade"}


class _Part(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    pass


class Request(_Part, frozen=True):
    """One kind of request; `weight` is its share among all of them."""

    path: str
    weight: int = 1
    method: str = "GET"
    headers: dict[str, str] = {}
    body: str = ""


class Tolerance(_Part, frozen=True):
    """How much slower than the previous version is acceptable, per quantile.

    What is not given comes from the preset.
    """

    p50: Percentage | None = None
    p95: Percentage | None = None
    p99: Percentage | None = None


class ErrorRate(_Part, frozen=True):
    """Which shares of failed requests are fine, and which are not."""

    acceptable: Percentage = Percentage(0.001)
    unacceptable: Percentage = Percentage(0.01)  # told from `acceptable` by a sequential test
    limit: Percentage = Percentage(0.05)  # above it the candidate fails, however bad the previous


class LoadTls(_Part, frozen=True):
    """How an https entrypoint is verified: the system's authorities, or those in file `ca`."""

    verify: bool = True
    ca: str | None = None


class Performance(_Part, frozen=True):
    """Load through the test routes, and the tolerances it is judged by."""

    requests: tuple[Request, ...] = ()  # needed, and so is rate, unless there is a driver
    rate: float = 0.0  # requests a second, both versions together
    driver: Driver | None = None  # a load tool of the user's own, which has its own of both
    max_rate: float = 1000.0  # a typo in `rate` must not flood production
    arrivals: Literal["constant", "poisson"] = "constant"  # poisson: as independent users arrive
    ramp: Duration = Duration(0)  # the rate rises from nothing at first; those are not judged
    connections: int = 100  # open at once, per version; requests beyond it wait, and that counts
    keep_alive: bool = True  # False: every request opens, and waits for, a connection of its own
    timeout: Duration = Duration(10)  # of one request, from its intended moment
    tls: LoadTls = LoadTls()
    load: workers.Load = workers.Load()
    expect_status: int | str | tuple[int | str, ...] | None = None  # default: below 500
    tolerance: Tolerance | str | None = None  # one percentage sets all three
    anchor_tolerance: Percentage = Percentage(0.30)  # against the first run of this rollout
    anchor: str | None = None  # a baseline's file, in place of that first run
    error_rate: ErrorRate = ErrorRate()
    min_duration: Duration = Duration(0)  # no PASS earlier: rare pauses need time to show
    max_duration: Duration = Duration(600)
    on_inconclusive: Literal["weak", "fail", "gate"] = "weak"
    preset: Literal["normal", "quick"] = "normal"
    max_scheduling_error: Duration = Duration(0.001)  # 99th percentile; beyond it a run is invalid
    min_achieved: Percentage = Percentage(0.99)  # of the rate; below it a run is invalid

    def tolerances(self) -> dict[str, float]:
        """Fraction by quantile name. Raises ValueError when `tolerance` is no percentage."""
        usual = _PRESETS[self.preset]
        given = self.tolerance
        if given is None:
            return dict(usual)
        if isinstance(given, str):
            return dict.fromkeys(usual, float(Percentage.parse(given)))
        chosen = {"p50": given.p50, "p95": given.p95, "p99": given.p99}
        return {name: float(usual[name] if own is None else own) for name, own in chosen.items()}

    def expected_statuses(self) -> frozenset[int]:
        """Statuses that are no error. Raises ValueError when `expectStatus` cannot be read."""
        given = self.expect_status
        if given is None:
            return frozenset(range(100, 500))
        many = given if isinstance(given, tuple) else (given,)
        return frozenset(status for one in many for status in _statuses(str(one)))


_PRESETS = {
    "normal": {"p50": 0.10, "p95": 0.15, "p99": 0.25},
    "quick": {"p50": 0.20, "p95": 0.25, "p99": 0.40},
}


def _statuses(text: str) -> range:
    match = re.fullmatch(_STATUS, text)
    if match is None:
        raise ValueError(f"{text!r} is no status: write 200, 2xx or 200-399")
    hundred, first, last = match.groups()
    if hundred:
        return range(int(hundred) * 100, int(hundred) * 100 + 100)
    return range(int(first), int(last or first) + 1)


def validate(performance: Performance) -> Iterator[tuple[str, str]]:
    """What cannot be carried out as written: (key path below `performance`, message)."""
    if performance.driver is None:
        yield from _validate_requests(performance.requests)
    else:
        yield from drivers.validate(performance.driver)
        if performance.load.workers:
            yield "driver", "runs in this process: drop load.workers, or the driver"
    yield from _validate_load(performance)
    yield from _validate_judging(performance)


def _validate_requests(requests: tuple[Request, ...]) -> Iterator[tuple[str, str]]:
    if not requests:
        yield "requests", "is empty: name at least one request, such as {path: /health}"
    for index, request in enumerate(requests):
        at = f"requests[{index}]"
        if not re.fullmatch(_PATH, request.path):
            yield f"{at}.path", f"{request.path!r} must start with / and hold no blanks"
        if not 1 <= request.weight <= 10_000:
            yield f"{at}.weight", f"is {request.weight}: must be 1 to 10000"
        if not re.fullmatch(_TOKEN, request.method):
            yield f"{at}.method", f"{request.method!r} is no HTTP method"
        for name, value in request.headers.items():
            if not re.fullmatch(_TOKEN, name):
                yield f"{at}.headers", f"{name!r} is no header name"
            elif name.lower() in _OWN_HEADERS:
                yield f"{at}.headers.{name}", "is set by the load generator itself"
            elif not value.isprintable() or not value.isascii():
                yield f"{at}.headers.{name}", "must hold printable ASCII characters only"


def _validate_load(performance: Performance) -> Iterator[tuple[str, str]]:
    if not 0 < performance.max_rate <= 100_000:
        yield "maxRate", f"is {performance.max_rate:g}: must be above 0 and at most 100000"
    if performance.driver is None and not 0 < performance.rate <= performance.max_rate:
        yield (
            "rate",
            f"is {performance.rate:g}: must be above 0 and at most maxRate, "
            f"{performance.max_rate:g} requests a second",
        )
    if not 1 <= performance.connections <= 10_000:
        yield "connections", f"is {performance.connections}: must be 1 to 10000"
    if not performance.timeout > 0:
        yield "timeout", "must be above 0"
    if not performance.max_duration > 0:
        yield "maxDuration", "must be above 0"
    if not 0 <= performance.ramp <= _LONGEST_RAMP:
        yield "ramp", f"is {performance.ramp}: must be 0s to {Duration(_LONGEST_RAMP)}"
    if performance.min_duration > performance.max_duration:
        yield (
            "minDuration",
            f"{performance.min_duration} is longer than maxDuration, {performance.max_duration}",
        )
    for key, message in workers.validate(performance.load):
        yield f"load.{key}", message
    if not performance.max_scheduling_error > 0:
        yield "maxSchedulingError", "must be above 0"
    if not 0 < performance.min_achieved <= 1:
        yield "minAchieved", f"is {performance.min_achieved}: must be above 0 % and at most 100 %"


def _validate_judging(performance: Performance) -> Iterator[tuple[str, str]]:
    try:
        if not performance.expected_statuses():
            yield "expectStatus", "allows no status at all"
    except ValueError as error:
        yield "expectStatus", str(error)
    try:
        tolerances = performance.tolerances()
        if isinstance(performance.tolerance, str):
            tolerances = {"": tolerances["p50"]}
        for name, tolerance in tolerances.items():
            if not 0 < tolerance <= 10:
                yield (
                    f"tolerance.{name}".rstrip("."),
                    f"is {Percentage(tolerance)}: must be above 0 % and at most 1000 %",
                )
    except ValueError as error:
        yield "tolerance", str(error)
    if not 0 < performance.anchor_tolerance <= 10:
        yield (
            "anchorTolerance",
            f"is {performance.anchor_tolerance}: must be above 0 % and at most 1000 %",
        )
    rates = performance.error_rate
    if not 0 < rates.acceptable < rates.unacceptable <= rates.limit <= 1:
        yield (
            "errorRate",
            f"needs 0 % < acceptable ({rates.acceptable}) < unacceptable ({rates.unacceptable}) "
            f"<= limit ({rates.limit}) <= 100 %",
        )


def warnings(performance: Performance) -> Iterator[tuple[str, str]]:
    """What can be carried out but will hardly lead to a clear verdict: (key path, message)."""
    for name, tolerance in performance.tolerances().items():
        if tolerance < WORKABLE[name]:
            yield (
                "tolerance" if isinstance(performance.tolerance, str) else f"tolerance.{name}",
                f"{Percentage(tolerance)} of {name} is finer than {LAST_LOOK_REQUESTS} requests "
                f"can tell for latencies with a tail: expect runs that do not decide, or allow "
                f"{Percentage(_PRESETS['normal'][name])}",
            )
    possible = int(performance.rate * performance.max_duration)
    if performance.driver is None and possible < FIRST_PASS_REQUESTS:
        for_pass = (
            f"slices are smaller instead of {FIRST_PASS_REQUESTS} being sent, and tell less of p99"
            if possible >= FEWEST_FOR_PASS
            else f"a clear pass needs {FEWEST_FOR_PASS} at least, and {FIRST_PASS_REQUESTS} to "
            "tell much of p99"
        )
        yield (
            "maxDuration",
            f"allows {possible} requests at {performance.rate:g} a second: {for_pass}",
        )
