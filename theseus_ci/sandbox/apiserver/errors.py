"""Refusals as the API server words them.

Everything a client can be told is an `ApiError`, which carries the `Status` object that goes over
the wire. Field problems are collected as `Cause` values and become one 422.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

Object = dict[str, Any]


@dataclass(frozen=True)
class Cause:
    """One problem with one field, in the words of the real server's field errors."""

    reason: str
    field: str
    message: str

    def text(self) -> str:
        return f"{self.field}: {self.message}"

    def as_status(self) -> Object:
        return {"reason": self.reason, "message": self.message, "field": self.field}


def shown(value: object) -> str:
    """A value as field errors print it: strings quoted, everything else as JSON."""
    return msgspec.json.encode(value).decode()


def wrong_type(field: str, given: str, wanted: str) -> Cause:
    """A value of a custom resource has another type than its schema says."""
    detail = f"{field} in body must be of type {wanted}"
    message = f"Invalid value: {shown(given)}: {detail}: {shown(given)}"
    return Cause("FieldValueTypeInvalid", field, message)


def required(field: str, detail: str = "") -> Cause:
    return Cause("FieldValueRequired", field, f"Required value{': ' + detail if detail else ''}")


def invalid_value(field: str, value: object, detail: str) -> Cause:
    return Cause("FieldValueInvalid", field, f"Invalid value: {shown(value)}: {detail}")


def duplicate(field: str, value: object) -> Cause:
    return Cause("FieldValueDuplicate", field, f"Duplicate value: {shown(value)}")


def forbidden_field(field: str, detail: str) -> Cause:
    return Cause("FieldValueForbidden", field, f"Forbidden: {detail}")


def unsupported(field: str, value: object, supported: list[str]) -> Cause:
    options = ", ".join(shown(option) for option in supported)
    message = f"Unsupported value: {shown(value)}: supported values: {options}"
    return Cause("FieldValueNotSupported", field, message)


class ApiError(Exception):
    """A request is refused; `status` is the Status object of the answer."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Object | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.headers = headers or {}
        self.status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code,
        }
        if not reason:
            del self.status["reason"]
        if details is not None:
            self.status["details"] = details


def success(details: Object) -> Object:
    """The Status object that answers a finished deletion."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }


def qualified(name: str, group: str) -> str:
    """`deployments.apps`, or `pods` for the core group; kinds alike."""
    return f"{name}.{group}" if group else name


def resource_details(name: str, group: str, plural: str) -> Object:
    details = {"name": name, "group": group, "kind": plural}
    return {key: value for key, value in details.items() if value}


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def no_such_path() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource", details={})


def not_found(group: str, plural: str, name: str) -> ApiError:
    message = f'{qualified(plural, group)} "{name}" not found'
    return ApiError(404, "NotFound", message, details=resource_details(name, group, plural))


class NoSuchPageError(Exception):
    """A path in no group we serve: the real server answers such a request in plain text."""


def unrecognized(kind: str, why: str) -> ApiError:
    return bad_request(f"the object provided is unrecognized (must be of type {kind}): {why}")


def method_not_allowed() -> ApiError:
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, details={})


def not_acceptable(accepted: list[str]) -> ApiError:
    message = f"406: Not Acceptable\n\nAvailable representations: {', '.join(accepted)}"
    return ApiError(406, "NotAcceptable", message, details={})


def already_exists(group: str, plural: str, name: str) -> ApiError:
    message = f'{qualified(plural, group)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, details=resource_details(name, group, plural))


def conflict(group: str, plural: str, name: str, why: str) -> ApiError:
    message = f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}'
    return ApiError(409, "Conflict", message, details=resource_details(name, group, plural))


MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def expired(message: str, *, continuation: str = "") -> ApiError:
    error = ApiError(410, "Expired", message)
    if continuation:
        error.status["metadata"] = {"continue": continuation}
    return error


def unsupported_media_type(accepted: list[str]) -> ApiError:
    message = (
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted)
    )
    return ApiError(415, "UnsupportedMediaType", message)


def invalid(group: str, kind: str, name: str, causes: list[Cause]) -> ApiError:
    """One 422 for all `causes`, which must not be empty."""
    texts = list(dict.fromkeys(cause.text() for cause in causes))
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = resource_details(name, group, kind)
    details["causes"] = [cause.as_status() for cause in causes]
    message = f'{qualified(kind, group)} "{name}" is invalid: {listed}'
    return ApiError(422, "Invalid", message, details=details)


def forbidden(group: str, plural: str, name: str, why: str) -> ApiError:
    subject = f'{qualified(plural, group)} "{name}"' if name else qualified(plural, group)
    message = f"{subject} is forbidden: {why}" if plural else f"forbidden: {why}"
    return ApiError(403, "Forbidden", message, details=resource_details(name, group, plural))


def too_many_requests(message: str, causes: list[Cause] | None = None) -> ApiError:
    details: Object = {"causes": [cause.as_status() for cause in causes]} if causes else {}
    return ApiError(429, "TooManyRequests", message, details=details)


def too_large_version(asked: int, current: int) -> ApiError:
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    details = {"causes": [cause], "retryAfterSeconds": 1}
    return ApiError(504, "Timeout", message, details=details, headers={"Retry-After": "1"})


def internal(message: str) -> ApiError:
    return ApiError(500, "InternalError", f"Internal error occurred: {message}")
