"""The configuration's root and the parts that no other module of this package owns.

Keys are camelCase in YAML, snake_case here. Unknown keys are errors.
"""

from theseus_ci.config.part import Part
from theseus_ci.config.performance import Performance
from theseus_ci.config.smoke import SmokeCheck
from theseus_ci.quantities import Duration


class StringMatch(Part, frozen=True):
    """Exactly one of the three holds a value."""

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None


class NamedMatch(StringMatch, frozen=True, kw_only=True):
    """A header or a cookie by name, and what its value must be."""

    name: str


class Matcher(Part, frozen=True):
    """People who may see the candidate first: every entry given must hold."""

    header: NamedMatch | list[NamedMatch] | None = None
    cookie: NamedMatch | None = None
    user_agent: StringMatch | None = None


class Waits(Part, frozen=True):
    """Deadlines and intervals of every wait."""

    ready: Duration = Duration(600)  # pods ready after a deploy or a scale
    mesh: Duration = Duration(120)  # an edit visible at every entrypoint
    scale_down: Duration = Duration(900)  # previous version down to its minimum
    delete: Duration = Duration(120)  # an object gone after its deletion
    poll: Duration = Duration(0.25)  # between two questions to the mesh
    consecutive: int = 3  # answers in a row that must agree before an edit counts as seen
    settle: Duration = Duration(30)  # quiet time for proxies that cannot be asked
    request: Duration = Duration(10)  # one request to the API server or through the mesh


class Bake(Part, frozen=True):
    """What is looked at while a bake waits."""

    rate: float = 5.0  # requests a second, both versions together
    poll: Duration = Duration(1)  # between two looks at the candidate's pods


class Config(Part, frozen=True):
    """theseus.yaml."""

    service: str
    namespace: str | None = None
    manifest: str | None = None
    deployment: str | None = None
    version: str | None = None
    previous: str | None = None
    virtual_services: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    entrypoint: str | None = None
    entrypoints: tuple[str, ...] = ()
    host: str | None = None
    probe_path: str | None = None
    matchers: tuple[Matcher, ...] = ()
    smoke: tuple[SmokeCheck, ...] = ()
    performance: Performance | None = None
    flow: str = "canary"
    first_replicas: int = 1
    bake: Bake = Bake()
    waits: Waits = Waits()
    # Dangers that begin refuses unless they are accepted here:
    allow_unmeshed: bool = False  # NodePort, LoadBalancer or headless access beside the mesh
    allow_gitops: bool = False  # Argo CD or Flux tracks the objects, and ignores our edits
    allow_equal: bool = False  # the candidate's pods would be the same as the previous version's
    allow_companions: bool = False  # the manifest changes objects the previous version uses too
    allow_unobserved: bool = False  # no entrypoint: nothing is seen, every edit waits for settle

    def all_entrypoints(self) -> tuple[str, ...]:
        """Every URL at which tests enter the mesh, `entrypoint` first, without doubles."""
        first = (self.entrypoint,) if self.entrypoint else ()
        return tuple(dict.fromkeys(first + self.entrypoints))
