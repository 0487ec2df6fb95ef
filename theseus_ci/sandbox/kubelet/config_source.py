"""ConfigMaps and Secrets as the containers' environment and volumes need them."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from theseus_ci.sandbox.client import ApiClient, ApiError

Data = dict[str, bytes]


class ConfigMissingError(Exception):
    """A container needs what is not there (yet); the message is what the kubelet would say."""


class ConfigSource:
    """Reads them afresh each time: containers start seldom, and must see the newest values."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def config_map(self, namespace: str, name: str) -> Data | None:
        """Keys and values; None when there is none of that name. Raises ApiError."""
        found = await self._get(namespace, "configmaps", name)
        if found is None:
            return None
        texts = {key: value.encode() for key, value in (found.get("data") or {}).items()}
        binary = found.get("binaryData") or {}
        return {**texts, **{key: _decode(key, value) for key, value in binary.items()}}

    async def secret(self, namespace: str, name: str) -> Data | None:
        """Keys and decoded values; None when there is none of that name. Raises ApiError."""
        found = await self._get(namespace, "secrets", name)
        if found is None:
            return None
        return {key: _decode(key, value) for key, value in (found.get("data") or {}).items()}

    async def read(self, kind: str, namespace: str, name: str, *, optional: bool) -> Data:
        """Read a "configmap" or "secret"; empty when optional and absent.

        Raises ConfigMissingError.
        """
        reader = self.config_map if kind == "configmap" else self.secret
        data = await reader(namespace, name)
        if data is not None:
            return data
        if optional:
            return {}
        raise ConfigMissingError(f'{kind} "{name}" not found')

    async def _get(self, namespace: str, plural: str, name: str) -> dict[str, Any] | None:
        try:
            return await self._client.get(f"/api/v1/namespaces/{namespace}/{plural}/{name}")
        except ApiError as error:
            if error.status == 404:
                return None
            raise


def _decode(key: str, value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ConfigMissingError(f'key "{key}" is not base64') from error
