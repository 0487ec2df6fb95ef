"""The mesh as requests see it: which edit it shows, and whether a version answers.

Nothing here sleeps for luck. A wait asks every entrypoint until enough answers in a row agree, and
says on expiry what it saw last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from theseus_ci.config.types import Config
from theseus_ci.errors import ConfigError, MeshUnobserved
from theseus_ci.mesh import headers
from theseus_ci.model import Answer
from theseus_ci.ports import Clock, Prober

UPSTREAM_TIME = "x-envoy-upstream-service-time"
"""Set by Envoy on what an upstream answered, absent from what the proxy says itself."""

_FROM_PROXY = "from the proxy"
_NOT_SERVED = (
    "check that this entrypoint is served by one of the rollout's VirtualServices (host, gateways) "
    "and that istiod is healthy: istioctl proxy-status"
)
_UNKNOWN_SUBSET = (
    "the proxy knows no pods of that version's subset: check that the service's DestinationRule is "
    "exported to the gateway's namespace (exportTo), that no other rule for the host hides it, and "
    "that the mesh has accepted it: istioctl analyze"
)

UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
"""In the words of OpenSSL about a certificate whose authority it does not know."""
TRUST = (
    "if an authority of your own has signed its certificate, name that authority's PEM file in the "
    "environment: SSL_CERT_FILE=/etc/ssl/our-ca.pem"
)

Judge = Callable[[Answer], str]
"""What is wrong with an answer, "" when it is the one waited for."""


class Watch(NamedTuple):
    """What every wait does between two questions: renew the lease, tell people."""

    alive: Callable[[], None]
    said: Callable[[str], None]


class MeshView:
    """Asks the mesh through the entrypoints of the configuration."""

    def __init__(
        self, prober: Prober, clock: Clock, config: Config, rollout: str, watch: Watch
    ) -> None:
        self._prober = prober
        self._clock = clock
        self._config = config
        self._rollout = rollout
        self._watch = watch

    @property
    def can_observe(self) -> bool:
        """Whether there is an entrypoint at all."""
        return bool(self._config.all_entrypoints())

    @property
    def path(self) -> str:
        """A path the application answers: configured, or that of the first check with one."""
        if self._config.probe_path:
            return self._config.probe_path
        for check in self._config.smoke:
            if check.http is not None:
                return check.http.path
        performance = self._config.performance
        return performance.requests[0].path if performance and performance.requests else "/"

    def await_edit(self, secret: str, edit: int) -> None:
        """Wait until every entrypoint shows edit `edit` or a later one. Raises MeshUnobserved."""

        def judge(answer: Answer) -> str:
            seen = headers.sees(answer.headers, self._rollout)
            if seen is None:
                return f"status {answer.status} without this rollout's marker"
            return "" if seen >= edit else f"edit {seen}"

        what = f"edit {edit} of the routes"
        self._await(what, headers.request_headers(secret, headers.TO_MARKER), judge)

    def await_marker_gone(self, secret: str) -> None:
        """Wait until no entrypoint shows this rollout's marker any more."""

        def judge(answer: Answer) -> str:
            seen = headers.sees(answer.headers, self._rollout)
            return "" if seen is None else f"edit {seen} is still there"

        self._await(
            "the routes without this rollout",
            headers.request_headers(secret, headers.TO_MARKER),
            judge,
        )

    def await_version(self, secret: str, to: str, consecutive: int | None = None) -> None:
        """Wait until the version `to` (headers.TO_PREVIOUS or TO_CANDIDATE) answers by itself."""

        def judge(answer: Answer) -> str:
            shown = answer.headers.get(headers.VERSION)
            if shown != to:
                return f"status {answer.status}, not from the {to} version's route"
            if UPSTREAM_TIME in answer.headers or answer.status != 503:
                return ""
            said = answer.body[:80].decode("utf-8", "replace")
            return f"status {answer.status} {_FROM_PROXY}: {said}"

        self._await(
            f"an answer of the {to} version",
            headers.request_headers(secret, to),
            judge,
            consecutive,
        )

    def ask(self, secret: str, to: str) -> Answer:
        """One request to a version through the first entrypoint. Raises OSError."""
        entrypoint = self._config.all_entrypoints()[0]
        return self._ask(entrypoint, headers.request_headers(secret, to))

    def await_settled(self, edited_at: float, what: str) -> None:
        """Wait until the settle time has passed since the last edit: for the proxies that cannot
        be asked."""
        settle = float(self._config.waits.settle)
        while True:
            left = edited_at + settle - self._clock.now()
            if left <= 0:
                return
            self._watch.alive()
            self._watch.said(f"{what}: {left:.0f} s until every proxy has settled")
            self._clock.pause(min(left, 5.0))

    def _await(
        self,
        what: str,
        request_headers: dict[str, str],
        judge: Judge,
        consecutive: int | None = None,
    ) -> None:
        deadline = self._clock.monotonic() + float(self._config.waits.mesh)
        for entrypoint in self._config.all_entrypoints():
            self._await_one(what, entrypoint, request_headers, judge, deadline, consecutive)

    def _await_one(
        self,
        what: str,
        entrypoint: str,
        request_headers: dict[str, str],
        judge: Judge,
        deadline: float,
        consecutive: int | None,
    ) -> None:
        wanted = consecutive or self._config.waits.consecutive
        agreed = 0
        last = "nothing"
        while agreed < wanted:
            self._watch.alive()
            try:
                last = judge(self._ask(entrypoint, request_headers))
            except OSError as error:
                last = f"no answer: {error}"
            agreed = agreed + 1 if not last else 0
            if agreed == 0:
                if self._clock.monotonic() >= deadline:
                    raise self._not_seen(what, entrypoint, last)
                self._clock.pause(float(self._config.waits.poll))

    def _not_seen(self, what: str, entrypoint: str, last: str) -> MeshUnobserved:
        return MeshUnobserved(
            f"{entrypoint} did not show {what} within {self._config.waits.mesh}; last seen: {last}",
            remedy=_remedy(last),
        )

    def _ask(self, entrypoint: str, request_headers: dict[str, str]) -> Answer:
        return self._prober.ask(
            entrypoint,
            host=self._config.host or "",
            path=self.path,
            headers=request_headers,
            timeout=float(self._config.waits.request),
        )


def _remedy(last: str) -> str:
    if UNTRUSTED in last:
        return TRUST
    return _UNKNOWN_SUBSET if _FROM_PROXY in last else _NOT_SERVED


def require_entrypoint(config: Config) -> None:
    """Raise ConfigError unless the mesh can be observed, or the user accepts that it cannot."""
    if config.all_entrypoints() or config.allow_unobserved:
        return
    raise ConfigError(
        "no entrypoint: without one, nothing can be tested and no edit can be observed",
        where="theseus.yaml: entrypoint",
        remedy="give the gateway's URL (entrypoint: http://…, --entrypoint or THESEUS_ENTRYPOINT), "
        "or accept fixed settle times with allowUnobserved: true",
    )
