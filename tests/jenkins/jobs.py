"""What the stand-in Jenkins holds: folders, jobs, builds that move on each time they are asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

FOLDER_CLASS = "com.cloudbees.hudson.plugins.folder.Folder"
JOB_CLASS = "org.jenkinsci.plugins.workflow.job.WorkflowJob"


@dataclass
class Input:
    """A pending input, as wfapi tells it."""

    id: str
    message: str
    parameters: list[dict[str, Any]] = field(default_factory=list)
    submitters: tuple[str, ...] = ()
    answered: bool = False  # settled, though still listed: the race between two people


@dataclass
class Frame:
    """A build at one moment."""

    building: bool = True
    result: str | None = None
    status: str = "IN_PROGRESS"
    stages: list[dict[str, Any]] = field(default_factory=list)
    log: bytes = b""
    inputs: list[Input] = field(default_factory=list)


@dataclass
class Build:
    """Moves to its next frame each time its api/json is asked for, and stays at the last."""

    number: int
    frames: list[Frame]
    queue_id: int = 0
    artefacts: dict[str, bytes] = field(default_factory=dict)
    nodes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by stage id
    settled: set[str] = field(default_factory=set)
    position: int = -1

    @property
    def now(self) -> Frame:
        return self.frames[max(0, self.position)]

    def move(self) -> Frame:
        self.position = min(self.position + 1, len(self.frames) - 1)
        return self.now

    def waiting(self) -> list[Input]:
        return [one for one in self.now.inputs if one.id not in self.settled]


@dataclass
class Item:
    """A folder or a pipeline job."""

    kind: str
    xml: str
    builds: list[Build] = field(default_factory=list)
    parameters: tuple[str, ...] = ()


@dataclass
class Queued:
    """A queue item: why it waits, look by look, and what comes of it."""

    job: str
    why: list[str] = field(default_factory=list)
    build: int | None = None
    cancelled: bool = False
    forgotten: bool = False  # five minutes after it left the queue


def stage(identity: str, name: str, status: str, seconds: float = 1.5, paused: float = 0) -> Any:
    """A stage as wfapi/describe tells it."""
    return {
        "id": identity,
        "name": name,
        "execNode": "",
        "status": status,
        "startTimeMillis": 1_700_000_000_000,
        "durationMillis": int(seconds * 1000),
        "pauseDurationMillis": int(paused * 1000),
    }
