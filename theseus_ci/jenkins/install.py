"""Bring folders and a pipeline job to what is wanted, and see that Jenkins took it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from theseus_ci.errors import UsageError
from theseus_ci.jenkins.client import Client
from theseus_ci.jenkins.errors import JenkinsError
from theseus_ci.jenkins.job import FOLDER, PipelineJob, applied, difference

_FOLDER_CLASSES = ("Folder", "OrganizationFolder")


@dataclass(frozen=True)
class Change:
    """One object that is not yet as wanted."""

    name: str
    xml: str
    new: bool
    diff: str  # unified, for people


def changes(client: Client, name: str, job: PipelineJob) -> list[Change]:
    """What must be done, folders first; nothing is touched. Raises JenkinsError, UsageError."""
    found = []
    *folders, _ = name.split("/")
    for depth in range(1, len(folders) + 1):
        folder = "/".join(folders[:depth])
        kind = client.job_class(folder)
        if kind is None:
            found.append(Change(folder, FOLDER, True, difference(None, FOLDER, folder)))
        elif kind.rpartition(".")[2] not in _FOLDER_CLASSES:
            raise UsageError(f"{folder} exists and is no folder but a {kind.rpartition('.')[2]}")
    new = bool(found) or client.job_class(name) is None
    existing = None if new else client.config(name)
    wanted = applied(job, existing)
    diff = difference(existing, wanted, name)
    if diff:
        found.append(Change(name, wanted, new, diff))
    return found


def install(
    client: Client, name: str, job: PipelineJob, todo: list[Change], tell: Callable[[str], None]
) -> None:
    """Carry the changes out, then read the job back. Raises JenkinsError."""
    for change in todo:
        if change.new:
            client.create(change.name, change.xml)
        else:
            client.reconfigure(change.name, change.xml)
        tell(f"{'created' if change.new else 'updated'} {change.name}")
    kept = client.config(name)
    left = difference(kept, applied(job, kept), name)
    if left:
        raise JenkinsError(
            f"Jenkins took the configuration of {name}, but keeps another one:\n{left}",
            remedy="is a plugin missing? Pipeline, Git and Folders are needed",
        )
