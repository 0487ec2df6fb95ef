"""One of the files an Envoy reads again whenever it is replaced, and what Envoy made of it."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp

from theseus_ci.sandbox.mesh.envoy import Envoy, MeshError

Json = dict[str, Any]

CONFIRM_SECONDS = 30.0
POLL_SECONDS = (0.002, 0.05)
REJECTION = "config update rejected: "
NO_REASON = "Envoy gave no reason"


class WatchedFile:
    """A file of xDS resources; `subscription` is the name under which Envoy counts its updates."""

    def __init__(
        self, path: Path, subscription: str, envoy: Envoy, session: aiohttp.ClientSession
    ) -> None:
        self._path = path
        self._subscription = subscription
        self._envoy = envoy
        self._session = session
        self._version = 0
        self._refused_before = 0
        self._log_before = 0

    def write(self, resources: list[Json]) -> None:
        """Put new content in place, as a whole."""
        self._version += 1
        body = {"version_info": str(self._version), "resources": resources}
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(body, separators=(",", ":")), encoding="utf-8")
        fresh.replace(self._path)

    async def update(self, resources: list[Json]) -> str | None:
        """Write, and wait for Envoy's verdict; see `verdict`."""
        try:
            self._refused_before = (await self._counters())[1]
        except MeshError:  # it is being restarted, and will count anew
            self._refused_before = 0
        self._log_before = self._log_size()
        self.write(resources)
        return await self.verdict()

    async def verdict(self) -> str | None:
        """Wait until the last content is in force (None) or refused (Envoy's reason).

        Raises MeshError when Envoy says neither in time.
        """
        deadline = time.monotonic() + CONFIRM_SECONDS
        pause, longest = POLL_SECONDS
        problem = "no answer"
        while time.monotonic() < deadline:
            try:
                version, refused = await self._counters()
            except MeshError as error:
                problem = str(error)
            else:
                if version == str(self._version):
                    return None
                if refused > self._refused_before:
                    return self._reason()
                problem = f"it has version {version!r} of {self._path.name}"
            await asyncio.sleep(pause)
            pause = min(longest, pause * 1.5)
        raise MeshError(
            f"{self._envoy.name}: Envoy did not take version {self._version} in time: {problem}"
        )

    async def _counters(self) -> tuple[str, int]:
        """(the version in force, updates refused so far)."""
        name = self._subscription.replace(".", r"\.")
        query = f"/stats?format=json&filter=^{name}\\.(version_text|update_rejected)$"
        stats = await self._envoy.fetch(self._session, query)
        found = {each["name"].rpartition(".")[2]: each["value"] for each in stats["stats"]}
        return str(found.get("version_text", "")), int(found.get("update_rejected", 0))

    def _log_size(self) -> int:
        return self._envoy.files.log.stat().st_size if self._envoy.files.log.exists() else 0

    def _reason(self) -> str:
        """Envoy says why only in its log."""
        with self._envoy.files.log.open("rb") as lines:
            lines.seek(self._log_before)
            text = lines.read().decode("utf-8", "replace")
        _, found, after = text.rpartition(REJECTION)
        return after.splitlines()[0].strip() if found and after else NO_REASON
