"""What an API server's refusals and an API server's absence look like to its clients."""

from __future__ import annotations

import json
from typing import Any


class ApiError(Exception):
    """A request that did not succeed.

    `status` is the HTTP status, 0 when no answer came (then `reason` is "Unreachable"); `reason`
    is the machine-readable one of the API's Status object, for example "Conflict".
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


def error_from(status: int, phrase: str | None, content: bytes) -> ApiError:
    """The API's Status object in an answer's body as an exception; any other body is quoted."""
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if isinstance(body, dict) and body.get("kind") == "Status":
        return error_of_status({"code": status, **body})
    text = content.decode("utf-8", "replace").strip()[:500]
    return ApiError(status, phrase or "Unknown", text)


def error_of_status(body: dict[str, Any]) -> ApiError:
    code = int(body.get("code") or 500)
    return ApiError(code, str(body.get("reason") or "Unknown"), str(body.get("message") or ""))


def unreachable(method: str, path: str, error: Exception) -> ApiError:
    return ApiError(0, "Unreachable", f"{method} {path}: {type(error).__name__}: {error}")
