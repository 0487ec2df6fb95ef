"""Which local command stands for which container image.

The ConfigMap kube-system/sandbox-images holds, under `images.yaml`, a list of

    - image: registry.example.com/reviews:*     # shell-style pattern
      command: [python3, -m, reviews, --port, $(THESEUS_PORT_HTTP)]
      env: {MODE: demo}                          # as ENV in a Dockerfile
      useContainerCommand: false                 # true: the container's command and args count

The first pattern that matches wins, and all of them win over the built-in demo service and worker
of `performance.load`. An image that nothing matches cannot be pulled, just like one that was never
pushed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import yaml

from theseus_ci.sandbox.processes import python_command

NAMESPACE = "kube-system"
CONFIG_MAP = "sandbox-images"
KEY = "images.yaml"
_FIELDS = {"image", "command", "env", "useContainerCommand"}


class ImageMapError(ValueError):
    """The mapping cannot be used; the message names the entry."""


@dataclass(frozen=True)
class LocalImage:
    """A pattern of image names and what runs for them."""

    image: str
    command: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    use_container_command: bool = False

    def ignores(self, container: dict[str, Any]) -> bool:
        """Whether the container has a command or args that do not count."""
        own = container.get("command") or container.get("args")
        return bool(own) and not self.use_container_command

    def command_line(self, container: dict[str, Any]) -> list[str]:
        """The command to run for this container, before $(VAR) expansion; may be empty."""
        if not self.use_container_command:
            return list(self.command)
        entry_point = container.get("command") or list(self.command)
        return [*entry_point, *(container.get("args") or [])]


BUILT_IN = (
    LocalImage("theseus-ci/demo:*", tuple(python_command("theseus_ci.sandbox.demo_service"))),
    LocalImage(
        "theseus-ci/load:*",  # what a user's performance.load.image is made of
        (*python_command("theseus_ci.cli"), "load-worker"),
        {"THESEUS_LOAD_ORDER": "$(THESEUS_VOLUME_ORDER)/order.json"},
    ),
)


def parse_images(text: str) -> tuple[LocalImage, ...]:
    """Read images.yaml. Raises ImageMapError."""
    try:
        entries = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ImageMapError(f"{KEY} is not YAML: {error}") from error
    if entries is None:
        return ()
    if not isinstance(entries, list):
        raise ImageMapError(f"{KEY} must be a list of entries with image and command")
    return tuple(_parse_entry(number, entry) for number, entry in enumerate(entries))


def _parse_entry(number: int, entry: object) -> LocalImage:
    where = f"{KEY}[{number}]"
    if not isinstance(entry, dict):
        raise ImageMapError(f"{where} must be a mapping with image and command")
    unknown = sorted(map(str, set(entry) - _FIELDS))
    if unknown:
        raise ImageMapError(
            f"{where}.{unknown[0]} is not known (only {', '.join(sorted(_FIELDS))})"
        )
    image, command = entry.get("image"), entry.get("command", [])
    env, use = entry.get("env", {}), entry.get("useContainerCommand", False)
    if not isinstance(image, str) or not image:
        raise ImageMapError(f"{where}.image must be a pattern of image names")
    if not isinstance(command, list) or not all(isinstance(part, str) for part in command):
        raise ImageMapError(f"{where}.command must be a list of strings")
    if not isinstance(env, dict) or not all(isinstance(value, str) for value in env.values()):
        raise ImageMapError(f"{where}.env must map names to strings")
    if not isinstance(use, bool):
        raise ImageMapError(f"{where}.useContainerCommand must be true or false")
    if not command and not use:
        raise ImageMapError(f"{where}.command is missing")
    return LocalImage(image, tuple(command), {str(name): env[name] for name in env}, use)


class Images:
    """The mapping now in force, and a way to await the next one."""

    def __init__(self) -> None:
        self._entries: Sequence[LocalImage] = BUILT_IN
        self._changed = asyncio.Event()

    def replace(self, entries: Sequence[LocalImage]) -> None:
        self._entries = (*entries, *BUILT_IN)
        self._changed.set()
        self._changed = asyncio.Event()

    def find(self, image: str) -> LocalImage | None:
        """The entry for an image name, with or without its tag spelt out."""
        name = image.rpartition("/")[2]
        full = image if ":" in name or "@" in name else f"{image}:latest"
        for entry in self._entries:
            if fnmatchcase(image, entry.image) or fnmatchcase(full, entry.image):
                return entry
        return None

    async def changed(self, seconds: float) -> None:
        """Return at the next change, or after `seconds`."""
        changed = self._changed
        try:
            await asyncio.wait_for(changed.wait(), seconds)
        except asyncio.TimeoutError:
            return
