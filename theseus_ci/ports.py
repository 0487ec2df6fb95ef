"""What a stage may ask of the world.

Stages know these protocols and nothing behind them; `cli` hands in the adapters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from theseus_ci.config.performance import ErrorRate, Performance
from theseus_ci.config.smoke import SmokeCheck
from theseus_ci.measure import Judgement, Measurement, SlicePair
from theseus_ci.model import Answer, CheckResult, CheckTarget, Object, Objects, ServerFacts


class Clock(Protocol):
    """Time, and the only way to let it pass."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back."""
        ...

    def pause(self, seconds: float) -> None:
        """Let time pass between two looks at a condition. Raises errors.Interrupted at once when
        a signal arrives."""
        ...

    def check(self) -> None:
        """Raise errors.Interrupted if a stop signal has arrived."""
        ...

    def limit(self, seconds: float | None) -> AbstractContextManager[None]:
        """A block that must end within `seconds`, else errors.CannotKnow is raised in it."""
        ...


class Prober(Protocol):
    """Single requests through the mesh."""

    def ask(
        self,
        entrypoint: str,
        *,
        host: str = "",
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        timeout: float,
    ) -> Answer:
        """GET; redirects are not followed. Raises OSError (or a subclass) when no answer came."""
        ...


class Checker(Protocol):
    """Runs smoke checks against the candidate."""

    def run(
        self,
        checks: Sequence[SmokeCheck],
        target: CheckTarget,
        *,
        stopped: Callable[[], bool],
    ) -> list[CheckResult]:
        """Run them in parallel; results in the order of `checks` (a bash check may add cases of
        its own behind its own). Ends early, children killed, when `stopped()` turns true."""
        ...


class Judge(Protocol):
    """What measurements say of the candidate; pure, and exchangeable like the generator."""

    def baseline(self, pairs: Iterator[SlicePair], performance: Performance) -> Judgement:
        """Judge the first run. Raises errors.NoData."""
        ...

    def compare(
        self, pairs: Iterator[SlicePair], performance: Performance, anchor: Measurement | None
    ) -> Judgement:
        """Judge a later run beside the previous version and against the first run. Raises
        errors.NoData."""
        ...

    def results(self, judgement: Judgement) -> list[CheckResult]:
        """The judgement as cases with constant names."""
        ...

    def watch(self, rates: ErrorRate) -> Callable[[SlicePair], str | None]:
        """For a bake: fed with pairs, returns a sentence once the candidate is clearly bad."""
        ...


class Cluster(Protocol):
    """Kubernetes objects. Errors are those of theseus_ci.errors, never the client's."""

    def get(self, kind: str, namespace: str, name: str) -> Object | None: ...

    def list(
        self, kind: str, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> Objects:
        """`namespace=None` lists every namespace."""
        ...

    def create(self, obj: Object, *, dry_run: bool = False) -> Object: ...

    def replace(self, obj: Object, *, dry_run: bool = False) -> Object:
        """PUT, conditioned on obj's resourceVersion. Raises errors.StaleObject on 409."""
        ...

    def patch(self, obj: Object, change: Object, *, dry_run: bool = False) -> Object:
        """JSON merge patch of `obj` (kind, namespace and name are taken from it)."""
        ...

    def delete(self, obj: Object) -> None:
        """Delete, conditioned on obj's uid and resourceVersion; absent is fine."""
        ...

    def watch(
        self, kind: str, namespace: str, *, labels: str = "", fields: str = "", timeout: float
    ) -> Iterator[Objects]:
        """Yield the matching objects as they are now, and again after every change, until
        `timeout` seconds have passed."""
        ...

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Inside, all requests together have at most `seconds`: for what a process still does
        after it was told to stop."""
        ...


class Logs(Protocol):
    """What containers have written."""

    def read(
        self,
        namespace: str,
        pod: str,
        container: str,
        since: str,
        *,
        tail: int | None = None,
        previous: bool = False,
    ) -> bytes:
        """Lines as `TIME TEXT`, from the second in which `since` lies (such a TIME; "" is from the
        beginning), and of them the last `tail`; with `previous`, of the container's last end. The
        last one may be incomplete; then it has no line end.

        Raises errors.ClusterUnavailable, Rejected (the container has not started) or Forbidden.
        """
        ...


class Server(Protocol):
    """The API server itself, not its objects."""

    def about(self) -> ServerFacts:
        """Raises errors.ClusterUnavailable, or errors.CannotKnow where it will not say."""
        ...

    def serves(self, group: str, version: str) -> frozenset[str] | None:
        """The plurals that a version of an API group has; None when it is not served. Raises
        errors.ClusterUnavailable also where something else behind the server is to serve it and
        does not answer."""
        ...
