"""The `performance.load` part of theseus.yaml: where the load is sent from."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from theseus_ci.config import names
from theseus_ci.config.part import Part

MOST_WORKERS = 100
_IMAGE = r"[\w.:/@${}-]+"
_OVERLAID = ("metadata", "spec")


class Load(Part, frozen=True):
    """From this process, or from the pods of an indexed Job, each with its share."""

    workers: int = 0  # 0: from this process
    image: str | None = None
    entrypoint: str | None = None  # as the pods reach it; default: theseus.yaml's
    resources: dict[str, Any] = msgspec.field(default_factory=dict)
    pod: dict[str, Any] = msgspec.field(default_factory=dict)  # JSON merge patch of the template


def validate(load: Load) -> Iterator[tuple[str, str]]:
    """What cannot be carried out as written: (key path below `load`, message)."""
    if not 0 <= load.workers <= MOST_WORKERS:
        yield "workers", f"is {load.workers}: must be 0 (this process) to {MOST_WORKERS}"
    if load.workers and not load.image:
        yield (
            "image",
            "is missing: workers are pods, and need an image of yours with theseus-ci in it",
        )
    if load.image is not None and not re.fullmatch(_IMAGE, load.image):
        yield "image", f"{load.image!r} is no name of an image"
    problem = names.url_problem(load.entrypoint) if load.entrypoint is not None else None
    if problem:
        yield "entrypoint", problem
    for key in load.pod:
        if key not in _OVERLAID:
            yield f"pod.{key}", "is no part of a pod template: write metadata or spec"
