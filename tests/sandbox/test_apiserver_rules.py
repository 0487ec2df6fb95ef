"""The rules that Istio's kinds carry as expressions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from theseus_ci.sandbox.apiserver.rules import RULES, nanoseconds
from theseus_ci.sandbox.apiserver.schema import istio_crds


def _expressions(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for item in schema:
            yield from _expressions(item)
    elif isinstance(schema, dict):
        for rule in schema.get("x-kubernetes-validations") or []:
            if isinstance(rule, dict):
                yield rule["rule"]
        for value in schema.values():
            yield from _expressions(value)


def test_every_rule_of_the_definitions_is_known() -> None:
    assert set(_expressions(istio_crds())) == set(RULES)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("1ms", 1e6),
        ("1.5s", 1.5e9),
        ("1h2m3s", 3723e9),
        ("0s", 0),
        ("0", 0),
        ("-1s", -1e9),
        (".5s", 5e8),
        ("1", None),
        ("1d", None),
        ("", None),
        ("s", None),
        ("1 s", None),
        ("9999999h", None),
    ],
)
def test_durations_are_gos(text: str, length: float | None) -> None:
    assert nanoseconds(text) == length
