"""The performance baseline from the last promoted build's archived state.

Only what is needed of theseus-state.json is read, so a state that another version of this program
wrote will do, as long as its measurements have not changed shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from theseus_ci.errors import NoData
from theseus_ci.jenkins.client import Client
from theseus_ci.measure import Baseline, Measurement, Version

STATE_FILE = "theseus-state.json"
PROMOTED = "promoted"
PAGE = 50  # builds asked for at once
FIELDS = "number,result,building,artifacts[fileName,relativePath]"


class _Archived(msgspec.Struct, rename="camel", kw_only=True):
    """The part of a rollout's state that a baseline is made of."""

    service: str
    rollout: str
    phase: str
    baseline: dict[Version, Measurement] = {}


@dataclass(frozen=True)
class Found:
    """A promoted build, and what was measured in it."""

    build: int
    baseline: Baseline


def newest(client: Client, job: str, *, service: str, builds: int) -> Found:
    """The baseline of the newest promoted rollout among the last `builds` builds.

    `service` is needed when builds of the job release several. Raises JenkinsError, and NoData
    when there is none, saying what was seen.
    """
    seen = _Seen()
    for first in range(0, builds, PAGE):
        page = client.builds(job, FIELDS, first, min(PAGE, builds - first))
        for build in page:
            found = _in_build(client, job, build, service, seen)
            if found is not None:
                return found
        if len(page) < min(PAGE, builds - first):
            break
    wanted = f" of {service}" if service else ""
    raise NoData(
        f"no promoted rollout{wanted} with a baseline in the last builds of {job}: {seen}",
        remedy="does the job archive theseus-state.json, and does its flow measure a baseline?",
    )


class _Seen:
    """What was passed over, for the message when nothing is found."""

    def __init__(self) -> None:
        self.builds = 0
        self.states = 0
        self.notes: list[str] = []

    def __str__(self) -> str:
        notes = "".join(f"; {note}" for note in self.notes[:3])
        return f"{self.builds} finished builds, {self.states} archived states{notes}"


def _in_build(
    client: Client, job: str, build: dict[str, Any], service: str, seen: _Seen
) -> Found | None:
    if build.get("building"):
        return None
    seen.builds += 1
    number = int(build["number"])
    states: dict[str, _Archived] = {}
    for artefact in build.get("artifacts") or []:
        if artefact.get("fileName") != STATE_FILE:
            continue
        path = str(artefact["relativePath"])
        state = _decoded(client.artefact(job, number, path), f"build {number}, {path}", seen)
        if state is not None and state.phase == PROMOTED and state.baseline:
            states.setdefault(state.service, state)
    if service:
        states = {name: state for name, state in states.items() if name == service}
    if len(states) > 1:
        raise NoData(
            f"build {number} of {job} promoted several services: {', '.join(sorted(states))}",
            remedy="name one: --service",
        )
    for state in states.values():
        url = client.page(job, number)
        origin = Baseline(
            service=state.service, rollout=state.rollout, source=url, versions=state.baseline
        )
        return Found(number, origin)
    return None


def _decoded(data: bytes, where: str, seen: _Seen) -> _Archived | None:
    """The state; one that cannot be read is noted and passed over."""
    seen.states += 1
    try:
        return msgspec.json.decode(data, type=_Archived)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        seen.notes.append(f"{where} cannot be read ({error})")
        return None
