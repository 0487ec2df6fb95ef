"""What a measurement is made of: the load's target, slices of answers, their summary, the verdict.

The load generator writes slices, the judge reads them; neither knows the other.
"""

import math
from array import array
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from theseus_ci.errors import StateError
from theseus_ci.model import Verdict

if TYPE_CHECKING:  # a report shows what was measured, and reads no configuration
    from theseus_ci.config.performance import Performance

Version = Literal["previous", "candidate"]
QUANTILES: dict[str, float] = {"p50": 0.50, "p95": 0.95, "p99": 0.99}

SLICE = 100  # requests; larger slices see less of what drifts between them
_SMALLEST_SLICE = 10
_PAIRS_FOR_A_PASS = 30

A_PERSON_DECIDES = "onInconclusive: gate: a person must decide"

OK, BAD_STATUS, NO_CONNECTION, TIMED_OUT = range(4)
BASELINE_SCHEMA = 1
ERROR_KINDS = {BAD_STATUS: "status", NO_CONNECTION: "connection", TIMED_OUT: "timeout"}


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """A version, and the headers that route a request to it. The headers are secret."""

    version: Version
    headers: dict[str, str]

    def __repr__(self) -> str:
        return f"Arm({self.version}, headers: {', '.join(self.headers) or 'none'})"


class LoadTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Where requests go: one arm, or two that are measured side by side."""

    url: str  # of the entrypoint; its path is put before that of each request
    host: str = ""  # Host header and TLS server name; "" derives them from the URL
    arms: tuple[Arm, ...]


class BadAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An example of what went wrong."""

    request: str  # method and path
    kind: str  # a value of ERROR_KINDS
    status: int  # 0 when no answer came
    text: str  # the beginning of the body, or why no answer came


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """A run of requests to one version; the lists run parallel, in the order of sending."""

    version: Version
    started: float  # seconds of the monotonic clock: when the first request was due
    seconds: float  # from then until the last request was sent, plus one interval
    requests: "bytes | array[int]"  # which of `performance.requests`
    latencies: "array[int]"  # microseconds from the intended moment to the last byte
    lateness: "array[int]"  # microseconds from the intended moment until the generator acted
    statuses: "array[int]"  # 0 when no answer came
    outcomes: bytearray  # OK, BAD_STATUS, NO_CONNECTION, TIMED_OUT
    waited: int = 0  # requests for which no connection was free
    samples: tuple[BadAnswer, ...] = ()
    granularity: int = 1  # of the timer behind `latencies`, microseconds

    def errors(self) -> dict[str, int]:
        """Failed requests by kind; kinds without one are absent."""
        counts = {name: self.outcomes.count(kind) for kind, name in ERROR_KINDS.items()}
        return {name: count for name, count in counts.items() if count}

    def failed(self) -> int:
        """How many requests got no acceptable answer."""
        return len(self.outcomes) - self.outcomes.count(OK)

    def judged(self) -> list[int]:
        """The latencies that tell how fast the version is, microseconds.

        An answer nobody wants says nothing of speed, and a fast failure must not improve a
        quantile; a timeout is an answer at least this slow.
        """
        if not self.failed():
            return self.latencies.tolist()
        wanted = (OK, TIMED_OUT)
        return [
            value
            for value, kind in zip(self.latencies, self.outcomes, strict=True)
            if kind in wanted
        ]


class SlicePair(msgspec.Struct, frozen=True, kw_only=True):
    """One slice of each version with the same requests, in the order a coin decided.

    With a single arm, a slice alone.
    """

    index: int
    slices: tuple[Slice, ...]

    def of(self, version: Version) -> Slice | None:
        """The slice of `version`, None when it is not measured."""
        return next((one for one in self.slices if one.version == version), None)

    @property
    def ended(self) -> float:
        """Seconds of the monotonic clock."""
        return max(one.started + one.seconds for one in self.slices)


class LoadGenerator(Protocol):
    """Sends load and measures; what `performance` and `bake` ask of the world."""

    def pairs(
        self,
        target: LoadTarget,
        performance: "Performance",
        *,
        seed: int,
        stopped: Callable[[], bool],
        slice_size: int = 0,
    ) -> Iterator[SlicePair]:
        """Slices, pair by pair, until `maxDuration` has passed or nobody asks any more.

        `seed` decides order and choice of requests; `slice_size` 0 means `slice_size(performance)`.
        Raises errors.NoData when nothing can be sent at all, or when `stopped()` turns true: a
        measurement that was cut short must never be mistaken for a complete one.
        """
        ...


def slice_size(performance: "Performance") -> int:
    """Requests per slice: SLICE, fewer where the allowed time is too short for enough pairs."""
    affordable = performance.rate * performance.max_duration / (2 * _PAIRS_FOR_A_PASS)
    return max(_SMALLEST_SLICE, min(SLICE, int(affordable)))


