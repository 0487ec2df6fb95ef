"""The rules that Istio's CustomResourceDefinitions carry as expressions, as functions.

A real API server evaluates them (x-kubernetes-validations, in CEL). They are few, and the same ones
again and again, so each is written out here under its text; one that is not is an error of this
module, never a rule that always holds. A test on a real API server compares both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from theseus_ci.sandbox.apiserver.errors import Cause, invalid_value
from theseus_ci.sandbox.apiserver.schema import Node

Holds = Callable[[Any], bool]
UNITS = {"ns": 1, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "m": 6e10, "h": 3.6e12}
DURATION = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|[+-]?0")
PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
LONGEST_NANOSECONDS = 2**63 - 1
PORT_NAME = re.compile(r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?")


def nanoseconds(text: str) -> float | None:
    """A duration as Go writes it; None when it is none."""
    if not DURATION.fullmatch(text):
        return None
    total = sum(float(number) * UNITS[unit] for number, unit in PART.findall(text))
    if total > LONGEST_NANOSECONDS:
        return None
    return -total if text.startswith("-") else total


def _at_least_a_millisecond(value: Any) -> bool:
    length = nanoseconds(value)
    return length is not None and length >= UNITS["ms"]


def _at_most_one(*names: str) -> Holds:
    return lambda value: sum(name in value for name in names) <= 1


def _cidr_only_where_allowed(value: Any) -> bool:
    ranges = any("/" in address for address in value.get("addresses", []))
    return not ranges or value.get("resolution", "NONE") in ("STATIC", "NONE")


def _unix_path(value: Any) -> bool:
    return not value.startswith("unix://") or value[7:8] in ("/", "@")


def _no_two_equal_ports(value: Any) -> bool:
    numbers = [port.get("number") for port in value]
    return len(numbers) == len(set(numbers))


RULES: dict[str, Holds] = {
    "duration(self) >= duration('1ms')": _at_least_a_millisecond,
    'self.all(key, !key.contains("*"))': lambda value: not any("*" in key for key in value),
    "self.all(key, key.size() != 0)": lambda value: "" not in value,
    '!self.contains("*")': lambda value: "*" not in value,
    "(has(self.tlsCertificates) ? 1 : 0) + (has(self.credentialNames) ? 1 : 0) <= 1": _at_most_one(
        "tlsCertificates", "credentialNames"
    ),
    "(has(self.credentialName) ? 1 : 0) + (has(self.credentialNames) ? 1 : 0) <= 1": _at_most_one(
        "credentialName", "credentialNames"
    ),
    "(has(self.credentialNames) ? 1 : 0) + (has(self.tlsCertificates) ? 1 : 0) <= 1": _at_most_one(
        "credentialNames", "tlsCertificates"
    ),
    "(has(self.workloadSelector) ? 1 : 0) + (has(self.endpoints) ? 1 : 0) <= 1": _at_most_one(
        "workloadSelector", "endpoints"
    ),
    '!((has(self.addresses) ? self.addresses : []).exists(k, k.contains("/")) && '
    '!((has(self.resolution) ? self.resolution : "NONE") in ["STATIC", "NONE"]))': (
        _cidr_only_where_allowed
    ),
    '((has(self.resolution) ? self.resolution : "NONE") == "NONE") ? !has(self.endpoints) : true': (
        lambda value: value.get("resolution", "NONE") != "NONE" or "endpoints" not in value
    ),
    '((has(self.resolution) ? self.resolution : "") == "DNS_ROUND_ROBIN") ? '
    "((has(self.endpoints) ? self.endpoints : []).size() <= 1) : true": (
        lambda value: (
            value.get("resolution") != "DNS_ROUND_ROBIN" or len(value.get("endpoints", [])) <= 1
        )
    ),
    "has(self.address) || has(self.network)": lambda value: (
        "address" in value or "network" in value
    ),
    '(has(self.address) ? self.address : "").startsWith("unix://") ? !has(self.ports) : true': (
        lambda value: not value.get("address", "").startswith("unix://") or "ports" not in value
    ),
    'self.startsWith("unix://") ? (self.substring(7, 8) == "/" || self.substring(7, 8) == "@") '
    ": true": _unix_path,
    'self.startsWith("unix://") ? !self.endsWith("/") : true': (
        lambda value: not (value.startswith("unix://") and value.endswith("/"))
    ),
    'self.all(key, size(key) < 63 && key.matches("^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$"))': (
        lambda value: all(len(key) < 63 and PORT_NAME.fullmatch(key) for key in value)
    ),
    "0 < self && self <= 65535": lambda value: 0 < value <= 65535,
    'self != "*"': lambda value: value != "*",
    "self.all(l1, self.exists_one(l2, l1.number == l2.number))": _no_two_equal_ports,
}


def broken(value: Any, node: Node, path: str) -> Iterator[Cause]:
    """A cause for each rule of this place that does not hold."""
    for rule in node.raw.get("x-kubernetes-validations", ()):
        if not RULES[rule["rule"]](value):
            yield invalid_value(path, value, rule.get("message") or f"failed rule: {rule['rule']}")
