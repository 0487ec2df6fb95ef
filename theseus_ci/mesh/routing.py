"""What a rollout wants of the mesh, as values: the service, its two sides, and the routing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from theseus_ci.mesh.naming import empty_subset

if TYPE_CHECKING:
    from theseus_ci.config.types import Matcher
    from theseus_ci.model import Object


class ServiceHost(msgspec.Struct, frozen=True, order=True):
    """A Kubernetes Service as Istio's objects name it."""

    name: str
    namespace: str
    cluster_domain: str = "cluster.local"

    @property
    def fqdn(self) -> str:
        return f"{self.name}.{self.namespace}.svc.{self.cluster_domain}"

    @property
    def key(self) -> str:
        """Identifies the service within one object; a valid part of names and annotations."""
        return f"{self.name}.{self.namespace}"

    def resolves(self, host: str, written_in: str) -> bool:
        """Whether `host`, written in an object of namespace `written_in`, means this service.

        Istio completes a host without dots by the object's namespace and takes any other as it
        is, so `reviews.bookinfo` is not the Service. A wildcard is never a destination.
        """
        full = host if "." in host else f"{host}.{written_in}.svc.{self.cluster_domain}"
        return full == self.fqdn


class Side(msgspec.Struct, frozen=True):
    """One version's pods as a subset of the service."""

    subset: str
    labels: Mapping[str, str]
    owned: bool  # made by the rollout; else the user's own subset, which stays
    stands_for: str = ""  # the user's subset whose traffic policy an owned subset copies


class Split(msgspec.Struct, frozen=True):
    """How the service's share of an entry is divided: all that editing a destination needs.

    `weight` is the share that the candidate really gets, in percent: flags are resolved.
    """

    service: ServiceHost
    previous: str
    previous_owned: bool
    candidate: str | None
    candidate_owned: bool
    weight: int
    replaces: frozenset[str] = frozenset()

    def mine(self, destination: Object, written_in: str) -> bool:
        """Whether the destination is the service, whatever its subset."""
        return self.service.resolves(str(destination.get("host", "")), written_in)

    def is_previous(self, destination: Object, written_in: str) -> bool:
        """Whether the destination sends to the previous version."""
        subset = destination.get("subset") or None
        named = subset is None or subset == self.previous or subset in self.replaces
        return named and self.mine(destination, written_in)


class Routing(msgspec.Struct, frozen=True):
    """The state of the mesh that one step of a rollout wants.

    `previous` is None in a first release: the service's share then goes to a subset that selects
    nothing until the candidate gets all of it. `replaces` names subsets of the user that select
    the previous version's pods but cannot tell them from the candidate's.
    """

    service: ServiceHost
    rollout: str
    edit: int  # grows with every edit; a proxy that shows it has this edit
    previous: Side | None
    candidate: Side | None
    weight: int  # the candidate's share of what goes to the service, 0..100
    previous_routed: bool  # False after the drain: neither destination nor probe
    candidate_routed: bool  # False before the dark route
    matchers: tuple[Matcher, ...] = ()
    secret: str = ""
    replaces: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        """Without the secret, and without what tells the people who may see the candidate."""
        shown = (name for name in self.__struct_fields__ if name not in ("secret", "matchers"))
        return f"Routing({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 100:
            raise ValueError(f"weight {self.weight} is not within 0..100")
        if self.candidate is None and (self.candidate_routed or self.weight):
            raise ValueError("a routing without a candidate cannot route to it")
        if self.weight and not self.candidate_routed:
            raise ValueError("the candidate gets production traffic before it is routed")
        if self.previous is not None and not (self.previous_routed or self.candidate_routed):
            raise ValueError("neither version is routed: the service would have no destination")

    @property
    def split(self) -> Split:
        """The division of the service's share, flags resolved."""
        return Split(
            service=self.service,
            previous=self.previous.subset if self.previous else empty_subset(self.service.key),
            previous_owned=self.previous is None or self.previous.owned,
            candidate=self.candidate.subset if self.candidate else None,
            candidate_owned=self.candidate is not None and self.candidate.owned,
            weight=self._effective_weight(),
            replaces=self.replaces,
        )

    def _effective_weight(self) -> int:
        if not self.candidate_routed:
            return 0
        if not self.previous_routed:
            return 100
        if self.previous is None and self.weight < 100:
            return 0
        return self.weight
