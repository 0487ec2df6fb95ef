"""What one look has found."""

from __future__ import annotations

from enum import Enum

import msgspec

from theseus_ci.errors import EXIT_CANNOT_KNOW, EXIT_DONE, TheseusError


class Level(str, Enum):
    """How much a finding matters."""

    FINE = "fine"
    WARNING = "warning"  # a release can begin; people should know
    PROBLEM = "problem"  # begin would fail
    UNSEEN = "not looked at"  # something else has to be mended first


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check; `check` is its constant name."""

    check: str
    level: Level
    message: str  # the first line is a sentence, more may follow
    fix: str = ""
    exit_code: int = EXIT_DONE  # what begin would end with
    rbac: str = ""  # YAML that grants what is missing


def fine(check: str, message: str) -> Finding:
    """All is well."""
    return Finding(check=check, level=Level.FINE, message=message)


def warning(check: str, message: str, fix: str = "") -> Finding:
    """Worth knowing."""
    return Finding(check=check, level=Level.WARNING, message=message, fix=fix)


def problem(
    check: str, message: str, fix: str = "", *, code: int = EXIT_CANNOT_KNOW, rbac: str = ""
) -> Finding:
    """In the way of a release."""
    return Finding(
        check=check, level=Level.PROBLEM, message=message, fix=fix, exit_code=code, rbac=rbac
    )


def unseen(check: str, message: str) -> Finding:
    """Could not be looked at as things are."""
    return Finding(check=check, level=Level.UNSEEN, message=message)


def failure(check: str, error: TheseusError) -> Finding:
    """The look itself failed, as begin would."""
    return problem(check, str(error), error.remedy, code=error.exit_code)
