"""Gates: the `input` steps that builds of a job wait at, and how to answer one.

Jenkins' REST interface does not fill in the defaults of parameters that are left out, and does not
tell who may answer; whether this user may is known from the answer alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from theseus_ci.errors import UsageError
from theseus_ci.jenkins.client import Client
from theseus_ci.jenkins.errors import (
    AlreadyAnswered,
    JenkinsError,
    NotAllowed,
    NotFound,
    NotJenkins,
    Unreachable,
)

RECENT = 100  # builds looked at, newest first: who waits longer is named by number
PAUSED = "PAUSED_PENDING_INPUT"
_BOOLEAN = "BooleanParameterDefinition"
_SECRET = "PasswordParameterDefinition"
_TRUTH = {"true": True, "yes": True, "false": False, "no": False}


@dataclass(frozen=True)
class Asked:
    """A parameter of a gate."""

    name: str
    type: str
    default: str | bool | None  # None: Jenkins does not tell one
    choices: tuple[str, ...] = ()
    description: str = ""

    @property
    def secret(self) -> bool:
        """Whether its value must not be shown."""
        return self.type == _SECRET

    @property
    def shown(self) -> str:
        """The parameter and what it takes, for people."""
        if self.secret:
            return f"{self.name} (secret)"
        choices = f", one of {' | '.join(self.choices)}" if self.choices else ""
        return f"{self.name} (default {_text(self.default)!r}{choices})"


@dataclass(frozen=True)
class Gate:
    """An `input` that waits."""

    job: str
    build: int
    url: str
    id: str
    message: str
    proceed: str  # the word on the button
    parameters: tuple[Asked, ...]
    since: float | None  # seconds since the epoch; None: Jenkins does not tell


def pending(client: Client, job: str, number: int | None = None) -> list[Gate]:
    """The gates that running builds of a job wait at, oldest build first. Raises JenkinsError."""
    if number is not None:
        numbers = [int(client.build(job, number)["number"])]
    else:
        builds = client.builds(job, "number,building", 0, RECENT)
        numbers = [int(build["number"]) for build in builds if build.get("building")]
    return [gate for one in sorted(numbers) for gate in of_build(client, job, one)]


def of_build(client: Client, job: str, number: int) -> list[Gate]:
    """The gates one build waits at. Raises JenkinsError."""
    try:
        found = client.pending(job, number)
    except NotFound as error:
        raise JenkinsError(
            f"this Jenkins does not tell what build {number} of {job} waits for (404)",
            remedy="the Pipeline: REST API plugin is needed",
        ) from error
    if not found:
        return []
    paused = _paused_since(client, job, number)
    return [_gate(client, job, number, one, paused) for one in found]


def approve(client: Client, gate: Gate, given: Mapping[str, str]) -> dict[str, str | bool]:
    """Let the build go on and return the values of all parameters. Raises JenkinsError."""
    values = complete(gate, given)
    _answer(client, gate, lambda: client.proceed(gate.job, gate.build, gate.id, values))
    return values


def reject(client: Client, gate: Gate) -> None:
    """Answer no. Raises JenkinsError."""
    _answer(client, gate, lambda: client.abort(gate.job, gate.build, gate.id))


def complete(gate: Gate, given: Mapping[str, str]) -> dict[str, str | bool]:
    """All parameters' values: those given, else the defaults. Raises UsageError."""
    known = [asked.name for asked in gate.parameters]
    for name in given:
        if name not in known:
            raise UsageError(
                f"gate {gate.id} asks for no {name!r}",
                remedy=f"it asks for: {', '.join(known) or 'nothing'}",
            )
    return {asked.name: _value(asked, given.get(asked.name)) for asked in gate.parameters}


def _value(asked: Asked, given: str | None) -> str | bool:
    if given is None:
        if asked.default is None or asked.secret:
            raise UsageError(
                f"Jenkins does not tell a default for {asked.name}",
                remedy=f"give one: --parameter {asked.name}=VALUE",
            )
        return asked.default
    if asked.type == _BOOLEAN:
        if given.lower() not in _TRUTH:
            raise UsageError(f"{asked.name} is true or false, not {given!r}")
        return _TRUTH[given.lower()]
    if asked.choices and given not in asked.choices:
        raise UsageError(
            f"{asked.name} cannot be {given!r}", remedy=f"choose one of: {', '.join(asked.choices)}"
        )
    return given


def _answer(client: Client, gate: Gate, act: Callable[[], None]) -> None:
    try:
        act()
    except NotFound as error:
        raise AlreadyAnswered(
            f"gate {gate.id} of build {gate.build} waits no more: somebody answered it, "
            "or its time was over"
        ) from error
    except AlreadyAnswered as error:
        raise AlreadyAnswered(
            f"somebody has already answered gate {gate.id} of build {gate.build}"
        ) from error
    except NotAllowed as error:
        raise NotAllowed(
            f"{client.user} may not answer gate {gate.id} of build {gate.build}: {error}",
            remedy="one of its submitters must answer",
        ) from error
    except Unreachable as error:
        raise JenkinsError(
            f"{error}; whether the answer arrived is unknown",
            remedy=f"theseus-ci jenkins gates {gate.job} shows whether it still waits",
        ) from error


def _gate(
    client: Client, job: str, number: int, found: dict[str, Any], paused: dict[str, float]
) -> Gate:
    try:
        identity, message = str(found["id"]), str(found.get("message") or "")
        parameters = tuple(_asked(one) for one in found.get("inputs") or [])
    except (KeyError, TypeError, AttributeError):
        raise NotJenkins(f"build {number} of {job} tells of an input without an id") from None
    since = paused.get(message)
    if since is None and len(paused) == 1:
        since = next(iter(paused.values()))
    return Gate(
        job=job,
        build=number,
        url=f"{client.page(job, number)}input/",
        id=identity,
        message=message,
        proceed=str(found.get("proceedText") or "Proceed"),
        parameters=parameters,
        since=since,
    )


def _asked(found: dict[str, Any]) -> Asked:
    definition = found.get("definition") or {}
    choices = tuple(str(one) for one in definition.get("choices") or ())
    default = definition.get("defaultVal")
    if default is None and choices:
        default = choices[0]
    if default is not None and not isinstance(default, bool):
        default = str(default)
    return Asked(
        name=str(found["name"]),
        type=str(found.get("type", "")),
        default=default,
        choices=choices,
        description=str(found.get("description") or ""),
    )


def _paused_since(client: Client, job: str, number: int) -> dict[str, float]:
    """When each `input` step began to wait, by its message: what is pending tells no time."""
    described = client.stages(job, number) or {}
    found: dict[str, float] = {}
    for stage in described.get("stages") or []:
        if stage.get("status") != PAUSED:
            continue
        try:
            nodes = client.stage(job, number, str(stage["id"])).get("stageFlowNodes")
        except NotFound:  # an older plugin, or answered this very moment: only the time is lost
            continue
        for node in nodes or []:
            if node.get("status") == PAUSED and "startTimeMillis" in node:
                message = str(node.get("parameterDescription") or node.get("name") or "")
                found[message] = float(node["startTimeMillis"]) / 1000
    return found


def _text(value: str | bool | None) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value or "")
