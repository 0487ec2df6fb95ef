"""Keeps a pod's status in the API in step with what its containers do, and writes only changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from theseus_ci.sandbox.client import ApiClient, ApiError
from theseus_ci.sandbox.kubelet.clock import now_text
from theseus_ci.sandbox.kubelet.status import Object, PodFacts, pod_status

log = logging.getLogger(__name__)

RETRY_SECONDS = (0.1, 5.0)


class StatusWriter:
    """Holds the newest known object of one pod."""

    def __init__(self, client: ApiClient, pod: Object, facts: Callable[[], PodFacts]) -> None:
        self.pod = pod
        self._client = client
        self._facts = facts
        self._changed = asyncio.Event()
        self._written = _plain(pod.get("status") or {})
        metadata = pod["metadata"]
        self._path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        self._writing = asyncio.Lock()
        self._frozen = False

    def changed(self) -> None:
        """Something may be different: compare, and write if so."""
        if not self._frozen:
            self._changed.set()

    def freeze(self) -> None:
        """Write nothing more: the pod goes on under another kubelet, whatever ends here now."""
        self._frozen = True
        self._changed.clear()

    def update(self, pod: Object) -> None:
        """Take over a newer object seen by an informer."""
        if _version(pod) >= _version(self.pod):
            self.pod = pod
            if pod["spec"].get("readinessGates"):
                self.changed()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self.write()

    async def write(self) -> None:
        """Write the status if it differs from the last one; retries until written or gone."""
        pause, longest = RETRY_SECONDS
        async with self._writing:
            while True:
                try:
                    if await self._write_once():
                        return
                except ApiError as error:
                    log.warning("%s/status: %s", self._path, error)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, longest)

    async def _write_once(self) -> bool:
        """False when the pod was changed by someone else meanwhile. Raises ApiError."""
        wanted = pod_status(self.pod, self._facts(), now_text())
        if self._frozen or _plain(wanted) == self._written:
            return True
        metadata = self.pod["metadata"]
        condition = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        try:
            answer = await self._client.patch(
                f"{self._path}/status", {"metadata": condition, "status": wanted}
            )
        except ApiError as error:
            if error.status == 404:
                return True
            if error.status != 409:
                raise
            return await self._refresh()
        if _version(answer) >= _version(self.pod):
            self.pod = answer
        self._written = _plain(wanted)
        return True

    async def _refresh(self) -> bool:
        """Read the pod again; True when it is gone or another one."""
        try:
            newest = await self._client.get(self._path)
        except ApiError as error:
            if error.status == 404:
                return True
            raise
        if newest["metadata"]["uid"] != self.pod["metadata"]["uid"]:
            return True
        self.pod = newest
        return False


def _version(pod: Object) -> int:
    return int(pod["metadata"]["resourceVersion"])


def _plain(value: Any) -> Any:
    """Without empty fields: servers differ in which of them they keep."""
    if isinstance(value, dict):
        plain = {key: _plain(item) for key, item in value.items()}
        return {key: item for key, item in plain.items() if item not in (None, "", {}, [])}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
