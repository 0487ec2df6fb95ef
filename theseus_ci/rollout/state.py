"""The state of one rollout: what stages hand to one another, and what Jenkins archives.

It says what was decided and what has been done; it never holds a secret, raw samples or evidence.
Weights are not state: where traffic goes is read from the VirtualServices whenever it matters.

Annotations are values here, and in the modules of the parts, not texts as elsewhere: msgspec would
compile every one of them in each process that reads a state.
"""

from typing import Any

import msgspec

from theseus_ci.errors import StateError
from theseus_ci.measure import Judgement, Measurement
from theseus_ci.model import CheckResult, Verdict
from theseus_ci.plan import Plan

SCHEMA = 1
PHASE_RUNNING = "running"
PHASE_FAILED = "failed"
PHASE_PROMOTING = "promoting"
PHASE_PROMOTED = "promoted"
PHASE_ROLLING_BACK = "rolling back"
PHASE_ROLLED_BACK = "rolled back"
ENDED = frozenset({PHASE_PROMOTED, PHASE_ROLLED_BACK})


class Value(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Base of the parts that never change once written."""


class Ref(Value, frozen=True):
    """Which object."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Version(Value, frozen=True):
    """One version of the service: its Deployment, its label values for people, its autoscaler."""

    deployment: str
    label: str  # what people call it: version label, image tag or the Deployment's name
    pod_labels: dict[str, str]  # select exactly this version's pods
    hpa: str | None = None

    def with_hpa(self, name: str) -> "Version":
        """The same version with an autoscaler."""
        return msgspec.structs.replace(self, hpa=name)


class Before(Value, frozen=True):
    """What rollback must restore of the previous version; never a pod template."""

    replicas: int
    paused: bool
    hpa_min: int | None = None
    hpa_max: int | None = None
    hpa_rest: str = ""  # digest of what the autoscaler says besides


class Subset(Value, frozen=True):
    """A version's subset in the DestinationRule; `owned` when this rollout creates it."""

    name: str
    labels: dict[str, str]
    owned: bool
    stands_for: str = ""  # the user's subset whose traffic policy it copies


class Routes(Value, frozen=True):
    """The mesh objects that take part, as begin found them."""

    virtual_services: tuple[Ref, ...]
    destination_rule: Ref
    created: tuple[Ref, ...]  # those among them that this rollout creates
    previous: Subset | None
    candidate: Subset
    replaces: tuple[str, ...] = ()  # user's subsets that cannot tell the versions apart
    hosts: tuple[str, ...] = ()  # of a VirtualService that this rollout creates
    tcp_ports: tuple[int, ...] = ()  # the same, where the service speaks no HTTP
    traffic_policy: dict[str, Any] | None = None  # of a DestinationRule that this rollout creates

    def with_candidate(self, candidate: Subset) -> "Routes":
        """The same objects with another subset for the candidate."""
        return msgspec.structs.replace(self, candidate=candidate)


class JournalEntry(msgspec.Struct, rename="camel", kw_only=True):
    """One act: written before it (`outcome` empty) and again after it."""

    at: float  # seconds since the epoch
    step: str
    act: str
    outcome: str = ""


class StepRecord(Value, frozen=True):
    """One finished step; check results without their evidence."""

    id: str
    verdict: Verdict
    summary: str
    started: float
    seconds: float
    weight: int  # the candidate's share of production traffic afterwards
    results: tuple[CheckResult, ...] = ()
    reopened: bool = False  # traffic has been lower since: it is to be done again


class GateAnswer(Value, frozen=True):
    """What a person said when the plan asked for consent before a step."""

    step: str
    approved: bool
    by: str  # as whoever asked knows them; "" where that cannot be found out
    at: float  # seconds since the epoch
    comment: str = ""  # such as "rejected", "no answer in 24 h"


class State(msgspec.Struct, rename="camel", kw_only=True):
    """Everything about one rollout; see the module's docstring."""

    schema: int = SCHEMA
    theseus: str
    rollout: str
    service: str
    namespace: str
    holder: str
    generation: int = 1
    serial: int = 0  # grows with every save
    started: float
    phase: str = PHASE_RUNNING
    config: dict[str, Any]
    config_folder: str = "."
    manifest_digest: str = ""
    plan: Plan
    previous: Version | None
    candidate: Version
    before: Before | None
    selector: dict[str, str] = {}  # of the Service, when the rollout began
    wanted_replicas: int  # of the candidate at full traffic, where no autoscaler decides
    candidate_hpa_min: int | None = None  # its own minimum; raised while the rollout runs
    candidate_hpa_max: int | None = None  # its own maximum, likewise
    candidate_hpa_copied: bool = False  # from the previous version's, not from the manifest
    overlapping: bool = False  # selectors overlap: explicit replicas until the end
    routes: Routes
    edit: int = 0  # number of the last edit of the routes
    edited_at: float = 0.0
    subsets_at: float = 0.0  # when subsets were last added
    taken_over_at: float = 0.0  # from a process that recorded no end
    weight: int = 0  # the candidate's share as last asked for
    previous_routed: bool = True
    candidate_routed: bool = False
    written: dict[str, list[int]] = {}  # replicas and bounds this rollout wrote; see rollout.users
    touches: tuple[Ref, ...] = ()  # existing objects this rollout may edit
    adopted: list[Ref] = []  # those that carry its stamp
    created: list[Ref] = []  # objects it has created, besides routes
    steps: list[StepRecord] = []
    journal: list[JournalEntry] = []
    baseline: dict[str, Measurement] = {}  # this rollout's first run
    anchor: Measurement | None = None  # an earlier rollout's, in place of it
    judgements: dict[str, Judgement] = {}  # by step, the last of each; for the report
    gates: list[GateAnswer] = []  # answers, in the order they came
    notes: list[str] = []  # drift and other facts people should know

    def passed(self) -> set[str]:
        """Ids of the steps that have passed or were skipped."""
        return {step.id for step in self.steps if step.verdict in (Verdict.PASS, Verdict.SKIPPED)}

    def done(self) -> set[str]:
        """Those among them that need not be done again."""
        return self.passed() - {step.id for step in self.steps if step.reopened}

    def upheld(self) -> set[str]:
        """Those among the done that the present traffic bears out: the brake may have taken it."""
        return self.done() - {step.id for step in self.plan.beyond(self.weight)}

    def reopen(self, weight: int) -> list[str]:
        """Production's traffic is at `weight` percent: what was done at more is to be done again.

        Returns the ids of what was done.
        """
        done = self.done()
        opened = [step.id for step in self.plan.beyond(weight) if step.id in done]
        self.steps = [
            msgspec.structs.replace(one, reopened=True) if one.id in opened else one
            for one in self.steps
        ]
        return opened

    @property
    def promoted(self) -> bool:
        """Whether all is given back, so that nothing but the state and the lease is left."""
        return any(one.command[0] == "promote" and one.id in self.done() for one in self.plan.steps)

    @property
    def unsettled_since(self) -> float:
        """When the routes were last edited, as far as known: what a process that recorded no end
        wrote last is not."""
        return max(self.edited_at, self.taken_over_at)

    @property
    def first_run(self) -> Measurement | None:
        """What later measurements of the candidate are held against, besides the previous
        version."""
        return self.anchor or self.baseline.get("candidate")


def encode(state: State) -> bytes:
    """JSON, indented for people."""
    return msgspec.json.format(msgspec.json.encode(state, enc_hook=str), indent=1)


def decode(data: bytes, where: str) -> State:
    """Read a state. Raises StateError, naming `where`, for damage or a newer schema."""
    remedy = "the cluster's copy is the one to trust: remove the file and run the command again"
    try:
        schema = msgspec.json.decode(data).get("schema")
        if isinstance(schema, int) and schema > SCHEMA:
            raise StateError(
                f"{where} was written by a newer theseus-ci (schema {schema}, here {SCHEMA})",
                remedy="use the version of theseus-ci that began the rollout",
            )
        return msgspec.json.decode(data, type=State)
    except (msgspec.DecodeError, AttributeError, UnicodeDecodeError) as error:
        raise StateError(f"{where} is damaged: {error}", remedy=remedy) from error