def _looks() -> Iterator[int]:
    yield from (15, 20, 30, 40, 60, 80, 120, 160, 220, 300)
    pairs = 300.0
    while pairs < 1_000_000:  # reached only under a long minDuration
        pairs *= math.sqrt(2)
        yield round(pairs)


LOOKS = tuple(_looks())
"""After how many pairs the judge thinks; the generator goes on meanwhile."""


class LoadRun(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the generator did what it was asked to."""

    requests: int
    seconds: float  # of sending
    target_rate: float  # requests a second
    achieved_rate: float
    scheduling_error: float  # seconds, 99th percentile
    waited: int  # requests for which no connection was free
    valid: bool
    sentence: str


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """How one version answered, in figures that fit into state and report."""

    version: Version
    requests: int
    judged: int  # of them, those with a latency that counts
    errors: dict[str, int]  # by kind
    quantiles: dict[str, float]  # seconds, by name: p50, p95, p99
    intervals: dict[str, tuple[float, float]]  # seconds, in which the true quantile lies (99 %)
    histogram: tuple[tuple[float, int], ...]  # upper edge in seconds, count; edges grow by ratio
    samples: tuple[BadAnswer, ...] = ()
    course: tuple[float, ...] = ()  # seconds: p95 of one slice after the other, or of a few
    origin: str = ""  # which measurement this is, in words, where it is of an earlier rollout


class Baseline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an earlier rollout measured, as a file hands it to the next one."""

    schema: int = BASELINE_SCHEMA
    service: str
    rollout: str
    source: str  # where it was found, such as a build's URL
    versions: dict[Version, Measurement]


def read_anchor(path: Path, service: str) -> tuple[Measurement, str]:
    """What the last promoted release of `service` measured, and where that was found.

    Raises StateError, naming the file.
    """
    candidate = read_baseline(path, service=service).get("candidate")
    if candidate is None:
        raise StateError(f"{path} holds no measurement of the version that was promoted")
    source = msgspec.json.decode(path.read_bytes(), type=Baseline).source
    anchor = msgspec.structs.replace(candidate, origin="the last promoted release", course=())
    return anchor, source


def read_baseline(path: Path, *, service: str = "") -> dict[str, Measurement]:
    """The measurements in a baseline file, by version.

    Raises StateError, naming the file, also when it is another service's than `service`.
    """
    remedy = "fetch it again: theseus-ci jenkins baseline JOB --output FILE"
    try:
        data = path.read_bytes()
        schema = msgspec.json.decode(data).get("schema")
        if schema != BASELINE_SCHEMA:
            raise StateError(f"{path}: schema {schema!r} is not {BASELINE_SCHEMA}", remedy=remedy)
        found = msgspec.json.decode(data, type=Baseline)
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror}", remedy=remedy) from error
    except (msgspec.DecodeError, AttributeError, UnicodeDecodeError) as error:
        raise StateError(f"{path} is no baseline: {error}", remedy=remedy) from error
    if service and found.service != service:
        raise StateError(f"{path} is a baseline of {found.service}, not of {service}")
    if not found.versions:
        raise StateError(f"{path} holds no measurement", remedy=remedy)
    return {str(version): measured for version, measured in found.versions.items()}


class Finding(str, Enum):
    """What the numbers say."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"  # the generator could not keep up: nothing is known


class LatencyEffect(msgspec.Struct, frozen=True, kw_only=True):
    """A quantile of the candidate against the previous version's, or against the first run's."""

    quantile: str  # p50, p95, p99
    finding: Finding
    ratio: float  # candidate / reference: 1.23 is 23 % slower
    low: float | None  # interval of the ratio; None: unbounded
    high: float | None
    tolerance: float  # fraction
    candidate: float  # seconds
    reference: float  # seconds
    requests: int  # samples on both sides
    sentence: str


class ErrorEffect(msgspec.Struct, frozen=True, kw_only=True):
    """Failed requests of the candidate beside those of the previous version."""

    finding: Finding
    candidate: int
    candidate_requests: int
    previous: int
    previous_requests: int  # 0 when it is not measured
    within: bool  # whether the rates as counted, however few the requests, would be fine
    p_value: float | None  # Fisher's exact test, one-sided; None without a previous version
    sentence: str
    expected: str = ""  # in words; states of older versions have none


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What a measurement says of the candidate, and how it is known."""

    finding: Finding
    verdict: Verdict  # the finding after `rule`: what exit code and report follow
    rule: str  # the value of onInconclusive that was applied, "" when the finding is clear
    sentence: str
    latency: tuple[LatencyEffect, ...]  # empty without a previous version
    anchors: tuple[LatencyEffect, ...]  # empty without a first run
    errors: ErrorEffect
    load: LoadRun
    candidate: Measurement
    previous: Measurement | None
    accepted_by: str = ""  # who accepted what the rule `gate` left to a person

    @property
    def weak(self) -> bool:
        """Whether it passes though the numbers do not decide."""
        return self.verdict is Verdict.PASS and self.finding is not Finding.PASS
