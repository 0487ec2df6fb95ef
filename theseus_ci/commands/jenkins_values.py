"""What arguments of `theseus-ci jenkins` mean: values of parameters, URLs that others will read."""

from __future__ import annotations

import re
from collections.abc import Mapping

from theseus_ci.errors import UsageError

KINDS = {"": "String", "string": "String", "boolean": "Boolean", "choice": "Choice"}


def pairs(texts: list[str], environment: Mapping[str, str]) -> dict[str, str]:
    """`NAME=VALUE` arguments; `NAME` alone takes the environment's value, for what is secret.

    Raises UsageError.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            value = environment.get(name, "")
        if not name or not (equals or name in environment):
            raise UsageError(
                f"--parameter {name or '…'} has no value",
                remedy="write it as NAME=VALUE, or as NAME with the value in the variable NAME",
            )
        if name in found:
            raise UsageError(f"--parameter {name} is given twice")
        found[name] = value
    return found


def without_login(url: str, option: str) -> str:
    """A Git URL without credentials in it: it is stored where others read. Raises UsageError."""
    if re.match(r"https?://[^/]*@", url):
        raise UsageError(
            f"{option} holds a user or a password, which others could read in Jenkins",
            remedy="keep it in Jenkins' credentials and give their id",
        )
    return url


def job_parameters(texts: list[str]) -> list[tuple[str, str, tuple[str, ...]]]:
    """`NAME[:KIND]=DEFAULT` arguments as name, kind, values. Raises UsageError."""
    found = []
    for key, value in pairs(texts, {}).items():
        name, _, word = key.partition(":")
        kind = KINDS.get(word.lower())
        if kind is None or not re.fullmatch(r"\w[\w.-]*", name):
            raise UsageError(
                f"--parameter {key}: no such parameter can be made",
                remedy="write NAME=DEFAULT, NAME:boolean=true or NAME:choice=first,second",
            )
        if kind == "Boolean" and value not in ("true", "false"):
            raise UsageError(f"--parameter {key} is true or false, not {value!r}")
        found.append((name, kind, tuple(value.split(",")) if kind == "Choice" else (value,)))
    return found
