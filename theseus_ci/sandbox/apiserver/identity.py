"""Who asks: bearer tokens from a file in the format of --token-auth-file, and impersonation."""

from __future__ import annotations

import csv
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from theseus_ci.sandbox.apiserver.errors import unauthorized

AUTHENTICATED = "system:authenticated"
MASTERS = "system:masters"


@dataclass(frozen=True)
class User:
    """A known caller. Members of system:masters may do everything."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()

    @property
    def master(self) -> bool:
        return MASTERS in self.groups


class TokenFile:
    """The users by token; read again whenever the file changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = (0, 0)
        self._users: dict[str, User] = {}

    def _current(self) -> dict[str, User]:
        stat = self._path.stat()
        stamp = (stat.st_mtime_ns, stat.st_size)
        if stamp != self._stamp:
            with self._path.open(encoding="utf-8", newline="") as lines:
                rows = [row for row in csv.reader(lines, skipinitialspace=True) if len(row) >= 3]
            self._users = {row[0]: _user(row) for row in rows}
            self._stamp = stamp
        return self._users

    def user(self, authorization: str) -> User:
        """The caller who sent this Authorization header; ApiError 401 when nobody we know."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and token:
            given = token.strip().encode()
            for known, user in self._current().items():
                if hmac.compare_digest(known.encode(), given):
                    return user
        raise unauthorized()


def _user(row: list[str]) -> User:
    groups = [group.strip() for group in row[3].split(",")] if len(row) > 3 else []
    return User(row[1], row[2], (*filter(None, groups), AUTHENTICATED))


def impersonated(headers: Mapping[str, str], groups: list[str]) -> User | None:
    """The user that the Impersonate-* headers name, if any."""
    name = headers.get("Impersonate-User", "")
    return (
        User(name, headers.get("Impersonate-Uid", ""), (*groups, AUTHENTICATED)) if name else None
    )
