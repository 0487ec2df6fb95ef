"""Objects that have to be there, whoever made them and when."""

from __future__ import annotations

from typing import Any

from theseus_ci.sandbox.client import ApiClient, ApiError


async def ensure(client: ApiClient, path: str, obj: dict[str, Any]) -> None:
    """Create the object in the collection at `path`, or merge it into the one of that name."""
    try:
        await client.create(path, obj)
    except ApiError as error:
        if error.status != 409:
            raise
        await client.patch(f"{path}/{obj['metadata']['name']}", obj)
