"""The domain's values, frozen: what stages hand to one another and to reports."""

from enum import Enum
from typing import Any, TypeVar, cast

import msgspec

Object = dict[str, Any]
"""A Kubernetes object as the API server speaks it."""


Objects = list[Object]
"""Several of them; an alias, since ports have methods called `list`."""


T = TypeVar("T")


def clone(value: T) -> T:
    """A copy of an object, or of a part of one, that shares nothing with it which can change.

    Objects hold dicts, lists and plain values: this takes about half of copy.deepcopy's time, which
    was most of what an edit of hundreds of routes took.
    """
    if isinstance(value, dict):
        return cast(T, {key: clone(inner) for key, inner in value.items()})
    if isinstance(value, list):
        return cast(T, [clone(inner) for inner in value])
    return value


class Verdict(str, Enum):
    """What a check or a measurement says of the candidate."""

    PASS = "pass"
    FAIL = "fail"
    ERROR = "error"  # could not be found out; never counted as a pass
    SKIPPED = "skipped"  # not reached; `message` says why


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """One case of a report: what was expected, what came."""

    name: str  # the check's id: the same on every run, no versions or weights in it
    verdict: Verdict
    message: str  # one sentence, with the numbers
    seconds: float  # how long it took
    expected: str = ""
    actual: str = ""
    evidence: str = ""  # request and answer, output; capped, never a secret
    repeat: str = ""  # a command that repeats it
    remedy: str = ""  # what to do about it
    charted_seconds: float | None = None  # what JUnit's time shows instead of `seconds`
    details: dict[str, float | int | str] = {}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP answer through the mesh; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


class PodAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A pod of the candidate: its name and its address in the cluster."""

    name: str
    ip: str


class PodNetwork(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How pod addresses are reached from here, when not directly.

    Read from the kubeconfig cluster extension `theseus-ci.io/pod-network`. The networks have the
    same prefix length; ports below 1024 are moved up by `privileged_port_offset`.
    """

    from_: str = msgspec.field(name="from")
    to: str
    privileged_port_offset: int = 0


class CheckTarget(msgspec.Struct, frozen=True, kw_only=True):
    """What a smoke check may know of the release it checks.

    `secret_headers` route a request to the candidate; they must never reach a report or a log.
    """

    service: str
    namespace: str
    rollout: str
    candidate: str
    previous: str
    candidate_version: str
    previous_version: str
    entrypoint: str  # URL, "" when there is none
    host: str  # Host header, "" to derive it from the entrypoint
    secret_headers: dict[str, str]
    pods: tuple[PodAddress, ...]
    pod_network: PodNetwork | None
    weight: int  # share of production traffic the candidate carries, in percent
    reports: str  # directory for evidence and for JUnit files of bash checks


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage found: the verdict on the release, and why. Not knowing is an exception."""

    verdict: Verdict
    summary: str  # one sentence for people
    results: tuple[CheckResult, ...] = ()


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the API server says of itself."""

    version: str  # such as v1.36.3
    ahead: float  # seconds by which its clock is ahead of ours; it tells whole seconds
    seconds: float  # how long its answer took
