"""What a container waits for before it can start: its image, and all that it refers to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from theseus_ci.sandbox.client import ApiError
from theseus_ci.sandbox.kubelet.config_source import ConfigMissingError
from theseus_ci.sandbox.kubelet.environment import container_environment
from theseus_ci.sandbox.kubelet.images import LocalImage
from theseus_ci.sandbox.kubelet.status import Object

if TYPE_CHECKING:
    from theseus_ci.sandbox.kubelet.container import Home

log = logging.getLogger(__name__)

CONFIG_RETRY_SECONDS = 1.0
FIRST_PULL_SECONDS = 1.0
BACK_OFF_LIMIT = 30
"""The longest back-off, in units of the first."""
MISSING = "no entry of ConfigMap kube-system/sandbox-images matches it"

Emit = Callable[[str, str, str], None]
"""(Normal or Warning, reason, message)."""
Wait = Callable[[str, str], None]
"""(reason, message) of the waiting state to show."""


class Preparation:
    """For one container; says by events and waiting states what it still lacks."""

    def __init__(self, home: Home, spec: Object, *, emit: Emit, wait: Wait) -> None:
        self._home = home
        self._spec = spec
        self._emit = emit
        self._wait = wait

    async def image(self) -> LocalImage:
        """Wait until some local command stands for the image."""
        image, images = self._spec["image"], self._home.context.images
        base = delay = self._home.context.settings.back_off
        found = images.find(image)
        if found is None:
            reason = self._refuse(image)
            await images.changed(min(FIRST_PULL_SECONDS, base))
            while (found := images.find(image)) is None:
                text = f'Back-off pulling image "{image}": {MISSING}'
                self._emit("Normal", "BackOff", text)
                self._wait(reason, text)
                await images.changed(delay)
                delay = min(delay * 2, base * BACK_OFF_LIMIT)
        present = f'Container image "{image}" already present on machine'
        self._emit("Normal", "Pulled", present)
        return found

    def _refuse(self, image: str) -> str:
        """Show the first failure; returns the reason to show from then on."""
        never = self._spec.get("imagePullPolicy") == "Never"
        reason = "ErrImageNeverPull" if never else "ErrImagePull"
        self._emit("Normal", "Pulling", f'Pulling image "{image}"')
        self._emit("Warning", "Failed", f'Failed to pull image "{image}": {MISSING}')
        self._emit("Warning", "Failed", f"Error: {reason}")
        self._wait(reason, f'failed to pull image "{image}": {MISSING}')
        return reason if never else "ImagePullBackOff"

    async def environment(self, image: LocalImage) -> dict[str, str]:
        """Wait until everything the environment refers to exists."""
        home = self._home
        while True:
            try:
                return await container_environment(
                    home.pod, self._spec, image, home.surroundings, home.context.source
                )
            except ConfigMissingError as error:
                self._emit("Warning", "Failed", f"Error: {error}")
                self._wait("CreateContainerConfigError", str(error))
            except ApiError as error:
                log.warning("container %s: %s", self._spec["name"], error)
            await asyncio.sleep(CONFIG_RETRY_SECONDS)
